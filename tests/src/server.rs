//! Starts a server for a test and ends it afterwards, by its process id only.
//!
//! Which program runs: `RINGKEY_SERVER`, else the newest `ringkey-server` that was built beside the
//! test; the reference is `valkey-server` of `RINGKEY_PEERS` or of `.peers/bin`.

use crate::client::{Address, Client};
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// How much of the log a failing test shows: the report of a crash, which comes last, has its cause at its head.
const LOG_SHOWN_BYTES: usize = 64 * 1024;

/// Whose program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Ringkey,
    /// A real valkey-server, which judges the tests themselves.
    Reference,
}

impl Kind {
    /// Ours, unless `RINGKEY_TARGET=reference` points the whole suite at the reference.
    pub fn under_test() -> Self {
        match std::env::var("RINGKEY_TARGET").as_deref() {
            Ok("reference") => Self::Reference,
            _ => Self::Ringkey,
        }
    }
}

/// What to start and how.
#[derive(Debug, Clone)]
pub struct Setup {
    kind: Kind,
    cores: usize,
    options: Vec<(String, String)>,
    unix: bool,
    bind: String,
    port: Option<u16>,
    config: Option<String>,
    config_on_stdin: bool,
    core_ports: bool,
    variables: Vec<(String, String)>,
    log_file: Option<String>,
}

impl Setup {
    /// The server under test with two cores and no other option than the port.
    pub fn new() -> Self {
        Self::of(Kind::under_test())
    }

    /// A server of this kind.
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            cores: 2,
            options: Vec::new(),
            unix: false,
            bind: "127.0.0.1".to_owned(),
            port: None,
            config: None,
            config_on_stdin: false,
            core_ports: false,
            variables: Vec::new(),
            log_file: None,
        }
    }

    /// How many cores ours runs; the reference has no such thing.
    pub fn cores(mut self, cores: usize) -> Self {
        self.cores = cores;
        self
    }

    /// A node of a cluster each of whose cores listens on a port of its own; see [`Server::core_client`].
    pub fn core_ports(mut self) -> Self {
        self.core_ports = true;
        self.option("cluster-enabled", "yes")
    }

    /// A directive of the config file, given on the command line.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A variable of its environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Logs to a file of this name in its directory, which [`Server::log`] then reads.
    pub fn log_file(mut self, name: &str) -> Self {
        self.log_file = Some(name.to_owned());
        self
    }

    /// Listens on a Unix socket as well; see [`Server::unix_address`].
    pub fn unix_socket(mut self) -> Self {
        self.unix = true;
        self
    }

    /// Listens on these addresses; 127.0.0.1 must be among them.
    pub fn bind(mut self, addresses: &str) -> Self {
        addresses.clone_into(&mut self.bind);
        self
    }

    /// Listens on this port and no other, taken or not.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// A config file with this text; the options of the command line come after it.
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// Gives the config text on standard input instead of in a file.
    pub fn config_on_stdin(mut self) -> Self {
        self.config_on_stdin = true;
        self
    }

    /// Starts a server that must refuse to start, and returns what it printed.
    pub fn start_refused(self) -> String {
        match self.try_start() {
            Ok(_) => panic!("the server started, but it should have refused"),
            Err(log) => log,
        }
    }

    /// Starts the server and waits until it answers.
    pub fn start(self) -> Server {
        // A free port may be taken by another test between choosing it and using it.
        for _ in 0..5 {
            match self.try_start() {
                Ok(server) => return server,
                Err(log) if log.contains("ddress already in use") => {}
                Err(log) => panic!("the server did not start; its log:\n{log}"),
            }
        }
        panic!("found no free port in five attempts");
    }

    fn try_start(&self) -> Result<Server, String> {
        let dir = tempfile::Builder::new().prefix("ringkey-test-").tempdir().map_err(|error| error.to_string())?;
        let program =
            program(self.kind).ok_or_else(|| format!("no program for {:?}: build or fetch it first", self.kind))?;
        let port = self.port.unwrap_or_else(|| self.some_port());
        let out_path = dir.path().join("log");
        let log_path = self.log_file.as_ref().map_or_else(|| out_path.clone(), |name| dir.path().join(name));
        let log = File::create(&out_path).map_err(|error| error.to_string())?;
        let mut command = self.command(&program, dir.path(), port).map_err(|error| error.to_string())?;
        let core_port = if self.core_ports { free_ports(self.cores) } else { 0 };
        if self.core_ports {
            command.args(["--core-ports", &core_port.to_string()]);
        }
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        command.stdout(log).stderr(errors);
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Server { child, dir, log_path, address, core_port, kind: self.kind, ended: false };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// A free port. A node of a cluster takes another one for its bus, 10,000 above it, which must exist.
    fn some_port(&self) -> u16 {
        let has_bus = self.options.iter().any(|(name, value)| name == "cluster-enabled" && value == "yes");
        let fits = |port: &u16| !has_bus || *port <= 55_000;
        std::iter::repeat_with(free_port).find(fits).expect("the search goes on until a port fits")
    }

    fn command(&self, program: &Path, dir: &Path, port: u16) -> std::io::Result<Command> {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).current_dir(dir);
        if let Some(text) = &self.config {
            let path = dir.join("test.conf");
            std::fs::write(&path, text)?;
            if self.config_on_stdin {
                command.arg("-").stdin(File::open(&path)?);
            } else {
                command.arg(&path);
            }
        }
        command.args(["--port", &port.to_string(), "--save", "", "--bind"]).args(self.bind.split(' '));
        command.arg("--dir").arg(dir);
        if self.kind == Kind::Ringkey {
            command.args(["--cores", &self.cores.to_string()]);
        }
        if self.unix {
            command.arg("--unixsocket").arg(dir.join("socket"));
        }
        if let Some(name) = &self.log_file {
            command.arg("--logfile").arg(dir.join(name));
        }
        command.envs(self.variables.iter().cloned());
        for (name, value) in &self.options {
            // `client-output-buffer-limit normal 1mb 0 0` is several words of one directive.
            command.arg(format!("--{name}")).args(value.split(' '));
        }
        Ok(command)
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// A running server; dropping it ends the process.
pub struct Server {
    child: Child,
    dir: TempDir,
    log_path: PathBuf,
    address: SocketAddr,
    /// The port of the first core, 0: cores have none.
    core_port: u16,
    kind: Kind,
    ended: bool,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> Address {
        Address::Tcp(self.address)
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The TCP address, for sockets that a test makes itself.
    pub fn tcp_address(&self) -> SocketAddr {
        self.address
    }

    /// The port of a core of a server started with [`Setup::core_ports`].
    pub fn core_port(&self, core: usize) -> u16 {
        assert!(self.core_port != 0, "the cores of this server have no ports");
        self.core_port + u16::try_from(core).expect("cores are few")
    }

    /// A new connection to the port of a core.
    pub fn core_client(&self, core: usize) -> Client {
        let address = Address::Tcp((Ipv4Addr::LOCALHOST, self.core_port(core)).into());
        match Client::connect(&address) {
            Ok(client) => client,
            Err(error) => panic!("no connection to core {core}: {error}"),
        }
    }

    /// The Unix socket of a server started with [`Setup::unix_socket`].
    pub fn unix_address(&self) -> Address {
        Address::Unix(self.dir.path().join("socket"))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whose server this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its working directory, removed with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A new connection; fails the test if there is none to be had.
    pub fn client(&self) -> Client {
        match Client::connect(&self.address()) {
            Ok(client) => client,
            Err(error) => panic!("no connection to {}: {error}", self.address),
        }
    }

    /// Fails the test unless a fresh client is served.
    pub fn assert_alive(&self) {
        let mut client = self.client();
        assert_eq!(client.run("PING").lines(), ["+PONG"], "another client is no longer served");
        let key = "still:alive";
        assert_eq!(client.command(&["SET", key, "yes"]).lines(), ["+OK"]);
        assert_eq!(client.command(&["GET", key]).lines(), ["\"yes\""]);
        assert_eq!(client.command(&["DEL", key]).lines(), [":1"]);
    }

    /// Memory of the process that is in RAM, in bytes.
    pub fn resident_bytes(&self) -> usize {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        kilobytes * 1024
    }

    /// Everything that the server has printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log_path).unwrap_or_default()).into_owned()
    }

    /// Waits until its log satisfies a test; fails if it does not within the usual limit.
    pub fn await_log(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + STOP_LIMIT;
        loop {
            let log = self.log();
            if is_there(&log) {
                return log;
            }
            assert!(Instant::now() < end, "the log does not show {what}:\n{log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGTERM and waits for the end; the status if it ended in time.
    pub fn terminate(&mut self) -> Option<ExitStatus> {
        self.signal(rustix::process::Signal::TERM);
        let status = self.wait(STOP_LIMIT);
        self.ended = status.is_some();
        status
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.ended = true;
                return Some(status);
            }
            if Instant::now() > end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // It may have ended already; then there is nothing to signal.
            let _ = rustix::process::kill_process(id, signal);
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let end = Instant::now() + START_LIMIT;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.ended = true;
                return Err(format!("ended with {status}\n{}", self.log()));
            }
            // The log first: on a port that was taken meanwhile, somebody else would answer. Then a reply of
            // any kind will do: a server with a password answers NOAUTH.
            let ready = self.log().contains("Ready to accept connections");
            if ready && Client::connect(&self.address()).and_then(|mut client| client.try_command(&["PING"])).is_ok() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("no answer within {START_LIMIT:?}\n{}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.ended && self.terminate().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            if !std::thread::panicking() {
                panic!("the server did not end within {STOP_LIMIT:?} of SIGTERM");
            }
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(LOG_SHOWN_BYTES);
            let from = (from..=log.len()).find(|&at| log.is_char_boundary(at)).unwrap_or(0);
            let _ = writeln!(std::io::stderr(), "--- log of the server ---\n{}\n---", &log[from..]);
        }
    }
}

/// The repository that this crate stands in.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// A program of the reference (`valkey-server`, `valkey-cli`, `valkey-benchmark`), if it is there.
pub fn peer(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("RINGKEY_PEERS").map_or_else(|| repository().join(".peers/bin"), PathBuf::from);
    let path = folder.join(name);
    path.is_file().then_some(path)
}

/// True where a missing peer or interpreter is a failure and not a reason to skip.
pub fn nothing_may_be_missing() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Prints why a test does nothing, or fails it where nothing may be missing.
pub fn skip(reason: &str) {
    assert!(!nothing_may_be_missing(), "{reason}");
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

/// The program of this kind, if it was built or fetched.
pub fn program(kind: Kind) -> Option<PathBuf> {
    match kind {
        Kind::Reference => peer("valkey-server"),
        Kind::Ringkey => std::env::var_os("RINGKEY_SERVER").map(PathBuf::from).or_else(newest_build),
    }
}

/// The newest build, so that a test never judges the leftovers of another profile.
fn newest_build() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    // target/PROFILE/deps/TEST
    let target = test.ancestors().nth(3)?;
    let built = |profile: &str| {
        let path = target.join(profile).join("ringkey-server");
        let time: SystemTime = path.metadata().and_then(|data| data.modified()).ok()?;
        Some((time, path))
    };
    ["checked", "release", "debug"].into_iter().filter_map(built).max().map(|(_, path)| path)
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback address has free ports");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// The first of so many ports in a row that nobody listens on.
pub fn free_ports(count: usize) -> u16 {
    let count = u16::try_from(count).expect("ports are asked for by the dozen");
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let run_is_free = |first: &u16| *first < u16::MAX - count && (*first..*first + count).all(is_free);
    std::iter::repeat_with(free_port).find(run_is_free).expect("the search goes on until a run is free")
}
