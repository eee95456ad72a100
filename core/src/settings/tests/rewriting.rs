//! CONFIG REWRITE: what is written gives the settings back, and leaves the file to its owner.

use super::*;

fn rewritten(text: &str, changes: &[(&str, &str)]) -> String {
    let mut settings = load(text).unwrap_or_default();
    for (name, value) in changes {
        set(&mut settings, name, value).unwrap();
    }
    String::from_utf8(rewrite(text.as_bytes(), &settings, Extent::Changed)).unwrap()
}

#[test]
fn lines_that_are_true_stay_to_the_byte() {
    let text = "# mine\n\n\n  MAXCLIENTS   0077 # no comment\n";
    assert_eq!(rewritten("", &[]), "");
    let text = text.replace("   0077 # no comment", "   77");
    assert_eq!(rewritten(&text, &[]), text);
    let text = "\tmaxmemory 100mb\r\nsave 900 1\r\n# between\r\nsave 300 10\r\nrequirepass 'a b'\r\nhz \"20\"\r\n";
    assert_eq!(rewritten(text, &[]), text);
    let text = "include other.conf\nrename-command FLUSHALL \"\"\nio-threads-do-reads yes\nlogfile \"\"";
    assert_eq!(rewritten(text, &[]), format!("{}\n", text.trim_end_matches("\nlogfile \"\"")));
}

#[test]
fn values_change_in_their_places() {
    let text = "# a\n  TimeOut\t 5\n\nmaxmemory 100mb\nslowlog-max-len 7\n# z\n";
    let changes = [("timeout", "6"), ("maxmemory", "2147483648"), ("commandlog-slow-execution-max-len", "8")];
    assert_eq!(rewritten(text, &changes), "# a\n  TimeOut 6\n\nmaxmemory 2gb\nslowlog-max-len 8\n# z\n");
    assert_eq!(rewritten("timeout 5\n", &[("timeout", "0")]), "timeout 0\n", "a default, but it stood there");
    assert_eq!(rewritten("timeout 5\n#\ntimeout 7\n", &[]), "timeout 7\n#\n");
    assert_eq!(rewritten("timeout 5\r\n", &[("timeout", "6")]), "timeout 6\r\n");
    assert_eq!(rewritten("maxmemory-clients 5%", &[("maxmemory-clients", "7%")]), "maxmemory-clients 7%\n");
    assert_eq!(rewritten("requirepass a\n", &[("requirepass", "")]), "", "no password is had by no line");
    assert_eq!(rewritten("syslog-ident x\n", &[]), "syslog-ident x\n");
    assert_eq!(rewritten("timeout 5\ntimeout x\n", &[("timeout", "6")]), "timeout 6\n");
}

#[test]
fn directives_of_several_lines() {
    let text = "save 900 1\n# a\nsave 300 10\n";
    assert_eq!(rewritten(text, &[("save", "60 5 30 7")]), "save 60 5 30 7\n# a\n");
    assert_eq!(rewritten(text, &[("save", "")]), "save \"\"\n# a\n");
    let text = "client-output-buffer-limit pubsub 1mb 0 0\nclient-output-buffer-limit normal 1kb 0 0\n";
    assert_eq!(rewritten(text, &[]), text);
    assert_eq!(
        rewritten(text, &[("client-output-buffer-limit", "slave 1 2 3 normal 5 0 0")]),
        "client-output-buffer-limit normal 5 0 0\nclient-output-buffer-limit replica 1 2 3\n\
         client-output-buffer-limit pubsub 1mb 0 0\n"
    );
    let limit = "client-output-buffer-limit";
    assert_eq!(
        rewritten("", &[(limit, "normal 1gb 3kb 5")]),
        "# Added by CONFIG REWRITE:\nclient-output-buffer-limit normal 1gb 3kb 5\n"
    );
}

#[test]
fn new_lines_come_last_and_are_marked_once() {
    let first = rewritten("# a\nhz 10", &[("timeout", "6"), ("requirepass", "a \"b\" \u{e4}\n")]);
    assert_eq!(first, "# a\nhz 10\n# Added by CONFIG REWRITE:\ntimeout 6\nrequirepass \"a \\\"b\\\" \\xc3\\xa4\\n\"\n");
    assert_eq!(
        rewritten(&first, &[("maxclients", "5"), ("timeout", "0")]),
        format!("{}maxclients 5\n", first.replace("timeout 6", "timeout 0"))
    );
    assert_eq!(rewritten("hz 11\r\n", &[("timeout", "6")]), "hz 11\r\n# Added by CONFIG REWRITE:\r\ntimeout 6\r\n");
}

#[test]
fn lines_that_nobody_can_read_become_comments() {
    assert_eq!(rewritten("nosuch 1\nhz \"5\nhz 12\n", &[]), "# ??? nosuch 1\n# ??? hz \"5\nhz 10\n");
}

#[test]
fn all_directives_can_be_written() {
    let settings =
        load("bind 127.0.0.1 -::1\nsave 60 1\nreplicaof somewhere 7000\nshutdown-on-sigint save now").unwrap();
    let text = rewrite(b"", &settings, Extent::All);
    assert_eq!(values(&load(std::str::from_utf8(&text).unwrap()).unwrap()), values(&settings));
    assert!(text.split(|byte| *byte == b'\n').count() > 180);
}

fn values(settings: &Settings) -> Vec<Value> {
    Setting::ALL.iter().map(|setting| settings.value(*setting).clone()).collect()
}

/// Lines of all kinds: directives with likely values, older names, comments, blanks, rubbish.
fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..Setting::ALL.len(), likely_text()).prop_map(|(index, text)| {
            format!("{} {text}", Setting::ALL[index].row().name)
        }),
        2 => (0..Setting::ALL.len(), likely_text()).prop_map(|(index, text)| {
            let row = Setting::ALL[index].row();
            let mut line = format!("\t {}  ", row.alias.unwrap_or(row.name).to_ascii_uppercase()).into_bytes();
            quote(text.as_bytes(), &mut line);
            String::from_utf8(line).unwrap() + "\r"
        }),
        2 => "(save [1-9]{1,3} [0-9]{1,3}|client-output-buffer-limit (normal|replica|pubsub) [0-9]{1,4}(kb)? 0 [0-9])",
        1 => "#[a-z# ]{0,8}",
        1 => "[ \t\r]{0,3}",
        1 => "(include x.conf|rename-command a b|user default on|dynamic-hz yes|sentinel x|a.b c|nosuch \"a b\")",
        1 => "\\PC{0,12}",
    ]
}

proptest! {
    #[test]
    fn what_is_written_gives_the_settings_back(
        lines in prop::collection::vec(any_line(), 0..12),
        texts in prop::collection::vec((0..Setting::ALL.len(), prop_oneof![likely_text(), "\\PC{0,4}"]), 0..12),
        stays in any::<bool>(),
        ends in any::<bool>(),
    ) {
        let text = lines.join("\n") + if ends { "\n" } else { "" };
        let mut settings = Settings::new();
        if stays {
            directives(text.as_bytes()).flatten().for_each(|directive| drop(settings.apply(&directive)));
        }
        for (index, value) in texts {
            let _ = settings.set_one(Setting::ALL[index], value.as_bytes());
        }
        let new = rewrite(text.as_bytes(), &settings, Extent::Changed);
        let mut again = Settings::new();
        for directive in directives(&new) {
            again.apply(&directive.unwrap()).unwrap();
        }
        prop_assert_eq!(values(&again), values(&settings), "{}", String::from_utf8_lossy(&new));
        prop_assert_eq!(&rewrite(&new, &settings, Extent::Changed), &new, "a second time changes nothing");
        // The owner's remarks, in their order, among whatever else stands there.
        let is_remark = |line: &&[u8]| line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with(b"#");
        let mut found = new.split(|byte| *byte == b'\n');
        for remark in text.as_bytes().split(|byte| *byte == b'\n').filter(is_remark) {
            prop_assert!(found.any(|line| line == remark), "{:?} is gone from {}", remark, String::from_utf8_lossy(&new));
        }
    }
}
