//! Tests of the settings: defaults, files, command line, CONFIG GET and SET.

#![allow(clippy::unwrap_used)]

mod defaults;
mod rewriting;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::words::quote;

fn load(text: &str) -> Result<Settings, ConfigError> {
    let mut settings = Settings::new();
    for directive in directives(text.as_bytes()) {
        settings.apply(&directive?)?;
    }
    Ok(settings)
}

fn shown(settings: &Settings, name: &str) -> String {
    let pairs = settings.get(&[name]);
    assert_eq!(pairs.len(), 1, "{name}");
    String::from_utf8(pairs[0].1.clone()).unwrap()
}

fn set(settings: &mut Settings, name: &str, text: &str) -> Result<Vec<Setting>, String> {
    settings.set_many(&[(name, text)], Caller::default()).map_err(|error| error.to_string())
}

/// Sets and shows, or gives the reason for the refusal.
fn set_shown(settings: &mut Settings, name: &str, text: &str) -> String {
    match set(settings, name, text) {
        Ok(_) => shown(settings, name),
        Err(error) => error.split_once(" - ").unwrap().1.to_owned(),
    }
}

#[test]
fn rows_keep_the_laws() {
    let mut names = BTreeSet::new();
    for setting in Setting::ALL {
        let row = setting.row();
        for name in [Some(row.name), row.alias].into_iter().flatten() {
            assert!(names.insert(name), "{name} is listed twice");
            assert_eq!(name, name.to_ascii_lowercase());
            assert_eq!(Setting::find(name.to_ascii_uppercase().as_bytes()), Some((*setting, name)));
        }
        assert_eq!(Settings::new().render(*setting), row.default.as_bytes(), "{}: default is not canonical", row.name);
        if row.sensitive {
            assert!(row.default.is_empty(), "{}: a secret with a default", row.name);
        }
    }
    for name in RETIRED {
        assert!(Setting::find(name).is_none());
    }
}

#[test]
fn every_default_is_shown() {
    let settings = Settings::new();
    for (name, value) in defaults::DEFAULTS {
        assert_eq!(shown(&settings, name), *value, "{name}");
    }
    let expected: BTreeSet<&str> =
        defaults::DEFAULTS.iter().map(|(name, _)| *name).chain(["cores", "core-ports"]).collect();
    let pairs = settings.get(&["*"]);
    assert_eq!(pairs.len(), expected.len());
    assert!(pairs.iter().all(|(name, _)| expected.contains(std::str::from_utf8(name).unwrap())));
}

#[test]
fn typed_values() {
    let settings =
        load("requirepass sesame\nbind 127.0.0.1 -::1\nclient-output-buffer-limit normal 1mb 512kb 9").unwrap();
    assert_eq!(settings.int(Setting::MaxClients), 10_000);
    assert!(settings.bool(Setting::ProtectedMode));
    assert_eq!(settings.text(Setting::RequirePass), b"sesame");
    assert_eq!(settings.memory(Setting::ProtoMaxBulkLen), 512 << 20);
    assert_eq!(settings.words(Setting::Bind), [b"127.0.0.1".as_slice().into(), b"-::1".as_slice().into()]);
    assert_eq!(settings.numbers(Setting::Save), [3600, 1, 300, 100, 60, 10_000]);
    assert_eq!(settings.choice(Setting::LogLevel), "notice");
    assert_eq!(settings.output_limits()[0], OutputLimit { hard: 1 << 20, soft: 1 << 19, soft_seconds: 9 });
    assert_eq!(settings.output_limits()[2].soft, 8 << 20);
    assert!(!settings.allows(Setting::EnableDebugCommand, true));
    let local = load("enable-debug-command local").unwrap();
    assert!(local.allows(Setting::EnableDebugCommand, true) && !local.allows(Setting::EnableDebugCommand, false));
}

#[test]
fn a_port_or_no() {
    let settings = load("core-ports 7000").unwrap();
    assert_eq!((settings.int(Setting::CorePorts), shown(&settings, "core-ports").as_str()), (7000, "7000"));
    let settings = load("core-ports 7000\ncore-ports NO").unwrap();
    assert_eq!((settings.int(Setting::CorePorts), shown(&settings, "core-ports").as_str()), (0, "no"));
    for wrong in ["0", "-1", "65536", "yes", "7000x", "07000"] {
        assert!(load(&format!("core-ports {wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn settings_may_be_sent_to_other_cores() {
    fn is_send<T: Send + Clone>(_: &T) {}
    is_send(&Settings::new());
}

#[test]
fn files() {
    let text = "# comment\n\n  PORT 7000 \r\n\tbind 127.0.0.1 ::1\nbind '* -::*'\nport 7001\nsave 900 1\nsave 300 10\ninclude other.conf";
    let parsed = parse_text(text.as_bytes()).unwrap();
    assert_eq!(parsed.len(), 7);
    assert_eq!(
        (parsed[0].line, parsed[0].name.as_slice(), parsed[0].raw.as_slice()),
        (3, b"port".as_slice(), b"PORT 7000".as_slice())
    );
    let settings = load(text).unwrap();
    assert_eq!(shown(&settings, "port"), "7001");
    assert_eq!(shown(&settings, "bind"), "* -::*");
    assert_eq!(shown(&settings, "save"), "900 1 300 10");
    assert_eq!(Settings::new().apply(&parsed[6]), Ok(Applied::Include(b"other.conf".to_vec())));
    assert_eq!(shown(&load("save ''").unwrap(), "save"), "");
    assert_eq!(shown(&load("save 1 2\nsave ''\nsave 3 4").unwrap(), "save"), "3 4");
    assert_eq!(shown(&load("save \"1 2 3 4\"").unwrap(), "save"), "1 2 3 4");
    assert_eq!(shown(&load("shutdown-on-sigterm now force").unwrap(), "shutdown-on-sigterm"), "now force");
    assert_eq!(shown(&load("replicaof host 07").unwrap(), "slaveof"), "host 7");
    assert_eq!(shown(&load("replicaof host 7\nslaveof NO one").unwrap(), "replicaof"), "");
    assert_eq!(shown(&load("unixsocketperm 0700").unwrap(), "unixsocketperm"), "700");
    assert_eq!(shown(&load("hz 1000").unwrap(), "hz"), "500");
    load("io-threads-do-reads yes\ndynamic-hz no\nsanitize-dump-payload clients\nsentinel").unwrap();
    let renamed = parse_text(b"rename-command CONFIG ''").unwrap();
    let expected = Applied::RenameCommand { from: b"CONFIG".to_vec(), to: Vec::new() };
    assert_eq!(Settings::new().apply(&renamed[0]), Ok(expected));
}

#[test]
fn wrong_files() {
    let block = |text: &str| load(text).unwrap_err().block("0.1.0");
    assert_eq!(
        block("port 7000\n\nfoo bar\n"),
        "\n*** FATAL CONFIG FILE ERROR (Version 0.1.0) ***\nReading the configuration file, at line 3\n>>> 'foo bar'\n\
         Bad directive or wrong number of arguments\n"
    );
    assert_eq!(
        ConfigError::general("Can't open the log file: No such file or directory").block("0.1.0"),
        "\n*** FATAL CONFIG FILE ERROR (Version 0.1.0) ***\nCan't open the log file: No such file or directory\n"
    );
    let cases = [
        ("hz \"abc", 1, "Unbalanced quotes in configuration line"),
        ("\nport", 2, "wrong number of arguments"),
        ("port 1 2", 1, "wrong number of arguments"),
        ("dir a b", 1, "wrong number of arguments"),
        ("dynamic-hz", 1, "Bad directive or wrong number of arguments"),
        ("include", 1, "Bad directive or wrong number of arguments"),
        ("user", 1, "Bad directive or wrong number of arguments"),
        ("mod.a", 1, "Module config specified without value"),
        ("sentinel monitor", 1, "sentinel directive while not in sentinel mode"),
        ("port 1\0", 1, "NUL byte in configuration line"),
        ("replicaof", 1, "wrong number of arguments"),
        ("replicaof ''", 1, "wrong number of arguments"),
        ("replicaof no", 1, "wrong number of arguments"),
        ("replicaof a b", 1, "Invalid primary port"),
        ("unixsocketperm 999", 1, "argument couldn't be parsed as an octal number"),
        ("unixsocketperm 1000", 1, "argument must be between 0 and 777 inclusive"),
        ("cluster-config-file ''", 1, "cluster-config-file can't be empty"),
        ("appendfilename a/b", 1, "appendfilename can't be a path, just a filename"),
        ("appenddirname a/b", 1, "appenddirname can't be a path, just a dirname"),
        ("foo x\nport \"", 1, "Bad directive or wrong number of arguments"),
    ];
    for (text, line, reason) in cases {
        let error = load(text).unwrap_err();
        assert_eq!((error.place.as_ref().unwrap().0, error.reason.as_str()), (line, reason), "{text}");
    }
}

fn command_line(args: &[&str]) -> CommandLine {
    parse_command_line(args)
}

#[test]
fn command_lines() {
    let options = |args: &[&str]| String::from_utf8(command_line(args).options).unwrap();
    assert_eq!(options(&["--port", "7000", "--bind", "a", "::1"]), "port \"7000\" \nbind \"a\" \"::1\" ");
    assert_eq!(options(&["--save", "--port", "1"]), "save \"\"\nport \"1\" ");
    assert_eq!(options(&["--port", "1", "--save"]), "port \"1\" \nsave \"\"");
    assert_eq!(options(&["--save", "900 1", "--save", "300", "10"]), "save \"900 1\" \nsave \"300\" \"10\" ");
    assert_eq!(options(&["--hz", "--port", "7"]), "hz \"--port\" \"7\" ");
    assert_eq!(options(&["--port 7", "--hz 5"]), "port 7 \nhz 5 ");
    assert_eq!(options(&["--hz", "-", "--port", "1"]), "hz \"-\" \nport \"1\" ");
    assert_eq!(options(&["--sentinel", "--port", "1"]), "sentinel \nport \"1\" ");
    let line = command_line(&["/etc/a.conf", "--port", "1", "-"]);
    assert_eq!((line.config_file.as_deref(), line.stdin), (Some(b"/etc/a.conf".as_slice()), true));
    let line = command_line(&["-", "--port", "x"]);
    assert_eq!((line.config_file.as_deref(), line.stdin), (None, true));
    let error = load(std::str::from_utf8(&line.text(b"", b"")).unwrap()).unwrap_err();
    assert_eq!(error.place, Some((2, b"port \"x\"".to_vec())));
    assert_eq!(line.directives().unwrap()[0].args, [b"x"]);
    let later = command_line(&["a.conf", "--port", "2", "--save", ""]);
    let settings = load(std::str::from_utf8(&later.text(b"port 1\nsave 1 1\n", b"")).unwrap()).unwrap();
    assert_eq!((shown(&settings, "port").as_str(), shown(&settings, "save").as_str()), ("2", ""));
}

#[test]
fn command_line_actions() {
    let action = |args: &[&str]| command_line(args).action;
    assert_eq!(action(&[]), Action::Start);
    assert_eq!(action(&["--port", "--help"]), Action::Start);
    assert_eq!(action(&["-v"]), Action::Version);
    assert_eq!(action(&["--version"]), Action::Version);
    assert_eq!(action(&["-h"]), Action::Help);
    assert_eq!(action(&["--help"]), Action::Help);
    assert_eq!(action(&["--check-system"]), Action::CheckSystem);
    assert_eq!(action(&["--test-memory", "64"]), Action::TestMemory(Some(64)));
    assert_eq!(action(&["--test-memory"]), Action::TestMemory(None));
}

#[test]
fn getting() {
    let settings = Settings::new();
    let names = |patterns: &[&str]| {
        let pairs = settings.get(patterns);
        pairs.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["MAXMEMORY"]), ["MAXMEMORY"]);
    assert_eq!(names(&["maxmemory", "MaxMemory", "maxmemor?"]), ["maxmemory"]);
    assert_eq!(names(&["slave-priority"]), ["slave-priority"]);
    assert_eq!(names(&["*-PRIORITY", "slave-priority"]), ["replica-priority", "slave-priority"]);
    assert_eq!(names(&["h[a-z]"]), ["hz"]);
    assert_eq!(names(&["debug-contex?"]), Vec::<String>::new());
    assert_eq!(names(&["debug-context"]), ["debug-context"]);
    assert_eq!(names(&["dynamic-hz", "nope", ""]), Vec::<String>::new());
}

#[test]
fn setting_many() {
    let mut settings = Settings::new();
    let local = Caller { is_local: true, while_loading: false };
    let mut refusal = |pairs: &[(&str, &str)]| {
        let before = settings.clone();
        let text = settings.set_many(pairs, local).unwrap_err().to_string();
        assert!(before == settings, "a refused CONFIG SET changed something");
        text
    };
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("nope", "1")], "Unknown option or number of arguments for CONFIG SET - 'nope'"),
        (&[("hz", "20"), ("Nope", "1")], "Unknown option or number of arguments for CONFIG SET - 'Nope'"),
        (
            &[("Databases", "3"), ("nope", "1")],
            "CONFIG SET failed (possibly related to argument 'Databases') - can't set immutable config",
        ),
        (&[("dir", "/tmp")], "CONFIG SET failed (possibly related to argument 'dir') - can't set protected config"),
        (
            &[("Hz", "10"), ("port", "1"), ("hZ", "11")],
            "CONFIG SET failed (possibly related to argument 'hZ') - duplicate parameter",
        ),
        (
            &[("hz", "20"), ("Slave-Priority", "x")],
            "CONFIG SET failed (possibly related to argument 'slave-priority') - argument couldn't be parsed into an integer",
        ),
    ];
    for (pairs, expected) in cases {
        assert_eq!(refusal(pairs), *expected);
    }
    let pairs = [("slave-priority", "1"), ("replica-priority", "2"), ("hz", "10"), ("port", "1")];
    assert_eq!(settings.set_many(&pairs, local), Ok(vec![Setting::Port, Setting::ReplicaPriority]));
    assert_eq!(shown(&settings, "slave-priority"), "2");
    let loading = Caller { is_local: true, while_loading: true };
    assert_eq!(settings.set_many(&[("appendonly", "yes")], loading), Err(SetError::Loading));
    let mut open = load("enable-protected-configs local").unwrap();
    assert_eq!(open.set_many(&[("dir", "/x")], local), Ok(vec![Setting::Dir]));
    assert!(open.set_many(&[("dir", "/y")], Caller::default()).is_err());
}

const MEMORY_REFUSAL: &str = "argument must be a memory value";
const INTEGER_REFUSAL: &str = "argument couldn't be parsed into an integer";
const TITLE_REFUSAL: &str = "template format is invalid or contains unknown variables";
const LIMITS_REFUSAL: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
const SAVE_REFUSAL: &str = "Invalid save parameters";

/// Name, text, and what is shown afterwards or the reason for the refusal. Each was asked of a running Valkey 9.1.
const VALUES: &[(&str, &str, &str)] = &[
    ("maxmemory", "1gB", "1073741824"),
    ("maxmemory", "5Kb", "5120"),
    ("maxmemory", "5m", "5000000"),
    ("maxmemory", "", "0"),
    ("maxmemory", "gb", "0"),
    ("maxmemory", "5k\0x", "5000"),
    ("maxmemory", "18446744073709551615", "18446744073709551615"),
    ("maxmemory", "18446744073709551615k", "18446744073709550616"),
    ("maxmemory", "18446744073709551616", MEMORY_REFUSAL),
    ("maxmemory", "1 gb", MEMORY_REFUSAL),
    ("maxmemory", "1.5gb", MEMORY_REFUSAL),
    ("maxmemory", "-1", MEMORY_REFUSAL),
    ("maxmemory-clients", "5%", "5%"),
    ("maxmemory-clients", "0%", "0"),
    ("maxmemory-clients", "101%", "percentage argument must be less or equal to 100"),
    ("maxmemory-clients", "%", "argument must be a memory or percent value"),
    ("maxmemory-clients", "-5", "argument must be a memory or percent value"),
    ("maxmemory-clients", "18446744073709551615", "1%"),
    ("proto-max-bulk-len", "1mb", "1048576"),
    ("proto-max-bulk-len", "1m", "argument must be between 1048576 and 9223372036854775807 inclusive"),
    ("slot-migration-max-failover-repl-bytes", "-1", "-1"),
    ("slot-migration-max-failover-repl-bytes", "-2", "argument must be between -1 and 9223372036854775807 inclusive"),
    ("slot-migration-max-failover-repl-bytes", "-1kb", MEMORY_REFUSAL),
    ("slot-migration-max-failover-repl-bytes", "3kb", "3072"),
    ("cluster-blacklist-ttl", "-1", "-1"),
    ("hz", "0", "1"),
    ("repl-backlog-size", "1", "16384"),
    ("repl-backlog-size", "0", "argument must be between 1 and 9223372036854775807 inclusive"),
    ("cluster-announce-ip", "a\0b", "cluster-announce-ip contains invalid character"),
    ("hz", "1000", "500"),
    ("hz", "007", INTEGER_REFUSAL),
    ("hz", "+7", INTEGER_REFUSAL),
    ("hz", "-0", INTEGER_REFUSAL),
    ("hz", "7\0", INTEGER_REFUSAL),
    ("maxclients", "-1", "argument must be between 1 and 4294967295 inclusive"),
    ("timeout", "2147483648", "argument must be between 0 and 2147483647 inclusive"),
    ("appendonly", "YES\0", "yes"),
    ("appendonly", "maybe", "argument must be 'yes' or 'no'"),
    ("loglevel", "Debug", "debug"),
    ("loglevel", "x", "argument(s) must be one of the following: debug, verbose, notice, warning, nothing"),
    ("oom-score-adj", "relative", "yes"),
    ("oom-score-adj-values", "1 -2 +30", "1 -2 30"),
    ("oom-score-adj-values", "1 2", "wrong number of arguments"),
    ("oom-score-adj-values", "1 2 3000", "Invalid oom-score-adj-values, elements must be between -2000 and 2000."),
    ("save", "100", SAVE_REFUSAL),
    ("save", "100 ", "100 0"),
    ("save", "0 1", SAVE_REFUSAL),
    ("save", " 1 2", SAVE_REFUSAL),
    ("save", "+1 -0", "1 0"),
    ("save", "99999999999999999999 5000000000", "9223372036854775807 705032704"),
    ("save", "", ""),
    ("bind", "", ""),
    ("bind", "a b c d e f g h i j k l m n o p q", "Too many bind addresses specified."),
    ("shutdown-on-sigint", "now nosave", "nosave now"),
    ("shutdown-on-sigint", "force safe failover default", "force safe failover"),
    ("shutdown-on-sigint", "save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
    ("notify-keyspace-events", "KEA", "AKE"),
    ("notify-keyspace-events", "Kg$lshzxetdEmn", "AKEm"),
    ("notify-keyspace-events", "g$lshzxetd", "A"),
    ("notify-keyspace-events", "nEl", "lnE"),
    ("notify-keyspace-events", "Kq", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
    ("latency-tracking-info-percentiles", "100.0 1.5 0.000000001 .5 1e1 99.", "100 1.5 0 0.5 10 99"),
    ("latency-tracking-info-percentiles", "0x10", "Invalid latency-tracking-info-percentiles parameters"),
    (
        "latency-tracking-info-percentiles",
        "inf",
        "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
    ),
    (
        "client-output-buffer-limit",
        "NORMAL 1 2 3 replica 1mb 2 3",
        "normal 1 2 3 slave 1048576 2 3 pubsub 33554432 8388608 60",
    ),
    ("client-output-buffer-limit", "normal 1 2 ", "normal 1 2 0 slave 1048576 2 3 pubsub 33554432 8388608 60"),
    ("client-output-buffer-limit", "normal 1 2", "Wrong number of arguments in buffer limit configuration."),
    ("client-output-buffer-limit", "master 1 1 1", "Invalid client class specified in buffer limit configuration."),
    ("client-output-buffer-limit", "normal 1 2 -1", LIMITS_REFUSAL),
    ("client-output-buffer-limit", "normal -1 2 3", LIMITS_REFUSAL),
    ("requirepass", "a\0b", "a\0b"),
    ("ignore-warnings", "a\0b", "a"),
    ("proc-title-template", "x{{y", "x{{y"),
    ("proc-title-template", "a}b", "a}b"),
    ("proc-title-template", "{title}", TITLE_REFUSAL),
    ("proc-title-template", "{port}", "{port}"),
    ("proc-title-template", "{bad}", TITLE_REFUSAL),
    ("proc-title-template", "{server-mode}", TITLE_REFUSAL),
    ("proc-title-template", "a{", TITLE_REFUSAL),
    ("proc-title-template", "   ", TITLE_REFUSAL),
    ("cluster-announce-hostname", "-a.b", "-a.b"),
    ("cluster-announce-hostname", "a_b", "Hostnames may only contain alphanumeric characters, hyphens or dots"),
    ("cluster-announce-human-nodename", "a b", "Announced human node name contained invalid character"),
    ("cluster-announce-ip", "a b", "cluster-announce-ip contains invalid character"),
    ("cluster-announce-client-ipv4", "1.2.3.04", "Invalid IPv4 address"),
    ("cluster-announce-client-ipv6", "::ffff:1.2.3.4", "::ffff:1.2.3.4"),
];

#[test]
fn values_are_read_as_valkey_does() {
    let mut settings = Settings::new();
    for (name, text, expected) in VALUES {
        assert_eq!(set_shown(&mut settings, name, text), *expected, "{name} {text:?}");
    }
    let long = "a".repeat(256);
    let refusal = "Hostnames must be less than 256 characters";
    assert_eq!(set_shown(&mut settings, "cluster-announce-hostname", &long), refusal);
}

#[test]
fn remarks_name_what_has_no_effect() {
    assert_eq!(Settings::new().remarks(), Vec::<String>::new());
    let settings = load("io-threads 4\nappendonly yes\nport 7000").unwrap();
    let remarks = settings.remarks();
    assert_eq!(remarks.len(), 2);
    assert!(remarks[0].starts_with("'io-threads' is accepted but means nothing here: "), "{}", remarks[0]);
    assert!(remarks[1].starts_with("'appendonly' is kept but has no effect in this version: "), "{}", remarks[1]);
}

/// Texts that are often right for some directive, and often nearly so.
fn likely_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "(yes|no|local|legacy|debug|default|now|force|save|nosave|-1|0|1|65535)",
        "[0-9]{1,20}(b|k|kb|m|mb|g|gb|%)?",
        "-?[0-9]{1,3}",
        "[0-9]{1,4} [0-9]{1,4}( [0-9]{1,4})?",
        "(normal|slave|replica|pubsub) [0-9]{1,4}(kb)? [0-9]{1,4} [0-9]{1,3}",
        "[0-9]{1,2}(\\.[0-9]{1,7})?( [0-9]{1,2}(\\.[0-9]{1,7})?)?",
        "[Ag$lshzxeKEtmdn]{0,6}",
        "[a-z0-9.:*-]{1,12}( [a-z0-9.:*-]{1,12})?",
        "\\PC{0,12}",
    ]
}

#[test]
fn new_keys_count_although_they_are_not_shown() {
    let mut settings = Settings::new();
    settings.set_one(Setting::NotifyKeyspaceEvents, b"KEAn").unwrap();
    assert_eq!(settings.render(Setting::NotifyKeyspaceEvents), b"AKE");
    assert_eq!(settings.text(Setting::NotifyKeyspaceEvents), b"AnKE");
}

proptest! {
    #[test]
    fn what_is_shown_can_be_set_again(index in 0..Setting::ALL.len(), text in likely_text()) {
        let setting = Setting::ALL[index];
        let mut settings = Settings::new();
        // Without the rules on when a setting may change: this is about values.
        if settings.set_one(setting, text.as_bytes()).is_ok() {
            let shown = settings.render(setting);
            prop_assume!(setting != Setting::ReplicaOf || !shown.is_empty());
            let mut again = Settings::new();
            prop_assert_eq!(again.set_one(setting, &shown), Ok(()));
            // Of new keys beside all other classes Valkey does not tell.
            let is_silent = setting == Setting::NotifyKeyspaceEvents && settings.text(setting).starts_with(b"An");
            prop_assert_eq!(again.value(setting) == settings.value(setting), !is_silent);
            prop_assert_eq!(again.render(setting), shown);
        }
    }

    #[test]
    fn a_file_line_gives_the_value_back(index in 0..Setting::ALL.len(), text in likely_text()) {
        let setting = Setting::ALL[index];
        let mut settings = Settings::new();
        // A single argument is split once more where several words may stand, so quotes in it would count again.
        let is_plain = !text.contains(['\0', '"', '\'', '\\', '\t', '\u{b}', '\u{c}']);
        if is_plain && settings.set_one(setting, text.as_bytes()).is_ok() {
            prop_assume!(setting != Setting::ReplicaOf || !settings.render(setting).is_empty());
            let mut line = setting.row().name.as_bytes().to_vec();
            line.push(b' ');
            quote(&settings.render(setting), &mut line);
            let mut again = Settings::new();
            let parsed = parse_text(&line).unwrap();
            prop_assert_eq!(again.apply(&parsed[0]), Ok(Applied::Set(setting)));
            prop_assert_eq!(again.render(setting), settings.render(setting));
        }
    }

    #[test]
    fn quoting_is_undone_by_splitting(words: Vec<Vec<u8>>) {
        let mut line = Vec::new();
        for word in &words {
            quote(word, &mut line);
            line.push(b' ');
        }
        prop_assert_eq!(split_words(&line), Some(words));
    }

    #[test]
    fn any_bytes_as_a_file(text: Vec<u8>) {
        let mut settings = Settings::new();
        for directive in directives(&text).flatten() {
            let _ = settings.apply(&directive);
        }
    }

    #[test]
    fn any_words_as_a_value(index in 0..Setting::ALL.len(), words in prop::collection::vec(any::<Vec<u8>>(), 0..6)) {
        let setting = Setting::ALL[index];
        let directive = Directive { line: 1, name: setting.row().name.into(), args: words.clone(), raw: Vec::new() };
        let mut settings = Settings::new();
        let _ = settings.apply(&directive);
        let _ = settings.set_one(setting, &words.concat());
        let _ = settings.get(&words);
    }

    #[test]
    fn any_command_line(args in prop::collection::vec("(-|--|--port|--save|--sentinel|7000|\\PC{0,6})", 0..6)) {
        let line = parse_command_line(&args);
        let _ = line.directives();
    }
}
