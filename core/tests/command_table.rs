//! Laws over the command table, its equality with Valkey's facts, and the keys it finds in calls.
#![allow(clippy::unwrap_used)]

use ringkey_core::command::keys::{Begin, Find, KeyFlags, KeyRule, KeySpec};
use ringkey_core::command::{Command, Flags, Names, Run, docs, table};
use ringkey_core::resp::{Args, CommandError, Protocol, Reply, ReplyBuffer, Request};
use std::collections::{BTreeMap, BTreeSet};

/// What COMMAND INFO of Valkey 9.1.2 told: name, arity, flags, first/last/step, ACL categories, tips, key specifications.
const FACTS: &str = include_str!("data/commands.tsv");

fn request(line: &str) -> Request {
    Request::new(line.split(' ').map(|word| if word == "''" { b"" as &[u8] } else { word.as_bytes() }))
}

fn row(name: &str) -> &'static Command {
    table::all().find(|row| row.name == name).unwrap()
}

/// The row of a call whether its command exists yet or not.
fn row_of(args: &Args<'_>) -> &'static Command {
    let word = |index: usize| String::from_utf8_lossy(args.get(index)).to_ascii_lowercase();
    let parent = row(&word(0));
    if parent.subcommands.is_empty() { parent } else { row(&format!("{}|{}", word(0), word(1))) }
}

#[test]
fn every_row_keeps_the_laws() {
    let mut names = BTreeSet::new();
    let mut ids = vec![false; table::ROW_COUNT];
    for row in table::all() {
        let name = row.name;
        assert!(names.insert(name), "{name} is listed twice");
        assert!(!std::mem::replace(&mut ids[usize::from(row.id)], true), "{name}: id {} is taken", row.id);
        assert_eq!(name, name.to_ascii_lowercase());
        assert!(row.arity != 0, "{name}: no call has no words");
        assert!(!row.flags.has(Flags::READONLY.with(Flags::WRITE)), "{name}: reads or writes?");
        assert_eq!(row.flags.has(Flags::MOVABLEKEYS), row.has_movable_keys(), "{name}: movablekeys");
        let tells_all = |spec: &KeySpec| {
            let vague = KeyFlags::VARIABLE_FLAGS.with(KeyFlags::INCOMPLETE);
            spec.begin != Begin::Unknown && vague.words().all(|word| spec.flags.words().all(|flag| flag != word))
        };
        assert_eq!(row.keys.iter().all(tells_all), row.key_rule == KeyRule::Specs, "{name}: key rule");
        assert!(!row.since.is_empty() && row.summary.ends_with('.'), "{name}: no version or no sentence");
        assert!(row.since.split('.').all(|part| part.parse::<u32>().is_ok()), "{name}: version");
        for child in row.subcommands {
            assert_eq!(child.name, format!("{name}|{}", child.own_name()), "{name}: the child of another");
            assert!(child.subcommands.is_empty(), "{name}: nested too deeply");
            assert!(row.is_missing() <= child.is_missing(), "{name}: exists below a parent that does not");
        }
        if matches!(row.run, Run::Container) {
            assert!(row.existing_subcommands().next().is_some(), "{name}: nothing in the container");
        }
    }
    assert!(ids.iter().all(|taken| *taken), "ids have gaps");
}

#[test]
fn only_writers_write_keys() {
    // Scripts run writers; PFCOUNT renews what it counted; XREAD and friends only read.
    let may_replicate = ["eval", "evalsha", "fcall", "pfcount"];
    let writes = KeyFlags::WORDS.iter().filter(|(_, word)| ["insert", "update", "delete"].contains(word));
    let writes: Vec<KeyFlags> = writes.map(|(flag, _)| *flag).collect();
    for row in table::all().filter(|row| !row.flags.has(Flags::WRITE)) {
        let changes = row.keys.iter().any(|spec| writes.iter().any(|flag| spec.flags.has(*flag)));
        assert!(!changes || may_replicate.contains(&row.name), "{}: changes keys but its flags deny it", row.name);
    }
}

#[test]
fn arguments_are_complete() {
    fn check(name: &str, specs: usize, argument: &ringkey_core::command::Argument) {
        assert!(!argument.name.is_empty(), "{name}: an argument without a name");
        assert!(argument.key_spec.is_none_or(|spec| usize::from(spec) < specs), "{name}: no such specification");
        argument.arguments.iter().for_each(|part| check(name, specs, part));
    }
    for row in table::all() {
        row.arguments.iter().for_each(|argument| check(row.name, row.keys.len(), argument));
    }
}

fn spec_text(spec: &KeySpec) -> String {
    let begin = match spec.begin {
        Begin::Index(index) => format!("index:{index}"),
        Begin::Keyword { word, from } => format!("keyword:{word},{from}"),
        Begin::Unknown => "unknown".into(),
    };
    let find = match spec.find {
        Find::Range { last, step, limit } => format!("range:{last},{step},{limit}"),
        Find::KeyNum { number_at, first, step } => format!("keynum:{number_at},{first},{step}"),
        Find::Unknown => "unknown".into(),
    };
    format!("{}|{begin}|{find}", spec.flags.words().collect::<Vec<_>>().join(" "))
}

#[test]
fn rows_equal_the_facts() {
    let rows: BTreeMap<&str, &Command> = table::all().map(|row| (row.name, row)).collect();
    let mut seen = 0;
    for line in FACTS.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let row = rows.get(fields[0]).unwrap_or_else(|| panic!("{} has no row", fields[0]));
        let (first, last, step) = row.legacy_range();
        let ours = [
            row.name.to_string(),
            row.arity.to_string(),
            row.flags.words().collect::<Vec<_>>().join(" "),
            format!("{first} {last} {step}"),
            row.acl.words().collect::<Vec<_>>().join(" "),
            row.tips.join(" ; "),
            row.keys.iter().map(spec_text).collect::<Vec<_>>().join(" && "),
        ];
        assert_eq!(ours.map(|field| field.trim().to_string()).as_slice(), fields.as_slice());
        seen += 1;
    }
    assert_eq!(seen, rows.len(), "rows without facts");
}

#[test]
fn names_are_found_in_any_case() {
    for row in table::all().filter(|row| !row.name.contains('|')) {
        let mixed: String =
            row.name.chars().enumerate().map(|(i, c)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect();
        for name in [row.name, &row.name.to_ascii_uppercase(), &mixed] {
            match table::lookup(name.as_bytes()) {
                Some(found) => assert!(std::ptr::eq(found, row), "{name}"),
                None => assert!(row.is_missing(), "{name}"),
            }
        }
        for wrong in [&row.name[1..], &format!("{}x", row.name), &format!("{}\0", row.name)] {
            assert!(table::lookup(wrong.as_bytes()).is_none_or(|found| found.name == wrong), "{wrong}");
        }
    }
    assert!(table::lookup(b"").is_none());
    assert!(table::lookup(&[b'x'; 1000]).is_none());
    for byte in 0..=u8::MAX {
        let name = [b's', b'e', byte];
        assert_eq!(table::lookup(&name).is_some(), name.eq_ignore_ascii_case(b"set"), "{name:?}");
        let name = [b"incrbyfloa".as_slice(), &[byte]].concat();
        assert_eq!(table::lookup(&name).is_some(), name.eq_ignore_ascii_case(b"incrbyfloat"), "{name:?}");
    }
    assert_eq!(table::existing().count(), table::EXISTING_COUNT);
    assert_eq!(table::lookup_full(b"CLIENT|id").unwrap().name, "client|id");
    assert!(table::lookup_full(b"client|foo").is_none() && table::lookup_full(b"get|x").is_none());
}

fn refusal(words: &[&[u8]]) -> String {
    let request = Request::new(words.iter().copied());
    let error = table::resolve(&request.args()).unwrap_err();
    format!("{} {error}", error.code())
}

#[test]
fn refusals_have_the_words_of_valkey() {
    let many = |byte: u8, count: usize| vec![byte; count];
    let text = |byte: u8, count: usize| String::from_utf8(vec![byte; count]).unwrap();
    let unknown = "ERR unknown command 'foo', with args beginning with: ";
    assert_eq!(refusal(&[b"foo"]), unknown);
    assert_eq!(refusal(&[b"foo", b"a", b"b"]), format!("{unknown}'a' 'b' "));
    assert_eq!(refusal(&[b"foo", &many(b'a', 200), b"b"]), format!("{unknown}'{}' ", text(b'a', 128)));
    assert_eq!(refusal(&[b"foo", &many(b'a', 125), b"b"]), format!("{unknown}'{}' ", text(b'a', 125)));
    assert_eq!(refusal(&[b"foo", &many(b'a', 122), b"", b"b"]), format!("{unknown}'{}' '' ", text(b'a', 122)));
    assert_eq!(
        refusal(&[b"foo", &many(b'a', 100), &many(b'b', 30), b"c"]),
        format!("{unknown}'{}' '{}' ", text(b'a', 100), text(b'b', 25))
    );
    assert_eq!(refusal(&[b"a\0b", b"c\0d"]), "ERR unknown command 'a', with args beginning with: 'c' ");
    assert_eq!(
        refusal(&[&many(b'x', 200)]),
        format!("ERR unknown command '{}', with args beginning with: ", text(b'x', 128))
    );
    assert_eq!(refusal(&[b"client|id"]), "ERR unknown command 'client|id', with args beginning with: ");
    assert_eq!(refusal(&[b"GET"]), "ERR wrong number of arguments for 'get' command");
    assert_eq!(refusal(&[b"client"]), "ERR wrong number of arguments for 'client' command");
    assert_eq!(refusal(&[b"client", b"ID", b"x"]), "ERR wrong number of arguments for 'client|id' command");
    assert_eq!(refusal(&[b"client", b"foo"]), "ERR unknown subcommand 'foo'. Try CLIENT HELP.");
    assert_eq!(refusal(&[]), "ERR unknown command '', with args beginning with: ");
    assert_eq!(table::resolve(&request("command").args()).unwrap().name, "command");
    assert_eq!(table::resolve(&request("Config GET x").args()).unwrap().name, "config|get");
}

#[test]
fn missing_commands_do_not_show() {
    for row in table::all().filter(|row| row.is_missing()) {
        assert!(table::lookup_full(row.name.as_bytes()).is_none(), "{}", row.name);
        assert!(table::existing().all(|shown| shown.name != row.name), "{}", row.name);
    }
}

fn keys(line: &str) -> String {
    let request = request(line);
    let args = request.args();
    let row = row_of(&args);
    assert!(row.accepts(args.len()), "{line}: arity");
    let name = |index: usize| String::from_utf8_lossy(args.get(index)).into_owned();
    match row.strict_keys(&args) {
        Ok(keys) => {
            let mut visited = Vec::new();
            assert!(row.visit_keys(&args, |index, spec| visited.push((index, spec.flags))) || keys.is_empty());
            assert_eq!(visited, keys, "{line}");
            let keys = keys
                .iter()
                .map(|(index, flags)| format!("{}:{}", name(*index), flags.words().collect::<Vec<_>>().join("+")));
            keys.collect::<Vec<_>>().join(" ")
        }
        Err(_) => "none".into(),
    }
}

#[test]
fn keys_of_calls() {
    for (line, expected) in [
        ("get a", "a:RO+access"),
        ("set a b", "a:OW+update"),
        ("set a b EX 5 get", "a:RW+access+update"),
        ("mset a 1 b 2", "a:OW+update b:OW+update"),
        ("msetex 2 a 1 b 2 ex 5", "a:OW+update b:OW+update"),
        ("msetex 3 a 1 b 2", "none"),
        ("del a b c", "a:RM+delete b:RM+delete c:RM+delete"),
        ("rename a b", "a:RW+access+delete b:OW+update"),
        ("bitfield a get u8 0 overflow sat get u8 8", "a:RO+access"),
        ("bitfield a get u8 0 set u8 0 1", "a:RW+access+update"),
        ("bitfield a nonsense", "a:RW+access+update"),
        ("eval x 2 a b c", "a:RW+access+update b:RW+access+update"),
        ("eval_ro x 1 a", "a:RO+access"),
        ("eval x 0 a", ""),
        ("eval x 1", ""),
        ("eval x -1", ""),
        ("eval x word", ""),
        ("sort a by w* get x* limit 0 5", "a:RO+access"),
        ("sort a store b", "a:RO+access b:OW+update"),
        ("sort a by store store b store c", "a:RO+access c:OW+update"),
        ("sort a store", "a:RO+access"),
        ("sort_ro a by w*", "a:RO+access"),
        ("migrate h 1 x 0 5", "x:RW+access+delete"),
        ("migrate h 1 '' 0 5 keys a b", "a:RW+access+delete b:RW+access+delete"),
        ("migrate h 1 '' 0 5 auth keys copy keys a", "a:RW+access+delete"),
        ("migrate h 1 '' 0 5 auth2 u keys keys a", "a:RW+access+delete"),
        ("migrate h 1 x 0 5 keys a", "none"),
        ("xread streams a b 0 0", "a:RO+access b:RO+access"),
        ("xread count 5 block 0 streams a 0", "a:RO+access"),
        ("xread count 5 x", "none"),
        ("xreadgroup group g streams streams x >", "x:RO+access"),
        ("zunion 2 a b weights 1 2", "a:RO+access b:RO+access"),
        ("zunion 2 a", "none"),
        ("zunion 0 a", "none"),
        ("zunionstore d 2 a b", "d:OW+update a:RO+access b:RO+access"),
        ("blpop a b 0", "a:RW+access+delete b:RW+access+delete"),
        ("blmpop 0 2 a b left", "a:RW+access+delete b:RW+access+delete"),
        ("georadius k 1 1 1 m", "k:RO+access"),
        ("georadius k 1 1 1 m storedist d", "k:RO+access d:OW+update"),
        ("georadius k 1 1 1 m store a storedist b", "k:RO+access b:OW+update"),
        ("georadius k 1 1 1 m store", "k:RO+access"),
        ("georadius k 1 1 1 m store store x", "k:RO+access store:OW+update"),
        ("georadiusbymember k m 1 m asc store d", "k:RO+access d:OW+update"),
        ("georadius_ro k 1 1 1 m", "k:RO+access"),
        ("pfmerge a", "none"),
        ("pfmerge a b", "a:RW+access+insert b:RO+access"),
        ("bitop and d a b", "d:OW+update a:RO+access b:RO+access"),
        ("object encoding k", "k:RO"),
        ("xgroup create s g $", "s:RW+insert"),
        ("lcs a b", "a:RO+access b:RO+access"),
        ("spublish c m", "none"),
        ("watch a b", "a:RO b:RO"),
    ] {
        assert_eq!(keys(line), expected, "{line}");
    }
}

#[test]
fn a_call_that_will_be_refused_still_needs_its_keys() {
    let visited = |line: &str| {
        let (request, mut found) = (request(line), Vec::new());
        let fits = row_of(&request.args()).visit_keys(&request.args(), |index, _| found.push(index));
        (fits, found)
    };
    assert_eq!(visited("pfmerge a"), (true, vec![1]));
    assert_eq!(visited("eval x 0"), (true, vec![]));
    assert_eq!(visited("zunionstore d 0 x"), (true, vec![1]));
    assert!(!visited("zunion 5 a").0 && !visited("zunion x a").0 && !visited("zunion 9223372036854775807 a").0);
    assert_eq!(visited("spublish c m"), (true, vec![]));
    assert_eq!(row("get").single_key(), Some(1));
    assert_eq!((row("mget").single_key(), row("spublish").single_key()), (None, None));
}

#[test]
fn no_call_makes_the_search_for_keys_fail() {
    let words =
        ["1", "0", "-1", "2", "99999999999999999999", "9223372036854775807", "k", "''", "store", "keys", "STREAMS"];
    for row in table::all() {
        let name = row.name.replace('|', " ");
        let least = usize::from(row.arity.unsigned_abs());
        for seed in 0..200usize {
            let mut line = name.clone();
            let mut state = seed.wrapping_mul(0x9E37_79B9).wrapping_add(row.name.len());
            for _ in line.split(' ').count()..least + seed % 5 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                line = format!("{line} {}", words[(state >> 33) % words.len()]);
            }
            let request = request(&line);
            let inside = |index: usize| assert!((1..request.args().len()).contains(&index), "{line}: {index}");
            row.visit_keys(&request.args(), |index, _| inside(index));
            for (index, _) in row.strict_keys(&request.args()).unwrap_or_default() {
                inside(index);
            }
        }
    }
}

type Write = fn(&Args<'_>, &Names, &mut Reply<'_>) -> Result<(), CommandError>;

fn reply(line: &str, protocol: Protocol, write: Write) -> String {
    let (request, mut out) = (request(line), ReplyBuffer::default());
    if let Err(error) = write(&request.args(), &Names::default(), &mut Reply::new(&mut out, protocol)) {
        return format!("{} {error}", error.code());
    }
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn command_info_has_the_shape_of_valkey() {
    let get = "*2\r\n$-1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n+@string\r\n\
        +@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\n\
        index\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n\
        *6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n";
    assert_eq!(reply("command info foo GET", Protocol::Resp2, docs::write_info), get);
    let keys = reply("command info keys", Protocol::Resp3, docs::write_info);
    assert!(keys.starts_with("*1\r\n*10\r\n$4\r\nkeys\r\n:2\r\n~1\r\n+readonly\r\n:0\r\n:0\r\n:0\r\n~4\r\n"), "{keys}");
}

#[test]
fn command_lists_and_counts() {
    let count = reply("command count", Protocol::Resp2, docs::write_count);
    assert_eq!(count, format!(":{}\r\n", table::EXISTING_COUNT));
    assert!(reply("command", Protocol::Resp2, docs::write_all).starts_with(&format!("*{}\r\n", table::EXISTING_COUNT)));
    let list = |filter: &str| reply(&format!("command list{filter}"), Protocol::Resp2, docs::write_list);
    assert!(list("").contains("\r\nclient|id\r\n"));
    assert_eq!(list(" filterby pattern OBJECT|enc*"), "*1\r\n$15\r\nobject|encoding\r\n");
    assert_eq!(list(" filterby aclcat nonsense"), "*0\r\n");
    assert_eq!(list(" FILTERBY module x"), "*0\r\n");
    assert!(list(" filterby aclcat CONNECTION").contains("\r\nclient|setname\r\n"));
    for wrong in [" x", " filterby", " filterby x y", " filterby module", " filterby pattern a b"] {
        assert_eq!(list(wrong), "ERR syntax error");
    }
    assert_eq!(reply("command docs nonsense", Protocol::Resp2, docs::write_docs), "*0\r\n");
}

#[test]
fn command_getkeys_refuses_as_valkey_does() {
    let keys = |call: &str| reply(&format!("command getkeys {call}"), Protocol::Resp2, docs::write_get_keys);
    assert_eq!(keys("mset a 1 b 2"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_eq!(keys("foo"), "ERR Invalid command specified");
    assert_eq!(keys("client foo"), "ERR Invalid command specified");
    assert_eq!(keys("client"), "ERR The command has no key arguments");
    assert_eq!(keys("ping"), "ERR The command has no key arguments");
    assert_eq!(keys("get"), "ERR Invalid number of arguments specified for command");
    assert_eq!(keys("msetex 9 a 1"), "ERR Invalid arguments specified for command");
    assert_eq!(
        reply("command getkeysandflags set a b", Protocol::Resp3, docs::write_get_keys_and_flags),
        "*1\r\n*2\r\n$1\r\na\r\n~2\r\n+OW\r\n+update\r\n"
    );
}
