//! Configuration files and command lines beside a real valkey-server: both start with the same values, or refuse with the
//! same line and reason.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::server::{Kind, Setup, free_port, peer, program, skip};
use ringkey_tests::{Address, Client};
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Directives whose values are compared when both have started.
const COMPARED: [&str; 14] = [
    "timeout",
    "save",
    "appendfsync",
    "requirepass",
    "maxmemory",
    "maxclients",
    "bind",
    "client-output-buffer-limit",
    "proc-title-template",
    "hz",
    "loglevel",
    "notify-keyspace-events",
    "shutdown-on-sigint",
    "hash-max-listpack-entries",
];

/// How long a server may take to start or to refuse.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a start.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It runs, with these values.
    Runs(Vec<String>),
    /// It refused; the line that it names, and the reason.
    Refused(String),
}

struct Start<'a> {
    /// `PORT` stands for a free port.
    args: &'a [&'a str],
    /// The text of `a.conf` in the working directory.
    file: Option<&'a [u8]>,
    stdin: Option<&'a [u8]>,
}

/// A process that is ended with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(kind: Kind, what: &Start<'_>) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let mut command = Command::new(program(kind).unwrap());
    command.current_dir(folder.path()).stdin(Stdio::null());
    command.args(what.args.iter().map(|arg| arg.replace("PORT", &port.to_string())));
    if let Some(text) = what.file {
        let text = String::from_utf8_lossy(text).replace("PORT", &port.to_string());
        std::fs::write(folder.path().join("a.conf"), text).unwrap();
    }
    if let Some(text) = what.stdin {
        let path = folder.path().join("stdin");
        std::fs::write(&path, String::from_utf8_lossy(text).replace("PORT", &port.to_string())).unwrap();
        command.stdin(File::open(path).unwrap());
    }
    let out = File::create(&log).unwrap();
    command.stdout(out.try_clone().unwrap()).stderr(out);
    let mut child = Ended(command.spawn().unwrap());
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "{:?} neither started nor refused:\n{}", what.args, text_of(&log));
        if child.0.try_wait().unwrap().is_some() {
            let log = text_of(&log).replace(&folder.path().display().to_string(), "FOLDER");
            return Outcome::Refused(reason_of(&log, port));
        }
        if text_of(&log).contains("Ready to accept connections") {
            return Outcome::Runs(values(port));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn text_of(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// The line and the reason behind the head of the block, which names versions and counts lines.
fn reason_of(log: &str, port: u16) -> String {
    let lines = log.lines().skip_while(|line| !line.contains("*** FATAL CONFIG FILE ERROR")).skip(1);
    let told: Vec<&str> = lines.filter(|line| !line.starts_with("Reading the configuration file")).collect();
    let fatal = log.lines().find_map(|line| line.find("Fatal error").map(|at| &line[at..]));
    let told = if told.is_empty() { fatal.unwrap_or("ended without a reason").to_owned() } else { told.join("\n") };
    // What stands behind the blanks at the end of a line is the same line.
    told.replace(&port.to_string(), "PORT").replace(" '\n", "'\n")
}

fn values(port: u16) -> Vec<String> {
    let mut client = Client::connect(&Address::Tcp((Ipv4Addr::LOCALHOST, port).into())).unwrap();
    let _ = client.command(&["AUTH", "pass word"]);
    COMPARED.iter().map(|name| client.command(&["CONFIG", "GET", name]).to_string()).collect()
}

/// Starts both in all these ways; gives the ways in which they differ.
fn compare(starts: &[Start<'_>]) {
    if peer("valkey-server").is_none() {
        return skip("no valkey-server: fetch the peers");
    }
    let mut differing = Vec::new();
    for what in starts {
        let [ours, theirs] = [Kind::Ringkey, Kind::Reference].map(|kind| start(kind, what));
        if ours != theirs {
            let file = what.file.or(what.stdin).map(String::from_utf8_lossy);
            differing.push(format!("{:?} {file:?}\n  ours: {ours:?}\n  reference: {theirs:?}", what.args));
        }
    }
    assert!(differing.is_empty(), "{} of {} differ:\n{}", differing.len(), starts.len(), differing.join("\n"));
}

#[test]
fn command_lines() {
    let own = ["--port", "PORT", "--save", "", "--bind", "127.0.0.1"];
    let with: Vec<Vec<&str>> = [
        &[][..],
        &["--timeout", "5"],
        &["--timeout 5"],
        &["--timeout", " 5 "],
        &["--TIMEOUT", "5"],
        &["timeout", "5"],
        &["--timeout"],
        &["--timeout", "5", "6"],
        &["--timeout", "--hz"],
        &["--timeout", "--5"],
        &["--timeout", ""],
        &["--timeout", "abc"],
        &["--timeout", "-1"],
        &["--timeout", "99999999999"],
        &["--nosuch", "1"],
        &["--nosuch"],
        &["--"],
        &["--", "timeout", "5"],
        &["---timeout", "5"],
        &["-timeout", "5"],
        &["--maxmemory", "100mb"],
        &["--maxmemory", "12x"],
        &["--requirepass", "pass word"],
        &["--requirepass", "\"pass word\""],
        &["--requirepass", "--pass"],
        &["--save", "60 1"],
        &["--save", "60", "1"],
        &["--save", "60", "1", "300", "10"],
        &["--save", "60 1", "300 10"],
        &["--save", "60 1 300 10"],
        &["--save", "60"],
        &["--save"],
        &["--save", "--timeout", "7"],
        &["--save", "900 1", "--save", "", "--save", "300 2"],
        &["--save", "''"],
        &["--save", "\"\""],
        &["--appendfsync", "always", "--timeout", "3"],
        &["--bind", "127.0.0.1", "-::1"],
        &["--bind", "127.0.0.1 -::1"],
        &["--bind", "127.0.0.1", "-192.0.2.77"],
        &["--client-output-buffer-limit", "normal", "1mb", "2", "3", "pubsub", "1", "2", "3"],
        &["--client-output-buffer-limit", "normal 1mb 2 3"],
        &["--client-output-buffer-limit", "normal 1mb 2"],
        &["--proc-title-template", "{title} {port}"],
        &["--proc-title-template", "{nosuch}"],
        &["--notify-keyspace-events", "KEA"],
        &["--notify-keyspace-events", "KEAx"],
        &["--shutdown-on-sigint", "nosave", "now"],
        &["--shutdown-on-sigint", "nosave save"],
        &["--shutdown-on-sigint", "\"nosave force\""],
        &["--hash-max-ziplist-entries", "77"],
        &["--rename-command", "get", "fetch"],
        &["--rename-command", "get"],
        &["--loglevel", "verbose\n--timeout", "3"],
        &["--timeout", "3\n"],
        &["--timeout", "3\nhz 33"],
        &["--databases", "0"],
        &["--io-threads-do-reads", "yes"],
        &["--list-max-ziplist-entries", "512"],
        &["--lua-replicate-commands"],
        &["--some.module"],
        &["--hz", "1000", "--maxclients", "50"],
        &["-"],
        &["--timeout", "4", "-"],
        &["--timeout", "-", "4"],
    ]
    .iter()
    .map(|more| [&own[..], more].concat())
    .collect();
    let starts: Vec<Start<'_>> = with.iter().map(|args| Start { args, file: None, stdin: Some(b"hz 44\n") }).collect();
    compare(&starts);
    let before: Vec<Vec<&str>> = [
        &["a.conf"][..],
        &["./a.conf", "--hz", "12"],
        &["a.conf", "-"],
        &["-"],
        &["nosuch.conf"],
        &["a.conf", "b.conf"],
    ]
    .iter()
    .map(|more| [more, &own[..]].concat())
    .collect();
    let file = Some(&b"timeout 8\nhz 11\n"[..]);
    let starts: Vec<Start<'_>> =
        before.iter().map(|args| Start { args, file, stdin: Some(b"maxclients 33\n") }).collect();
    compare(&starts);
}

#[test]
fn files() {
    let long = [&b"# "[..], &vec![b'x'; 200_000], b"\ntimeout 5\n"].concat();
    let long_value = [b"requirepass ".as_slice(), &vec![b'x'; 100_000], b"\ntimeout x\n"].concat();
    let texts: Vec<&[u8]> = vec![
        b"",
        b"\n\n\n",
        b"# only a comment",
        b"timeout 5",
        b"timeout 5\r\nhz 20\r\n",
        b"\xef\xbb\xbftimeout 5\n",
        b"timeout 5 # not a comment\n",
        b"  timeout\t\t5  \n",
        b"TimeOut 5\n",
        b"timeout \"5\"\n",
        b"timeout '5'\n",
        b"timeout \"5\n",
        b"timeout '5\n",
        b"timeout \"5\"x\n",
        b"timeout\n",
        b"timeout 5 6\n",
        b"nosuch\n",
        b"nosuch a b c\n",
        b"\"timeout\" 7\n",
        b"\"\"\n",
        b"\"\" 5\n",
        b"timeout \\x35\n",
        b"timeout \"\\x35\"\n",
        b"timeout -5\n",
        b"maxmemory 1tb\n",
        b"maxmemory 5%\n",
        b"maxclients 0\n",
        b"save\n",
        b"save 60\n",
        b"save 60 1\nsave 300 10\n",
        b"save 60 1 300 10\n",
        b"save \"60 1 300 10\"\n",
        b"save \"\"\nsave 60 1\n",
        b"save 60 1\nsave \"\"\n",
        b"save 0 1\n",
        b"requirepass \"pass word\"\n",
        b"requirepass a b\n",
        b"requirepass \"\"\n",
        b"requirepass\n",
        b"bind 127.0.0.1 -::1 -192.0.2.77\n",
        b"bind \"127.0.0.1 -::1\"\n",
        b"client-output-buffer-limit normal 1mb 0 0\nclient-output-buffer-limit pubsub 1 2 3\n",
        b"client-output-buffer-limit normal 1mb\n",
        b"client-output-buffer-limit\n",
        b"client-output-buffer-limit nosuch 1 2 3\n",
        b"shutdown-on-sigint nosave now\n",
        b"shutdown-on-sigint\n",
        b"include\n",
        b"include a b\n",
        b"rename-command get\n",
        b"rename-command nosuch x\n",
        b"user\n",
        b"loadmodule\n",
        b"sentinel monitor x\n",
        b"appendfilename a/b\n",
        b"dbfilename \"\"\n",
        b"dir /nosuch/dir\n",
        b"dir \"\"\n",
        b"unixsocketperm 888\n",
        b"unixsocketperm 1777\n",
        b"oom-score-adj-values 1 2\n",
        b"replicaof no one\n",
        b"replicaof host\n",
        b"replicaof host x\n",
        b"notify-keyspace-events \"\"\n",
        b"proc-title-template \"{nosuch}\"\n",
        b"port -1\n",
        b"port 65536\n",
        b"databases 0\n",
        b"tcp-backlog x\n",
        b"hz 1000\nhz 0\n",
        b"hash-max-listpack-entries 7\nhash-max-ziplist-entries 8\n",
        b"list-max-ziplist-entries 5\n",
        b"list-max-ziplist-entries 5 6\n",
        b"module.setting\n",
        b"cluster-announce-hostname a_b\n",
        b"latency-tracking-info-percentiles 101\n",
        b"latency-tracking-info-percentiles 50 a\n",
        b"loglevel loud\n",
        b"syslog-facility local9\n",
        &long,
        &long_value,
    ];
    let args = ["a.conf", "--port", "PORT", "--bind", "127.0.0.1"];
    let starts: Vec<Start<'_>> =
        texts.iter().map(|text| Start { args: &args, file: Some(text), stdin: None }).collect();
    compare(&starts);
}

/// Ours, with this text in `a.conf`: why it refuses.
fn refusal(args: &[&str], text: &str) -> String {
    match start(Kind::Ringkey, &Start { args, file: Some(text.as_bytes()), stdin: None }) {
        Outcome::Refused(reason) => reason,
        Outcome::Runs(_) => panic!("it started: {args:?} {text:?}"),
    }
}

#[test]
fn what_only_ours_says() {
    let args = ["a.conf", "--port", "PORT", "--bind", "127.0.0.1"];
    for (text, reason) in [
        ("include a.conf\n", "includes itself"),
        ("include ./a.conf\n", "includes itself"),
        ("include *.conf\n", "includes itself"),
        ("include nosuch.conf\n", "can't open config file 'nosuch.conf': No such file or directory"),
        ("include /dev/zero\n", "can't open config file '/dev/zero': "),
        ("include .\n", "can't open config file '.': Is a directory"),
        ("module.setting 5\n", "Modules are not supported"),
        ("locale-collate nosuch\n", "locale"),
        ("user default on nopass\n", "ACL users are not supported"),
        ("aclfile users.acl\n", "ACL files are not supported"),
        ("timeout 5\0\n", "NUL byte"),
        ("core-ports 0\n", "argument must be 'no' or a port from 1 to 65535"),
    ] {
        let told = refusal(&args, text);
        assert!(told.contains(reason), "{text:?}: {told}");
    }
    // The reference starts as if nothing was in them.
    for name in ["", "."] {
        let told = refusal(&[name, "--port", "PORT"], "");
        assert!(told.contains("can't open config file"), "{name}: {told}");
    }
}

#[test]
fn files_that_lead_back_to_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("b.conf"), format!("hz 20\ninclude {}\n", path("c.conf"))).unwrap();
    std::fs::write(path("c.conf"), format!("hz 30\ninclude {}\n", path("b.conf"))).unwrap();
    let args = ["a.conf", "--port", "PORT", "--bind", "127.0.0.1"];
    let told = refusal(&args, &format!("include {}\n", path("b.conf")));
    assert!(told.contains("includes itself") && told.contains(">>> 'include"), "{told}");
    // One after the other is no loop.
    std::fs::write(path("c.conf"), "hz 30\n").unwrap();
    let twice = format!("include {0}\ninclude {0}\n", path("b.conf"));
    let outcome = start(Kind::Ringkey, &Start { args: &args, file: Some(twice.as_bytes()), stdin: None });
    let Outcome::Runs(values) = outcome else { panic!("{outcome:?}") };
    assert!(values.iter().any(|value| value.contains("\"hz\"   \"30\"")), "{values:?}");
    // Each names the next one twice: no loop, but it would take for ever.
    for number in 0..40 {
        let next = path(&format!("d{}.conf", number + 1));
        std::fs::write(path(&format!("d{number}.conf")), format!("include {next}\ninclude {next}\n")).unwrap();
    }
    let told = refusal(&args, &format!("include {}\n", path("d0.conf")));
    assert!(told.contains("too deeply"), "{told}");
}

/// Directives that are read at the start only, and values that both are to take or to refuse alike.
const AT_START: &[(&str, &[&str])] = &[
    ("aclfile", &[""]),
    ("always-show-logo", &["yes", "perhaps"]),
    ("aof-rewrite-cpulist", &["0", ""]),
    ("appenddirname", &["dir", "a/b", ""]),
    ("appendfilename", &["file", "a\\b", ""]),
    ("bio-cpulist", &["0"]),
    ("cluster-announce-port", &["65535", "65536", "-1"]),
    ("cluster-config-file", &["a.nodes", ""]),
    ("cluster-enabled", &["no", "1"]),
    ("cluster-port", &["0", "65536"]),
    ("cluster-databases", &["0", "1", "2147483648"]),
    ("databases", &["0", "1", "17", "2147483648", "x"]),
    ("disable-thp", &["no", ""]),
    ("enable-debug-assert", &["yes", "x"]),
    ("enable-debug-command", &["local", "yes", "remote"]),
    ("enable-module-command", &["local", "yes", "remote"]),
    ("enable-protected-configs", &["LOCAL", "true"]),
    ("hash-seed", &["abc", "\"a b\"", ""]),
    ("io-threads", &["0", "1", "257", "x"]),
    ("logfile", &["\"\""]),
    ("mptcp", &["no", "x"]),
    ("pidfile", &["/nosuch/dir/pid"]),
    ("rdbchecksum", &["no", "x"]),
    ("rdma-completion-vector", &["-2", "1025"]),
    ("rdma-rx-size", &["1", "16777217"]),
    ("repl-mptcp", &["no", "x"]),
    ("server-cpulist", &["0", "0-1"]),
    ("set-proc-title", &["no", "x"]),
    ("socket-mark-id", &["0", "-1", "4294967296"]),
    ("supervised", &["no", "auto", "maybe"]),
    ("syslog-enabled", &["x"]),
    ("syslog-facility", &["LOCAL7", "mail"]),
    ("syslog-ident", &["me", "a b"]),
    ("tcp-backlog", &["0", "1", "-1", "2147483648"]),
    ("unixsocketgroup", &["nosuch", ""]),
    ("unixsocketperm", &["0", "777", "1000", "8", "-1", "x"]),
];

#[test]
fn directives_that_are_read_at_the_start() {
    let lines: Vec<String> = AT_START
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| format!("{name} {value}\n")))
        .collect();
    let args = ["a.conf", "--port", "PORT", "--bind", "127.0.0.1"];
    let starts: Vec<Start<'_>> =
        lines.iter().map(|line| Start { args: &args, file: Some(line.as_bytes()), stdin: None }).collect();
    compare(&starts);
}

/// How many sockets of MPTCP there are, if the kernel knows it.
fn sockets_on_several_paths() -> Option<u32> {
    let protocols = std::fs::read_to_string("/proc/net/protocols").ok()?;
    let line = protocols.lines().find(|line| line.starts_with("MPTCP "))?;
    line.split_whitespace().nth(2)?.parse().ok()
}

#[test]
fn sockets_as_the_configuration_wants_them() {
    use std::os::unix::fs::MetadataExt as _;
    // Whoever owns the folder of a test belongs to a group that the socket can be given to.
    let folder = tempfile::tempdir().unwrap();
    let group = folder.path().metadata().unwrap().gid();
    let server = Setup::of(Kind::Ringkey)
        .unix_socket()
        .option("unixsocketgroup", &group.to_string())
        .option("unixsocketperm", "750")
        .option("mptcp", if sockets_on_several_paths().is_some() { "yes" } else { "no" })
        .option("socket-mark-id", "77")
        .start();
    let socket = server.dir().join("socket").metadata().unwrap();
    assert_eq!((socket.gid(), socket.mode() & 0o777), (group, 0o750));
    server.assert_alive();
    let mut client = Client::connect(&server.unix_address()).unwrap();
    assert_eq!(client.run("PING").lines(), ["+PONG"]);
    assert!(sockets_on_several_paths().is_none_or(|count| count > 0), "the listener is one of MPTCP");
    let refused = Setup::of(Kind::Ringkey).unix_socket().option("unixsocketgroup", "no-such-group").start_refused();
    assert!(refused.contains("there is no group 'no-such-group'"), "{refused}");
}

#[test]
fn one_seed_gives_one_order_of_keys() {
    let order = |seed: &str| {
        let setup = Setup::of(Kind::Ringkey).cores(1);
        let server = if seed.is_empty() { setup.start() } else { setup.option("hash-seed", seed).start() };
        let mut client = server.client();
        (0..500).for_each(|key| drop(client.command(&["SET", &format!("{{t}}{key}"), "v"])));
        client.run("SCAN 0 COUNT 1000").to_string() + &client.run("KEYS *").lines().concat()
    };
    let first = order("abc");
    assert_eq!(order("abc"), first);
    assert_ne!(order("abd"), first);
    assert_ne!(order(""), order(""), "without one it is drawn by lot");
}
