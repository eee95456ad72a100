//! The laws of the house that no compiler checks: who imports whom, what the pure crates may touch, where `unsafe`
//! lives, how long files are, what must not be written anywhere.
//!
//! The tests read the sources as text, so they hold for code that no target builds, too. Every law is a function from
//! text to findings, and each has a test of its own that shows it finds what it is for.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates each crate may depend on. `perf` starts the server as a process and never links it.
const EDGES: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("storage", &["ringkey-core"]),
    ("cluster", &["ringkey-core"]),
    ("server", &["ringkey-core", "ringkey-storage", "ringkey-cluster"]),
    ("tests", &["ringkey-core", "ringkey-storage", "ringkey-cluster", "ringkey-server"]),
    ("perf", &["ringkey-core", "ringkey-storage", "ringkey-cluster"]),
];

/// The crates that decide and never carry: bytes and `now` in, values out.
const PURE: &[&str] = &["core", "storage", "cluster"];

/// Dependencies that would bring the outside into a pure crate.
const CARRIERS: &[&str] =
    &["glommio", "io-uring", "libc", "rustix", "nix", "socket2", "crossbeam-channel", "tokio", "rand", "getrandom"];

/// Paths that a pure crate may not name: the outside world, clocks, other threads, state that is nobody's own.
const OUTSIDE: &[&str] = &[
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::sync::atomic",
    "core::sync::atomic",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::Condvar",
    "std::sync::Once",
    "std::sync::OnceLock",
    "std::sync::LazyLock",
    "std::sync::mpsc",
    "std::future",
    "std::task",
];

/// Code, as it reads without blanks at its ends, that has no place in a pure crate either.
const IMPURE_CODE: &[&str] = &["async fn", "async move", "async {", ".await", "static mut", "thread_local!"];

/// Where `unsafe` may stand; a name that ends in `/` is a folder. A new entry needs a reason in ARCHITECTURE.md.
const UNSAFE_FILES: &[&str] = &[
    // Entries are single allocations of the table's own layout.
    "core/src/keyspace/entry.rs",
    "core/src/keyspace/entry/collection.rs",
    "core/src/keyspace/entry/text.rs",
    "core/src/keyspace/dict.rs",
    "core/src/keyspace/table.rs",
    // The order of a sorted set names entries that its table of members owns.
    "core/src/keyspace/ordered.rs",
    "core/src/keyspace/ordered/",
    // A function compiled for wide registers may be called only where the processor has them.
    "core/src/wide.rs",
    "core/src/wide/",
    // What the kernel reads and writes behind our back, and the calls that the standard library lacks.
    "server/src/reactor/",
    "server/src/core_loop.rs",
    "server/src/memory.rs",
    "server/src/session/big.rs",
    "server/src/session/output.rs",
    "server/src/sys.rs",
    "server/src/sys/",
    // Lua is C: its values lie on its stack, its errors are jumps. What is promised stands at the heads of the files.
    "server/src/script/asking.rs",
    "server/src/script/call.rs",
    "server/src/script/convert.rs",
    "server/src/script/debugger/lua.rs",
    "server/src/script/debugger/values.rs",
    "server/src/script/memory.rs",
    "server/src/script/run.rs",
    "server/src/script/sandbox.rs",
    "server/src/script/std/stack.rs",
    "server/src/script/vm.rs",
    "server/src/script/functions/fcall.rs",
    "server/src/script/sandbox/functions.rs",
    // The same, for the ring of the load generator.
    "perf/src/load/buffers.rs",
    "perf/src/load/ring.rs",
    // The one thing that two threads share.
    "server/src/mailbox/ring.rs",
];

/// The only folder of the server that may name what drives its input and output, so that another driver can replace it.
const DRIVER_FOLDER: &str = "server/src/reactor/";

const MAX_LINES: usize = 1000;

// ---- reading the tree -------------------------------------------------------------------------------------------

/// A file of the repository: its path from the top, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// All text files of the repository except what is built, fetched or git's own.
fn tree() -> Vec<Source> {
    const SKIPPED: &[&str] = &[
        "target",
        ".git",
        ".peers",
        ".peers.new",
        ".venv",
        ".apps",
        "__pycache__",
        "corpus",
        "artifacts",
        "Cargo.lock",
    ];
    let mut found = Vec::new();
    let mut folders = vec![top()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if SKIPPED.contains(&entry.file_name().to_string_lossy().as_ref()) {
                continue;
            }
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                // What is not UTF-8 (a file of another server, say) is data, not text.
                let Ok(text) = fs::read_to_string(entry.path()) else { continue };
                let path = entry.path().strip_prefix(top()).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn rust_files() -> Vec<Source> {
    tree().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

fn report(law: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{law}\n  {}", findings.join("\n  "));
}

// ---- reading Rust -----------------------------------------------------------------------------------------------

/// The same text, line for line, with comments and the insides of string and character literals blanked.
fn code_only(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let word_before = out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => 1 + quoted(&rest[1..], '"'),
            '\'' => character(rest),
            'r' if !word_before || out.ends_with('b') || out.ends_with('c') => raw_string(rest),
            _ => 0,
        };
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (gone, left) = rest.split_at(length);
            out.push(' ');
            out.extend(gone.chars().filter(|&c| c == '\n'));
            rest = left;
        }
    }
    out
}

/// Length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        let step = if rest.starts_with(b"/*") {
            depth += 1;
            2
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

/// Length up to and with the closing quote, past escapes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of a character literal, or 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut inside = text[1..].char_indices();
    match (inside.next(), inside.next()) {
        (Some((_, '\\')), _) => 1 + quoted(&text[1..], '\''),
        (Some(_), Some((at, '\''))) => 1 + at + 1,
        _ => 0,
    }
}

/// Length of a raw string that starts with its `r`, or 0 if it is none.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|&b| b == b'#').count();
    if text.as_bytes().get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let closing = format!("\"{}", "#".repeat(hashes));
    let body = 1 + hashes + 1;
    text[body..].find(&closing).map_or(text.len(), |end| body + end + closing.len())
}

/// The part before the unit tests, which stand last in a file; they may do what the crate itself may not.
fn without_tests(code: &str) -> &str {
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(test)]") {
        let start = from + at;
        let item = code[start + "#[cfg(test)]".len()..].lines().map(str::trim).find(|line| {
            let attribute = line.starts_with("#[");
            !line.is_empty() && !attribute
        });
        if item.is_some_and(|line| line.contains("mod ") && line.ends_with('{')) {
            return &code[..start];
        }
        from = start + 1;
    }
    code
}

/// Is `word` in `text` with neither end inside a longer word?
fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(inside)
            && !text[at + word.len()..].chars().next().is_some_and(inside)
    })
}

/// Paths with their groups written out, `std::{fs, io::{self}}` becoming `std::fs` and `std::io::self`.
fn spelled_out(code: &str) -> Vec<String> {
    let dense: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let dense = dense.replace(" ::", "::").replace(":: ", "::");
    let mut found = Vec::new();
    for (at, _) in dense.match_indices("::{") {
        let prefix_start =
            dense[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).map_or(0, |before| before + 1);
        // An inner group comes by a second time, with half a prefix, which is then no path of the lists.
        expand(&dense[prefix_start..at], &dense[at + 3..], &mut found);
    }
    found
}

/// Writes out one group; `body` starts after its opening brace. Gives the length with the closing brace.
fn expand(prefix: &str, body: &str, found: &mut Vec<String>) -> usize {
    let mut item_start = 0;
    let mut at = 0;
    while at < body.len() {
        let rest = &body[at..];
        if rest.starts_with("::{") {
            let inner = format!("{prefix}::{}", body[item_start..at].trim());
            at += 3 + expand(&inner, &body[at + 3..], found);
            item_start = at;
            continue;
        }
        if rest.starts_with(',') || rest.starts_with('}') {
            let item = body[item_start..at].trim();
            if !item.is_empty() {
                found.push(format!("{prefix}::{item}"));
            }
            if rest.starts_with('}') {
                return at + 1;
            }
            item_start = at + 1;
        }
        at += rest.chars().next().map_or(1, char::len_utf8);
    }
    at
}

// ---- the laws ---------------------------------------------------------------------------------------------------

/// Names of the dependencies in every dependency section of a `Cargo.toml`, dev and build ones too.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with("dependencies");
            if let Some((_, name)) = section.split_once("dependencies.") {
                found.push(name.to_owned());
            }
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            found.push(name.trim_matches('"').to_owned());
        }
    }
    found
}

fn wrong_edges(krate: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == krate) else {
        return vec![format!("{krate}: not in the list of crates; say in tests/tidy.rs what it may import")];
    };
    let mut findings = Vec::new();
    for name in dependencies(manifest) {
        if name.starts_with("ringkey-") && !allowed.contains(&name.as_str()) {
            findings.push(format!("{krate}/Cargo.toml: {krate} must not depend on {name}"));
        }
        if PURE.contains(&krate) && CARRIERS.contains(&name.as_str()) {
            findings.push(format!("{krate}/Cargo.toml: {name} brings the outside into a pure crate"));
        }
    }
    findings
}

fn impurities(path: &str, text: &str) -> Vec<String> {
    let code = code_only(text);
    let code = without_tests(&code);
    let mut findings = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let paths = OUTSIDE.iter().filter(|path| has_word(line, path));
        let constructs = IMPURE_CODE.iter().filter(|construct| line.contains(**construct));
        let here = paths.chain(constructs);
        findings.extend(here.map(|bad| format!("{path}:{}: `{bad}` has no place in a pure crate", number + 1)));
    }
    let spelled = spelled_out(code);
    let grouped = OUTSIDE.iter().filter(|bad| spelled.iter().any(|import| has_word(import, bad)));
    findings.extend(grouped.map(|bad| format!("{path}: `{bad}`, in a group of imports, has no place in a pure crate")));
    findings
}

fn names_driver(text: &str) -> bool {
    let code = code_only(text);
    has_word(&code, "glommio") || has_word(&code, "io_uring")
}

fn unsafe_findings(path: &str, text: &str) -> Vec<String> {
    let may = UNSAFE_FILES.iter().any(|name| if name.ends_with('/') { path.starts_with(name) } else { path == *name });
    let code = code_only(text);
    let comments: Vec<&str> = text.lines().collect();
    let mut findings = Vec::new();
    for (number, line) in code.lines().enumerate() {
        if !may && (has_word(line, "unsafe") || line.contains("allow(unsafe_code)")) {
            findings.push(format!("{path}:{}: `unsafe` outside the files named for it in tests/tidy.rs", number + 1));
        }
        let needs_reason = line.contains("unsafe {") || line.contains("unsafe impl");
        let before = &comments[number.saturating_sub(10)..=number];
        if may && needs_reason && !before.iter().any(|line| line.contains("SAFETY:")) {
            findings.push(format!("{path}:{}: `unsafe` without a `// SAFETY:` above it", number + 1));
        }
    }
    findings
}

/// Names of package registries. Mirrors differ from place to place; tools are told theirs by their own settings.
fn registry_hosts() -> Vec<String> {
    // In halves, or this file would break its own law.
    [("debian", "org"), ("pypi", "org"), ("pythonhosted", "org"), ("crates", "io"), ("npmjs", "org"), ("golang", "org")]
        .map(|(name, end)| format!("{name}.{end}"))
        .to_vec()
}

fn registry_findings(path: &str, text: &str) -> Vec<String> {
    let hosts = registry_hosts();
    let hit = |line: &str| hosts.iter().any(|host| line.to_lowercase().contains(host.as_str()));
    let named = text.lines().enumerate().filter(|(_, line)| hit(line));
    named.map(|(number, _)| format!("{path}:{}: names the host of a package registry", number + 1)).collect()
}

fn unfinished(path: &str, text: &str) -> Vec<String> {
    // Again in halves.
    let marks = ["TO", "FIX"].map(|start| format!("{start}{}", if start == "TO" { "DO" } else { "ME" }));
    let code = code_only(text);
    let mut findings = Vec::new();
    for (number, (line, raw)) in code.lines().zip(text.lines()).enumerate() {
        if ["todo", "unimplemented"].iter().any(|name| has_word(line, name) && line.contains(&format!("{name}!"))) {
            findings.push(format!("{path}:{}: a piece that is not there; leave it out until it is", number + 1));
        }
        if marks.iter().any(|mark| has_word(raw, mark)) {
            findings.push(format!("{path}:{}: a note of work left; do it, or open an issue", number + 1));
        }
    }
    findings
}

/// Modules of our crates that the map of the house does not name, as a word of its own.
fn unmapped<'a>(map: &str, paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut findings = BTreeSet::new();
    for path in paths {
        let parts: Vec<&str> = path.split('/').collect();
        let [krate, "src", inner @ ..] = parts.as_slice() else { continue };
        if *krate == "tests" || inner.contains(&"tests") {
            continue;
        }
        for name in inner.iter().map(|part| part.trim_end_matches(".rs")) {
            // Files that every family of commands has are told once.
            if !["mod", "tests"].contains(&name) && !path.starts_with("core/src/commands/") && !has_word(map, name) {
                findings.insert(format!("ARCHITECTURE.md: does not name `{name}` ({path})"));
            }
        }
    }
    findings.into_iter().collect()
}

fn opens_without_purpose(text: &str) -> bool {
    // Attributes of the module (`#![allow(unsafe_code)]`) may stand before.
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#!["));
    !first.is_some_and(|line| line.starts_with("//!"))
}

fn skip_findings(list: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (number, line) in list.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, reason) = line.split_once('\t').unwrap_or((line, ""));
        if reason.trim().len() < 10 {
            findings
                .push(format!("tests/upstream/skip.txt:{}: no reason (after a tab) for skipping {name:?}", number + 1));
        }
        if !seen.insert(name) {
            findings.push(format!("tests/upstream/skip.txt:{}: {name:?} is listed twice", number + 1));
        }
    }
    findings
}

// ---- the laws, applied ------------------------------------------------------------------------------------------

#[test]
fn crates_depend_only_downwards() {
    let mut findings = Vec::new();
    for file in tree() {
        match file.path.split('/').collect::<Vec<_>>()[..] {
            [krate, "Cargo.toml"] => findings.extend(wrong_edges(krate, &file.text)),
            _ => continue,
        }
    }
    report("the directions of imports:", &findings);
}

#[test]
fn pure_crates_touch_nothing_outside() {
    let pure =
        |path: &str| PURE.iter().any(|krate| path.starts_with(&format!("{krate}/src/")) && !path.ends_with("tests.rs"));
    let findings: Vec<_> = rust_files()
        .iter()
        .filter(|file| pure(&file.path))
        .flat_map(|file| impurities(&file.path, &file.text))
        .collect();
    report("core, storage and cluster are pure:", &findings);
}

#[test]
fn only_the_reactor_names_the_driver() {
    let findings: Vec<_> = rust_files()
        .iter()
        .filter(|file| file.path.starts_with("server/src/") && !file.path.starts_with(DRIVER_FOLDER))
        .filter(|file| names_driver(&file.text))
        .map(|file| format!("{}: names glommio or io_uring; that is for {DRIVER_FOLDER} alone", file.path))
        .collect();
    report("one folder holds the driver:", &findings);
}

#[test]
fn unsafe_stands_only_where_it_is_named() {
    let findings: Vec<_> = rust_files().iter().flat_map(|file| unsafe_findings(&file.path, &file.text)).collect();
    report("unsafe code:", &findings);
}

#[test]
fn files_are_short_enough_to_read() {
    let exempt = |path: &str| {
        path.strip_prefix("core/src/command").is_some_and(|rest| {
            let name = rest.rsplit('/').next().unwrap_or_default();
            name.starts_with("rows") // tables: long, but nothing to follow
        })
    };
    let code = |path: &str| path.ends_with(".rs") || path.ends_with(".py") || path.starts_with("scripts/");
    let findings: Vec<_> = tree()
        .iter()
        .filter(|file| code(&file.path) && !exempt(&file.path) && file.text.lines().count() > MAX_LINES)
        .map(|file| format!("{}: {} lines, {MAX_LINES} at most; split it", file.path, file.text.lines().count()))
        .collect();
    report("length of files:", &findings);
}

#[test]
fn no_registry_is_named() {
    let findings: Vec<_> = tree().iter().flat_map(|file| registry_findings(&file.path, &file.text)).collect();
    report("hosts of package registries:", &findings);
}

#[test]
fn nothing_is_left_for_later() {
    let findings: Vec<_> = rust_files().iter().flat_map(|file| unfinished(&file.path, &file.text)).collect();
    report("unfinished code:", &findings);
}

#[test]
fn every_module_says_why_it_exists() {
    let findings: Vec<_> = rust_files()
        .iter()
        .filter(|file| opens_without_purpose(&file.text))
        .map(|file| format!("{}: does not open with `//!`", file.path))
        .collect();
    report("purpose of modules:", &findings);
}

#[test]
fn the_map_names_every_module() {
    let map = fs::read_to_string(top().join("ARCHITECTURE.md")).unwrap();
    let files = rust_files();
    report("the map of the house:", &unmapped(&map, files.iter().map(|file| file.path.as_str())));
}

#[test]
fn every_skipped_test_has_a_reason() {
    let list = fs::read_to_string(top().join("tests/upstream/skip.txt")).unwrap();
    report("skipped tests of Valkey's suite:", &skip_findings(&list));
}

// ---- the laws find what they are for ----------------------------------------------------------------------------

#[test]
fn literals_and_comments_are_no_code() {
    let text = "let a = \"unsafe \\\" std::fs\"; // unsafe\nlet b: &'static str = r#\"x\" unsafe\"#; /* a /* b */\nunsafe */\
        'u'; '\\''; c";
    let code = code_only(text);
    assert!(!code.contains("unsafe"), "{code}");
    assert!(code.contains("&'static str") && code.ends_with("; c"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn wrong_imports_are_found() {
    assert_eq!(impurities("x", "use std::fs;").len(), 1);
    assert_eq!(impurities("x", "use std::{collections::BTreeMap, time::{Duration, Instant}};").len(), 1);
    assert_eq!(impurities("x", "use std::{\n  fmt,\n  net::TcpStream,\n};").len(), 1);
    assert_eq!(impurities("x", "fn a() { x().await }").len(), 1);
    assert!(impurities("x", "use std::{fmt, time::Duration}; // std::fs").is_empty());
    assert!(impurities("x", "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n use std::fs;\n}").is_empty());
}

#[test]
fn the_driver_is_found() {
    assert!(names_driver("use glommio::Local;") && names_driver("io_uring::opcode::Nop"));
    assert!(!names_driver("// glommio\nlet io_uring_is_allowed = probe();"));
}

#[test]
fn wrong_edges_are_found() {
    assert_eq!(wrong_edges("storage", "[dependencies]\nringkey-cluster.workspace = true\nlibc = \"1\"\n").len(), 2);
    assert_eq!(wrong_edges("core", "[dev-dependencies.ringkey-server]\nworkspace = true\n").len(), 1);
    assert!(
        wrong_edges("cluster", "[dependencies]\nringkey-core = { workspace = true }\n[lints]\nlibc = 1\n").is_empty()
    );
    assert_eq!(wrong_edges("newcomer", "").len(), 1);
}

#[test]
fn stray_unsafe_is_found() {
    let block = "fn a() {\n    unsafe { b() }\n}\n";
    assert_eq!(unsafe_findings("core/src/resp/request.rs", block).len(), 1);
    assert_eq!(unsafe_findings("server/src/reactor/net.rs", block).len(), 1);
    let reasoned = "// SAFETY: `b` has no conditions.\nunsafe { b() }";
    assert!(unsafe_findings("server/src/reactor/net.rs", reasoned).is_empty());
    assert!(unsafe_findings("core/src/lib.rs", "// unsafe is a word\n#![deny(unsafe_code)]").is_empty());
}

#[test]
fn other_sins_are_found() {
    assert_eq!(unfinished("x", &format!("fn a() {{ {}!() }} // {}: later", "todo", "TO".to_owned() + "DO")).len(), 2);
    assert!(unfinished("x", "let todo = 1;").is_empty());
    assert_eq!(registry_findings("x", &format!("curl {}", registry_hosts()[0])).len(), 1);
    assert!(opens_without_purpose("use std::fmt;\n//! Late.\n"));
    assert!(!opens_without_purpose("#![allow(unsafe_code)]\n//! Why.\n"));
    assert_eq!(
        unmapped("`one`, tone", ["core/src/one.rs", "core/src/ton.rs", "core/src/two/mod.rs"].into_iter()).len(),
        2
    );
    assert_eq!(
        skip_findings("# why\nname of a test\nother\tlong enough a reason\nother\tlong enough a reason\n").len(),
        2
    );
}
