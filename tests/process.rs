//! The process seen from outside: its log, reports of crashes, how it starts in the background and tells a supervisor,
//! signals and the ways to stop, title, score, processors.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::client::{PATIENCE, encoded};
use ringkey_tests::running::wait_until;
use ringkey_tests::server::{Kind, Setup, free_port, program};
use ringkey_tests::{Address, Client, Server};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

fn debuggable() -> Setup {
    Setup::of(Kind::Ringkey).option("enable-debug-command", "yes").option("enable-protected-configs", "yes")
}

fn status_of(process: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    text.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
}

// ---- the log ----------------------------------------------------------------------------------------------------

/// Is this a timestamp in the form of that name?
fn is_stamp(form: &str, text: &str) -> bool {
    // Digits as 0, letters as a, the sign of the zone as +.
    let shape: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                '0'
            } else if c.is_ascii_alphabetic() && c != 'T' {
                'a'
            } else {
                c
            }
        })
        .collect();
    match form {
        "legacy" => shape == "00 aaa 0000 00:00:00.000",
        "iso8601" => ["0000-00-00T00:00:00.000+00:00", "0000-00-00T00:00:00.000-00:00"].contains(&shape.as_str()),
        _ => shape.len() == 13 && shape.chars().all(|c| c == '0'),
    }
}

/// Takes a line of logfmt apart: names, and values with or without quotes.
fn logfmt(line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        found.push((name.trim().to_owned(), value.to_owned()));
        rest = after;
    }
    found
}

fn check_line(format: &str, stamp: &str, process: u32, line: &str) {
    match format {
        "json" => {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["pid"], process, "{line}");
            assert_eq!(value["role"], "primary");
            assert!(["debug", "info", "notice", "warning"].contains(&value["level"].as_str().unwrap()), "{line}");
            assert!(is_stamp(stamp, value["timestamp"].as_str().unwrap()), "{line}");
            assert!(!value["message"].as_str().unwrap().is_empty());
        }
        "logfmt" => {
            let pairs = logfmt(line);
            let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["pid", "role", "timestamp", "level", "message"], "{line}");
            assert_eq!(pairs[0].1, process.to_string());
            assert!(is_stamp(stamp, &pairs[2].1), "{line}");
        }
        _ => {
            let rest = line.strip_prefix(&format!("{process}:M ")).unwrap_or_else(|| panic!("{line}"));
            let marks = [" . ", " - ", " * ", " # "];
            let at = marks.iter().filter_map(|mark| rest.find(mark)).min().unwrap();
            assert!(is_stamp(stamp, &rest[..at]), "{line}");
        }
    }
}

#[test]
fn every_line_has_the_form_that_was_asked_for() {
    for format in ["legacy", "logfmt", "json"] {
        for stamp in ["legacy", "iso8601", "milliseconds"] {
            let server = debuggable().option("log-format", format).option("log-timestamp-format", stamp).start();
            assert_eq!(server.client().command(&["DEBUG", "LOG", "a \"b\" \\c=d\te"]).lines(), ["+OK"]);
            let log = server.await_log("the line", |log| log.contains("DEBUG LOG") && log.ends_with('\n'));
            assert!(log.lines().count() > 4, "{log}");
            log.lines().for_each(|line| check_line(format, stamp, server.id(), line));
            let written = match format {
                "json" => "DEBUG LOG: a \\\"b\\\" \\\\c=d\\te",
                "logfmt" => "DEBUG LOG: a 'b' \\c=d\te",
                _ => "DEBUG LOG: a \"b\" \\c=d\te",
            };
            assert!(log.contains(written), "{log}");
        }
    }
}

#[test]
fn the_form_of_lines_and_the_level_change_while_it_runs() {
    let server = debuggable().start();
    let mut client = server.client();
    let set = |client: &mut Client, name: &str, value: &str| {
        assert_eq!(client.command(&["CONFIG", "SET", name, value]).lines(), ["+OK"]);
    };
    set(&mut client, "log-format", "json");
    set(&mut client, "log-timestamp-format", "iso8601");
    client.command(&["DEBUG", "LOG", "first"]);
    let log = server.await_log("the line", |log| log.contains("first") && log.ends_with('\n'));
    check_line("json", "iso8601", server.id(), log.lines().last().unwrap());
    set(&mut client, "log-format", "logfmt");
    client.command(&["DEBUG", "LOG", "second"]);
    let log = server.await_log("the line", |log| log.contains("second") && log.ends_with('\n'));
    check_line("logfmt", "iso8601", server.id(), log.lines().last().unwrap());
    set(&mut client, "loglevel", "nothing");
    client.command(&["DEBUG", "LOG", "third"]);
    set(&mut client, "loglevel", "verbose");
    drop(server.client());
    let log = server.await_log("the connection", |log| log.contains("Client closed connection id="));
    assert!(log.contains("message=\"Accepted 127.0.0.1:") && !log.contains("third"), "{log}");
}

#[test]
fn a_log_that_was_moved_away_is_followed_by_a_new_one() {
    let server = debuggable().log_file("server.log").start();
    let (path, moved) = (server.dir().join("server.log"), server.dir().join("server.log.1"));
    let mut client = server.client();
    client.command(&["DEBUG", "LOG", "before"]);
    server.await_log("the first line", |log| log.contains("before"));
    fs::rename(&path, &moved).unwrap();
    // Nothing needs to be sent; it does no harm either.
    server.signal(Signal::HUP);
    client.command(&["DEBUG", "LOG", "after"]);
    wait_until("a new file", || fs::read_to_string(&path).is_ok_and(|log| log.contains("after")));
    let old = fs::read_to_string(&moved).unwrap();
    assert!(old.contains("before") && !old.contains("after"), "{old}");
    assert_eq!(client.run("PING").lines(), ["+PONG"]);
}

#[test]
fn a_log_that_cannot_be_opened_stops_the_start() {
    let log = Setup::of(Kind::Ringkey).option("logfile", "/nonexistent/folder/log").start_refused();
    assert!(
        log.contains("*** FATAL CONFIG FILE ERROR") && log.contains("Can't open the log file: No such file"),
        "{log}"
    );
}

#[test]
fn an_output_that_nobody_reads_stops_nobody() {
    // More lines than pipe and queue hold, from clients that are served all the while.
    let mut command = std::process::Command::new(program(Kind::Ringkey).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--cores", "1", "--enable-debug-command", "yes"]);
    command.arg("--dir").arg(dir.path()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut client = connect(port);
    let line = "x".repeat(200);
    for _ in 0..6000 {
        assert_eq!(client.command(&["DEBUG", "LOG", &line]).lines(), ["+OK"]);
    }
    // Now somebody reads, and hears that lines are missing.
    let mut out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut log = String::new();
        out.read_to_string(&mut log).map(|_| log)
    });
    wait_until("room for another line", || {
        client.command(&["DEBUG", "LOG", "the last"]);
        client.run("PING").lines() == ["+PONG"]
    });
    client.send(&encoded(&["SHUTDOWN"])).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let log = reader.join().unwrap().unwrap();
    assert!(log.contains(" lines were lost"), "{}", log.len());
}

fn connect(port: u16) -> Client {
    let address = Address::Tcp((Ipv4Addr::LOCALHOST, port).into());
    let mut client = None;
    wait_until("a connection", || {
        client = Client::connect(&address).ok();
        client.as_mut().is_some_and(|client| client.try_command(&["PING"]).is_ok())
    });
    client.unwrap()
}

#[test]
fn what_clients_chose_stays_out_of_the_log() {
    for (hides, is_shown) in [("yes", false), ("no", true)] {
        let server = debuggable().option("loglevel", "verbose").option("hide-user-data-from-log", hides).start();
        let mut client = server.client();
        client.run("CLIENT SETNAME secretname");
        drop(client);
        let log = server.await_log("the end of the connection", |log| log.contains("cmd=client|setname"));
        assert_eq!(log.contains("name=secretname"), is_shown, "{log}");
        assert_eq!(log.contains("name=*redacted*"), !is_shown, "{log}");
    }
}

// ---- reports of crashes -----------------------------------------------------------------------------------------

fn crash(setup: Setup, how: impl FnOnce(&Server), signal: i32) -> String {
    let mut server = setup.start();
    how(&server);
    let status = server.wait(PATIENCE).expect("it ends");
    assert_eq!(status.signal(), Some(signal), "{}", server.log());
    server.log()
}

fn ask(words: &'static [&'static str]) -> impl FnOnce(&Server) {
    move |server| {
        let _ = server.client().try_command(words);
    }
}

fn judge_report(log: &str, parts: &[&str]) {
    let always = [
        "=== RINGKEY BUG REPORT START",
        "------ COMMANDS UNDER WAY ------",
        "------ STACK TRACE ------",
        "------ STACK TRACE DONE ------",
        "cores:2",
        "uptime_in_seconds:",
        "=== RINGKEY BUG REPORT END",
    ];
    let missing: Vec<&&str> = always.iter().chain(parts).filter(|part| !log.contains(**part)).collect();
    assert!(missing.is_empty(), "{missing:?} in\n{log}");
    assert_eq!(log.matches("BUG REPORT START").count(), 1, "{log}");
}

#[test]
fn a_fault_is_reported() {
    let log = crash(debuggable(), ask(&["DEBUG", "SEGFAULT"]), 11);
    judge_report(
        &log,
        &["crashed by signal: 11 (SIGSEGV)", "Accessing address: 0x", "Thread: core-", ": debug\n", "argc: 2"],
    );
    assert!(log.contains("argv[0]: \"DEBUG\"") && !log.contains("argv[1]"), "{log}");
    // The symbols: who called.
    assert!(log.contains("fault") && log.contains("carry_out"), "{log}");
    let shown = debuggable().option("hide-user-data-from-log", "no");
    let log = crash(shown, ask(&["DEBUG", "SEGFAULT"]), 11);
    judge_report(&log, &["argv[1]: \"SEGFAULT\""]);
}

#[test]
fn a_panic_is_reported() {
    let log = crash(debuggable(), ask(&["DEBUG", "PANIC"]), 6);
    judge_report(&log, &["DEBUG PANIC was called", "Thread: core-", ": debug\n", "argv[0]: \"DEBUG\"", "carry_out"]);
    let log = crash(debuggable().log_file("server.log"), ask(&["DEBUG", "ASSERT"]), 6);
    judge_report(&log, &["=== ASSERTION FAILED ===", "Thread: core-"]);
}

#[test]
fn a_signal_from_outside_is_reported() {
    for (signal, name, number) in
        [(Signal::SEGV, "SIGSEGV", 11), (Signal::ABORT, "SIGABRT", 6), (Signal::BUS, "SIGBUS", 7)]
    {
        let setup = debuggable().log_file("server.log").config("# some file\n");
        let log = crash(setup, |server| server.signal(signal), number);
        judge_report(
            &log,
            &[&format!("crashed by signal: {number} ({name})"), "Sent by PID: ", "core 0 (", "core 1 (", "test.conf"],
        );
    }
}

#[test]
fn no_report_is_made_where_none_is_wanted() {
    let log = crash(debuggable().option("crash-log-enabled", "no"), ask(&["DEBUG", "SEGFAULT"]), 11);
    assert!(!log.contains("REPORT"), "{log}");
    let set = |server: &Server| {
        assert_eq!(server.client().run("CONFIG SET crash-log-enabled no").lines(), ["+OK"]);
        server.signal(Signal::ABORT);
    };
    let log = crash(debuggable(), set, 6);
    assert!(!log.contains("REPORT"), "{log}");
}

#[test]
fn where_the_cores_are_is_told_on_sigalrm() {
    let server = debuggable().start();
    server.signal(Signal::ALARM);
    let log = server.await_log("the trace", |log| log.contains("STACK TRACE DONE"));
    for part in ["Received SIGALRM", " core-0\n", " core-1\n"] {
        assert!(log.contains(part), "{part:?} in\n{log}");
    }
    server.assert_alive();
}

// ---- background and supervisors ---------------------------------------------------------------------------------

#[test]
fn a_server_goes_into_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let (pid_file, log_file) = (dir.path().join("server.pid"), dir.path().join("server.log"));
    let port = free_port();
    let mut command = std::process::Command::new(program(Kind::Ringkey).unwrap());
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--cores", "2", "--daemonize", "yes"]);
    command.arg("--dir").arg(dir.path()).arg("--pidfile").arg(&pid_file).arg("--logfile").arg(&log_file);
    assert_eq!(command.status().unwrap().code(), Some(0));
    let mut client = connect(port);
    let process: u32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    // Nobody's child, in a session of which it is not the leader, without a terminal.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    assert_ne!(fields[1], std::process::id().to_string());
    assert_ne!(fields[3], process.to_string());
    assert_eq!(fields[4], "0");
    for fd in 0..3 {
        assert_eq!(fs::read_link(format!("/proc/{process}/fd/{fd}")).unwrap(), Path::new("/dev/null"));
    }
    assert!(fs::read_to_string(&log_file).unwrap().contains(&format!("{process}:M ")));
    client.send(&encoded(&["SHUTDOWN", "NOSAVE"])).unwrap();
    wait_until("the end", || !Path::new(&format!("/proc/{process}")).exists());
    assert!(!pid_file.exists());
    assert!(fs::read_to_string(&log_file).unwrap().contains("ready to exit, bye bye"));
}

#[test]
fn a_wrong_configuration_is_refused_before_the_server_goes_into_the_background() {
    let log = Setup::of(Kind::Ringkey).option("daemonize", "yes").option("logfile", "/nonexistent/x").start_refused();
    assert!(log.contains("Can't open the log file") && log.contains("exit status: 1"), "{log}");
}

#[test]
fn systemd_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut text = [0; 1024];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    for way in ["systemd", "auto"] {
        let setup = Setup::of(Kind::Ringkey).option("supervised", way).option("daemonize", "yes");
        let setup = setup.variable("NOTIFY_SOCKET", path.to_str().unwrap()).variable("WATCHDOG_USEC", "400000");
        let mut server = setup.start();
        assert!(told().starts_with("STATUS="));
        let ready = told();
        assert!(ready.contains("READY=1\n") && ready.contains("STATUS=Ready to accept connections"), "{ready}");
        assert_eq!(told(), "WATCHDOG=1");
        assert_eq!(told(), "WATCHDOG=1");
        // In the foreground still, or the supervisor would lose it.
        server.assert_alive();
        assert_eq!(server.terminate().unwrap().code(), Some(0));
        let last = std::iter::repeat_with(told).find(|text| text != "WATCHDOG=1").unwrap();
        assert!(last.starts_with("STOPPING=1"), "{last}");
    }
}

#[test]
fn a_supervisor_that_is_not_there_is_no_reason_not_to_start() {
    let server = Setup::of(Kind::Ringkey).option("supervised", "systemd").start();
    assert!(server.log().contains("NOTIFY_SOCKET not found"), "{}", server.log());
}

// ---- signals and SHUTDOWN ---------------------------------------------------------------------------------------

#[test]
fn it_ends_cleanly_on_both_signals() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let mut server = Setup::of(Kind::Ringkey).unix_socket().option("pidfile", "server.pid").start();
        let (socket, pid_file) = (server.dir().join("socket"), server.dir().join("server.pid"));
        assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{}\n", server.id()));
        assert!(socket.exists());
        for ignored in [Signal::HUP, Signal::PIPE] {
            server.signal(ignored);
        }
        server.assert_alive();
        server.signal(signal);
        assert_eq!(server.wait(PATIENCE).unwrap().code(), Some(0));
        assert!(!socket.exists() && !pid_file.exists());
        let log = server.log();
        for part in
            [name, "scheduling shutdown", "User requested shutdown", "Removing the pid file", "ready to exit, bye bye"]
        {
            assert!(log.contains(part), "{part} in\n{log}");
        }
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = debuggable().start();
    assert_eq!(server.client().run("DEBUG PAUSE-CRON 1").lines(), ["+OK"]);
    server.signal(Signal::TERM);
    server.await_log("the signal", |log| log.contains("Received SIGTERM"));
    server.assert_alive();
    server.signal(Signal::INT);
    assert_eq!(server.wait(PATIENCE).unwrap().code(), Some(1));
    assert!(server.log().contains("You insist... exiting now."));
}

#[test]
fn a_shutdown_that_rests_can_be_taken_back() {
    let mut server = debuggable().start();
    let mut client = server.client();
    assert_eq!(client.run("SHUTDOWN ABORT").lines(), ["-ERR No shutdown in progress."]);
    client.run("DEBUG PAUSE-CRON 1");
    server.signal(Signal::TERM);
    server.await_log("the signal", |log| log.contains("Received SIGTERM"));
    assert_eq!(client.run("SHUTDOWN ABORT").lines(), ["+OK"]);
    client.run("DEBUG PAUSE-CRON 0");
    server.await_log("the change of mind", |log| log.contains("Shutdown manually aborted"));
    server.assert_alive();
    assert_eq!(server.terminate().unwrap().code(), Some(0));
}

#[test]
fn signals_stop_it_as_the_configuration_says() {
    let mut server = Setup::of(Kind::Ringkey).option("shutdown-on-sigterm", "save").start();
    server.signal(Signal::TERM);
    server.await_log("the refusal", |log| log.contains("Errors trying to shut down the server."));
    server.assert_alive();
    let mut client = server.client();
    let reply = client.command(&["CONFIG", "SET", "shutdown-on-sigterm", "save nosave"]);
    assert!(reply.lines()[0].contains("shutdown options SAVE and NOSAVE can't be used simultaneously"), "{reply:?}");
    assert_eq!(client.command(&["CONFIG", "SET", "shutdown-on-sigterm", "save force"]).lines(), ["+OK"]);
    assert_eq!(server.terminate().unwrap().code(), Some(0));
}

#[test]
fn options_of_shutdown() {
    let mut server = Setup::of(Kind::Ringkey).start();
    let mut client = server.client();
    for wrong in ["SAVE NOSAVE", "NOSAVE FORCE SAVE", "ABORT NOW", "FORCE ABORT", "NOPE"] {
        assert_eq!(client.run(&format!("SHUTDOWN {wrong}")).lines(), ["-ERR syntax error"], "{wrong}");
    }
    let refusal = client.run("SHUTDOWN SAVE").lines()[0].clone();
    assert!(refusal.starts_with("-ERR Errors trying to SHUTDOWN"), "{refusal}");
    server.assert_alive();
    client.send(&encoded(&["SHUTDOWN", "SAVE", "FORCE", "NOW"])).unwrap();
    assert_eq!(server.wait(PATIENCE).unwrap().code(), Some(0));
    assert!(client.wait_for_close(PATIENCE).unwrap().is_empty(), "no reply comes");
    let mut server = Setup::of(Kind::Ringkey).core_ports().start();
    let mut client = server.client();
    assert_eq!(client.run("SHUTDOWN SAFE").lines(), ["-ERR Errors trying to SHUTDOWN. Check logs."]);
    client.send(&encoded(&["SHUTDOWN", "SAFE", "FORCE", "FAILOVER"])).unwrap();
    assert_eq!(server.wait(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn what_is_owed_leaves_before_the_end() {
    const COUNT: usize = 3;
    const BYTES: usize = 3 << 20;
    let mut server = Setup::of(Kind::Ringkey).start();
    let value = vec![b'v'; BYTES];
    assert_eq!(server.client().command(&[b"SET".as_slice(), b"key", &value]).lines(), ["+OK"]);
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(server.tcp_address()).unwrap();
        stream.write_all(&encoded(&["GET", "key"]).repeat(COUNT)).unwrap();
        // The first bytes have come: the request is being answered.
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
        readers.push(std::thread::spawn(move || {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).map(|_| rest.len() + 1)
        }));
    }
    let mut client = server.client();
    client.send(&encoded(&["SHUTDOWN"])).unwrap();
    assert_eq!(server.wait(PATIENCE).unwrap().code(), Some(0));
    let reply = format!("${BYTES}\r\n").len() + BYTES + 2;
    for reader in readers {
        let got = reader.join().unwrap().unwrap();
        // Whole replies: one that was begun is not cut off.
        assert!(got > 0 && got % reply == 0, "{got} of {reply} a reply");
    }
}

// ---- title, score, processors -----------------------------------------------------------------------------------

fn command_line(process: u32) -> String {
    let bytes = fs::read(format!("/proc/{process}/cmdline")).unwrap();
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
}

#[test]
fn the_title_is_what_ps_shows() {
    let server = Setup::of(Kind::Ringkey).unix_socket().config("# some file\n").start();
    let program = program(Kind::Ringkey).unwrap().display().to_string();
    assert_eq!(command_line(server.id()), format!("{program} 127.0.0.1:{}", server.port()));
    let mut client = server.client();
    let template = "TEST {listen-addr} {port} {tls-port} {unixsocket} {config-file}{server-mode}  ";
    assert_eq!(client.command(&["CONFIG", "SET", "proc-title-template", template]).lines(), ["+OK"]);
    let (port, dir) = (server.port(), server.dir().display());
    let wanted = format!("TEST 127.0.0.1:{port} {port} 0 {dir}/socket {dir}/test.conf");
    assert_eq!(command_line(server.id()), wanted);
    let refusal = client.command(&["CONFIG", "SET", "proc-title-template", "{nope}"]).lines()[0].clone();
    assert!(refusal.contains("template format is invalid or contains unknown variables"), "{refusal}");
    assert_eq!(command_line(server.id()), wanted);
    // One that is longer than the command line was.
    let long = "y".repeat(command_line(server.id()).len() + 300);
    client.command(&["CONFIG", "SET", "proc-title-template", &long]);
    assert_eq!(command_line(server.id()), long);
    let plain = Setup::of(Kind::Ringkey).option("set-proc-title", "no").start();
    assert!(command_line(plain.id()).contains("--set-proc-title\0no"));
}

#[test]
fn the_score_for_the_kernel() {
    let score = |server: &Server| -> i32 {
        fs::read_to_string(format!("/proc/{}/oom_score_adj", server.id())).unwrap().trim().parse().unwrap()
    };
    let own: i32 = fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    let server =
        Setup::of(Kind::Ringkey).option("oom-score-adj", "relative").option("oom-score-adj-values", "7 8 9").start();
    assert_eq!(score(&server), own + 7);
    let mut client = server.client();
    let set = |client: &mut Client, pairs: &[&str]| {
        let words: Vec<&str> = ["CONFIG", "SET"].into_iter().chain(pairs.iter().copied()).collect();
        client.command(&words).lines()[0].clone()
    };
    assert_eq!(set(&mut client, &["oom-score-adj-values", "20 21 22"]), "+OK");
    assert_eq!(score(&server), own + 20);
    assert_eq!(set(&mut client, &["oom-score-adj", "no"]), "+OK");
    assert_eq!(score(&server), own);
    assert_eq!(set(&mut client, &["oom-score-adj-values", "300 1 1", "oom-score-adj", "absolute"]), "+OK");
    assert_eq!(score(&server), 300);
    let refusal = set(&mut client, &["oom-score-adj-values", "2001 1 1"]);
    assert!(refusal.contains("must be between -2000 and 2000"), "{refusal}");
    // All or nothing: the second of the two is refused.
    assert!(set(&mut client, &["oom-score-adj-values", "400 1 1", "dir", "/nonexistent"]).starts_with("-ERR"));
    assert_eq!(score(&server), 300);
}

#[test]
fn threads_run_on_the_processors_that_are_named() {
    let own = status_of(std::process::id(), "Cpus_allowed_list:");
    let first = own.split([',', '-']).next().unwrap().to_owned();
    let setup = Setup::of(Kind::Ringkey).cores(1).option("server-cpulist", &first).option("bio-cpulist", &first);
    let server = setup.start();
    let mut seen = Vec::new();
    for task in fs::read_dir(format!("/proc/{}/task", server.id())).unwrap() {
        let text = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        assert_eq!(field("Cpus_allowed_list:"), first, "{text}");
        seen.push(field("Name:"));
    }
    for name in ["core-0", "log", "jemalloc_bg_thd"] {
        assert!(seen.iter().any(|seen| seen == name), "{name} in {seen:?}");
    }
    // As many cores as processors are named, if nothing is said.
    let server = Setup::of(Kind::Ringkey).cores(0).option("server-cpulist", &first).start();
    assert!(server.log().contains("cores=1"), "{}", server.log());
    let server = Setup::of(Kind::Ringkey).option("server-cpulist", "1-").start();
    assert!(server.log().contains("is no list of processors"), "{}", server.log());
}

#[test]
fn huge_pages_are_kept_away() {
    for (value, wanted) in [("yes", "0"), ("no", "1")] {
        let server = Setup::of(Kind::Ringkey).option("disable-thp", value).start();
        assert_eq!(status_of(server.id(), "THP_enabled:"), wanted);
    }
}

#[test]
fn a_process_id_file_that_cannot_be_written_is_no_reason_not_to_start() {
    let server = Setup::of(Kind::Ringkey).option("pidfile", "/nonexistent/folder/pid").start();
    assert!(server.log().contains("Failed to write PID file"), "{}", server.log());
    // And somebody else's process is not asked to end by what this test has read.
    assert!(Pid::from_raw(i32::try_from(server.id()).unwrap()).is_some_and(|id| kill_process(id, Signal::HUP).is_ok()));
}

#[test]
fn lines_of_the_log_do_not_count_as_memory_in_use() {
    let server = debuggable().cores(1).start();
    let mut client = server.client();
    let used = |client: &mut Client| -> i64 {
        let text = client.run("INFO memory").text();
        text.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().parse().unwrap()
    };
    let line = "x".repeat(2000);
    let log = |client: &mut Client| {
        for _ in 0..1000 {
            assert_eq!(client.command(&["DEBUG", "LOG", &line]).lines(), ["+OK"]);
        }
    };
    log(&mut client);
    wait_until("the lines are written", || server.log().matches("DEBUG LOG").count() >= 1000);
    let before = used(&mut client);
    log(&mut client);
    wait_until("the lines are written", || server.log().matches("DEBUG LOG").count() >= 2000);
    // Buffers of client and log may have grown; two megabytes of lines have not stayed.
    wait_until("memory as before", || used(&mut client) - before < 500_000);
}
