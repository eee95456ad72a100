//! Servers under measurement: started, pinned, watched and ended by us, each in a directory of its own.
//!
//! A server ends by its process id on every way out: [`Server`] ends it when dropped, and a guard does when this process
//! is gone without having dropped anything.

mod guard;
mod info;
mod place;
mod watch;

pub use info::{CoreCounts, Info};
pub use place::{on_cpus, parse_cpus, raise_open_files};
pub use watch::{CpuClock, CpuSpent, WaitClock, ended_children_ns, longest_wait_ns, resident_bytes};

use crate::client::Client;
use crate::error::PerfError;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const START_ATTEMPTS: usize = 5;

/// Ports beside the first that a server may use, for listeners of single cores.
const PORTS_BESIDE: u16 = 16;

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Ours.
    Ringkey,
    /// valkey-server.
    Valkey,
    /// redis-server.
    Redis,
}

impl Kind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ringkey => "ringkey",
            Self::Valkey => "valkey",
            Self::Redis => "redis",
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug, clap::Args)]
pub struct Programs {
    /// Our server.
    #[arg(long, value_name = "PATH", env = "RINGKEY_SERVER", default_value = "target/release/ringkey-server")]
    pub ringkey: PathBuf,
    /// The folder with valkey-server, redis-server and valkey-benchmark (scripts/peers fills it).
    #[arg(long, value_name = "FOLDER", env = "RINGKEY_PEERS", default_value = ".peers/bin")]
    pub peers: PathBuf,
}

impl Programs {
    /// The program of this kind, absolute, since servers run in folders of their own.
    pub fn of(&self, kind: Kind) -> Result<PathBuf, PerfError> {
        let (path, mend) = match kind {
            Kind::Ringkey => (self.ringkey.clone(), "cargo build --release -p ringkey-server, or --ringkey PATH"),
            Kind::Valkey => (self.peers.join("valkey-server"), "scripts/peers, or --peers FOLDER"),
            Kind::Redis => (self.peers.join("redis-server"), "scripts/peers, or --peers FOLDER"),
        };
        absolute(&path, mend)
    }

    /// Another program of the peers.
    pub fn peer(&self, name: &str) -> Result<PathBuf, PerfError> {
        absolute(&self.peers.join(name), "scripts/peers, or --peers FOLDER")
    }
}

fn absolute(path: &Path, mend: &str) -> Result<PathBuf, PerfError> {
    let found = path.canonicalize().ok().filter(|found| found.is_file());
    // The wrappers find their parts by their own path, so a link must not be followed to its end.
    found
        .and_then(|_| std::path::absolute(path).ok())
        .ok_or_else(|| PerfError::Other(format!("{} is not there; mend: {mend}", path.display())))
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Whose program.
    pub kind: Kind,
    /// Cores of ours, io-threads of the others (1: the main thread does everything; Redis and Valkey agree in this).
    #[serde(default = "one")]
    pub threads: usize,
    /// More arguments; `{port}`, `{port+1}`, ... stand for ports that are free.
    #[serde(default)]
    pub args: Vec<String>,
    /// Processors it may use; none: all.
    #[serde(default)]
    pub cpus: Option<Vec<usize>>,
    /// Do clients use it as a cluster, asking it which port owns which keys?
    #[serde(default)]
    pub cluster: bool,
}

fn one() -> usize {
    1
}

impl Setup {
    /// One thread, nothing special.
    pub fn plain(kind: Kind) -> Self {
        Self { kind, threads: 1, args: Vec::new(), cpus: None, cluster: false }
    }

    fn arguments(&self, port: u16, dir: &Path) -> Vec<String> {
        let mut all: Vec<String> =
            ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"].map(str::to_owned).to_vec();
        all.push(dir.to_string_lossy().into_owned());
        all.extend(["--appendonly", "no", "--maxclients", "12000"].map(str::to_owned));
        let threads = if self.kind == Kind::Ringkey { "--cores" } else { "--io-threads" };
        all.extend([threads.to_owned(), self.threads.to_string()]);
        all.extend(self.args.iter().map(|arg| with_ports(arg, port)));
        all
    }
}

/// `{port}` and `{port+N}` replaced.
fn with_ports(arg: &str, port: u16) -> String {
    let mut text = arg.replace("{port}", &port.to_string());
    for beside in 1..=PORTS_BESIDE {
        text = text.replace(&format!("{{port+{beside}}}"), &(port + beside).to_string());
    }
    text
}

/// A running server, ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    guard: Option<guard::Guard>,
    dir: TempDir,
    address: SocketAddr,
    setup: Setup,
    ended: bool,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub fn start(programs: &Programs, setup: &Setup) -> Result<Self, PerfError> {
        let program = programs.of(setup.kind)?;
        let mut last = PerfError::Other("not tried".to_owned());
        for _ in 0..START_ATTEMPTS {
            // A free port may be taken by somebody else between choosing it and using it.
            match Self::try_start(&program, setup) {
                Ok(server) => return Ok(server),
                Err(error) if error.to_string().contains("ddress already in use") => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn try_start(program: &Path, setup: &Setup) -> Result<Self, PerfError> {
        let failed = |error: std::io::Error| PerfError::Other(format!("{}: {error}", program.display()));
        let dir = tempfile::Builder::new().prefix("ringkey-perf-").tempdir().map_err(failed)?;
        let port = free_port()?;
        let log = File::create(dir.path().join("log")).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(setup.arguments(port, dir.path())).current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        // A child inherits the processors of the thread that starts it.
        let child = on_cpus(setup.cpus.as_deref(), || command.spawn())?.map_err(failed)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self { child, guard: None, dir, address, setup: setup.clone(), ended: false };
        server.guard = Some(guard::Guard::over(server.id())?);
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id: the wrappers of the peers become the server they start.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What was started.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// A new connection.
    pub fn client(&self) -> Result<Client, PerfError> {
        Client::connect(self.address)
    }

    /// INFO over a connection of its own.
    pub fn info(&self) -> Result<Info, PerfError> {
        self.client()?.info()
    }

    /// CPU that its threads have used so far.
    pub fn cpu(&self) -> Result<CpuClock, PerfError> {
        CpuClock::read(self.id())
    }

    /// Memory of the process that is in RAM, in bytes.
    pub fn resident_bytes(&self) -> Result<u64, PerfError> {
        resident_bytes(self.id())
    }

    /// Stops its threads where they stand, so that a server that is not measured takes nothing from one that is.
    pub fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // It may have ended already; then there is nothing to signal.
            let _ = rustix::process::kill_process(id, signal);
        }
    }

    /// Waits until `used_memory` has come to rest, with nothing rehashing: 0.6 s without a change of more than 1 in
    /// 10,000, or 60 s at most. Returns `used_memory` and the resident memory.
    pub fn settled_memory(&self) -> Result<(u64, u64), PerfError> {
        let used = settled_used_memory(&mut self.client()?)?;
        Ok((used, self.resident_bytes()?))
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.path().join("log")).unwrap_or_default()).into_owned()
    }

    fn wait_until_ready(&mut self) -> Result<(), PerfError> {
        let end = Instant::now() + START_LIMIT;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.ended = true;
                let log = self.log();
                return Err(PerfError::Other(format!("{} ended with {status}\n{log}", self.setup.kind.name())));
            }
            // The log first: on a port that was taken meanwhile, somebody else would answer.
            let ready = self.log().contains("Ready to accept connections");
            if ready && self.client().and_then(|mut client| client.command(&["PING"])).is_ok() {
                return Ok(());
            }
            if Instant::now() > end {
                let log = self.log();
                return Err(PerfError::Other(format!("no answer within {START_LIMIT:?}\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // First: the id may be somebody else's once the server has ended.
        self.guard = None;
        if self.ended {
            return;
        }
        // One that stands still would not hear that it is to end.
        self.resume();
        self.signal(rustix::process::Signal::TERM);
        if !self.wait(STOP_LIMIT) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until `used_memory` has come to rest and returns it; see [`Server::settled_memory`].
pub fn settled_used_memory(client: &mut Client) -> Result<u64, PerfError> {
    const CALM_READINGS: usize = 6;
    let end = Instant::now() + Duration::from_secs(60);
    let mut calm = 0;
    let mut last = 0_u64;
    while Instant::now() < end {
        let info = client.info()?;
        let used = info.integer("used_memory").unwrap_or(0);
        let rehashing = info.integer("mem_overhead_db_hashtable_rehashing").unwrap_or(0) > 0;
        let same = used.abs_diff(last) <= used / 10_000;
        calm = if same && !rehashing { calm + 1 } else { 0 };
        last = used;
        if calm >= CALM_READINGS {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(last)
}

/// A port that nobody uses, with some free ones behind it.
fn free_port() -> Result<u16, PerfError> {
    // The bus of a cluster is 10,000 above, and must be a port, too.
    const FIRST: u16 = 7000;
    const LAST: u16 = 65_535 - 10_000 - PORTS_BESIDE;
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    for _ in 0..1000 {
        // Not what the system would give: thousands of clients' ports lie there, side by side.
        let port = fastrand::u16(FIRST..LAST);
        if (0..=PORTS_BESIDE).all(|beside| free(port + beside)) {
            return Ok(port);
        }
    }
    Err(PerfError::Other("no free port in a thousand attempts".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ports_are_filled_in() {
        assert_eq!(with_ports("{port}", 7000), "7000");
        assert_eq!(with_ports("{port+1} {port+12}", 7000), "7001 7012");
        assert_eq!(with_ports("--plain", 7000), "--plain");
    }

    #[test]
    fn arguments_say_how_many_threads() {
        let text = |kind| Setup::plain(kind).arguments(7000, Path::new("/d")).join(" ");
        assert!(text(Kind::Ringkey).contains("--cores 1"));
        assert!(text(Kind::Valkey).contains("--io-threads 1"));
        assert!(text(Kind::Redis).starts_with("--port 7000 --bind 127.0.0.1 --save  --dir /d"));
    }

    #[test]
    fn a_missing_program_names_the_mend() {
        let programs = Programs { ringkey: "/nowhere/ringkey-server".into(), peers: "/nowhere".into() };
        assert!(programs.of(Kind::Ringkey).unwrap_err().to_string().contains("cargo build"));
        assert!(programs.of(Kind::Valkey).unwrap_err().to_string().contains("scripts/peers"));
    }

    #[test]
    fn free_ports_have_free_ones_behind_them() {
        assert!(free_port().unwrap() > 0);
    }
}
