//! From arguments to running cores, and back down again.

use crate::aside::Aside;
use crate::configuration::{self, Configuration};
use crate::core_loop::CoreLoop;
use crate::listen::{self, ListenError};
use crate::mailbox::mesh::{Cores, Mesh};
use crate::memory;
use crate::migrate::movers::Movers;
use crate::nodes_file;
use crate::observe::{crash, log as log_setup};
use crate::process::keeper::Keeper;
use crate::process::oom::OomScore;
use crate::process::supervise::Supervisor;
use crate::process::{PidFile, cpulist, machine, title};
use crate::reactor::{Ring, probe, spawn};
use crate::script::registry;
use crate::state::{Process, State};
use crate::sys::process::{self as system, Side};
use crate::sys::{self, Signals};
use crate::{COMPATIBLE_VERSION, VERSION, clock};
use ringkey_cluster::{Node, view};
use ringkey_core::keyspace::{KeyHasher, Shard, ShardMap};
use ringkey_core::observe::Watch;
use ringkey_core::settings::{ConfigError, Setting, Settings};
use ringkey_core::txn::site::{Site, Workbench};
use ringkey_core::units::ShardId;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};

/// Descriptors that the process needs besides those of clients.
pub const OWN_FILES: u64 = 64;

/// Provided buffers of a core.
const BUFFER_COUNT: u16 = 256;

/// The size of a provided buffer in bytes.
const BUFFER_BYTES: u32 = 16 * 1024;

/// Why the server cannot start.
#[derive(Debug)]
pub enum BootError {
    /// The configuration is wrong.
    Config(ConfigError),
    /// An address cannot be listened on.
    Listen(ListenError),
    /// The machine lacks something.
    Missing(probe::Missing),
    /// Something else failed.
    Other(String),
}

/// Raises the limit of open files so that `clients` fit, and returns how many do.
pub fn raise_open_files(clients: u64) -> u64 {
    sys::raise_open_files(clients + OWN_FILES).saturating_sub(OWN_FILES).min(clients)
}

/// A number that nobody can guess.
pub fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // Seeded by the operating system.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn kernel_name() -> String {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {} {}", read("ostype").trim(), read("osrelease").trim(), std::env::consts::ARCH)
}

/// Starts everything and waits until it has stopped; a server that goes into the background goes on there. To be called
/// while there is one thread.
///
/// # Errors
/// Why the server cannot start.
pub fn run(configuration: Configuration) -> Result<(), BootError> {
    let Configuration { mut settings, names, file } = configuration;
    let config_file = file.display().to_string();
    log_setup::start(&settings)
        .map_err(|error| configuration::general(format!("Can't open the log file: {}", listen::plain(&error))))?;
    if !crate::sys::names::has_locale(settings.text(Setting::LocaleCollate)) {
        return Err(configuration::general(
            "'locale-collate' names a locale that this machine does not have".to_owned(),
        ));
    }
    let supervisor = Supervisor::find(&settings);
    let in_background = settings.bool(Setting::Daemonize) && !supervisor.is_some();
    if in_background {
        match system::daemonize() {
            Ok(Side::Background) => {}
            Ok(Side::Front) => return Ok(()),
            Err(error) => return Err(BootError::Other(format!("Cannot go into the background: {error}"))),
        }
    }
    let program = std::env::args_os().next().unwrap_or_default().to_string_lossy().into_owned();
    crash::start(&settings, &config_file, &kernel_name(), core_count(&settings));
    banner(&settings, &file);
    view::check_core_ports(&settings, core_count(&settings)).map_err(BootError::Other)?;
    probe::check().map_err(BootError::Missing)?;
    let signals = Signals::take().map_err(|error| BootError::Other(format!("signalfd: {error}")))?;
    let wanted = settings.int(Setting::MaxClients) as u64;
    let granted = raise_open_files(wanted);
    if granted < wanted {
        log::warn!(
            "The limit of open files allows {granted} clients, maxclients asked for {wanted}. Raise it: 'ulimit -n {}', \
             or 'LimitNOFILE={}' in the systemd unit.",
            wanted + OWN_FILES,
            wanted + OWN_FILES
        );
        let pair = [(b"maxclients".to_vec(), granted.max(1).to_string().into_bytes())];
        let _ = settings.set_many(&pair, Default::default());
    }
    let cores = core_count(&settings);
    let listeners = listen::open_all(&settings).map_err(BootError::Listen)?;
    let core_listeners = listen::open_core_ports(&settings, cores).map_err(BootError::Listen)?;
    if listeners.is_empty() && core_listeners.is_empty() {
        return Err(BootError::Other("Configured to not listen anywhere, exiting.".to_owned()));
    }
    let pid_file = PidFile::write(&mut settings, in_background);
    title::start(&settings, program, &config_file);
    let mut oom = OomScore::default();
    if let Err(reason) = oom.apply(&settings) {
        log::warn!("{reason}");
    }
    let process = Arc::new(Process::new(file, names, kernel_name(), random_seed()));
    let node = match settings.bool(Setting::ClusterEnabled) {
        true => Some(Arc::new(nodes_file::load(&settings, cores).map_err(BootError::Other)?)),
        false => None,
    };
    let keeper = Keeper::new(supervisor, oom);
    let threads = start_cores(settings, (listeners, core_listeners), (signals, keeper), &process, node)?;
    for thread in threads {
        if thread.join().is_err() {
            return Err(BootError::Other("a core ended with a panic".to_owned()));
        }
    }
    drop(pid_file);
    log::warn!("Ringkey is now ready to exit, bye bye...");
    Ok(())
}

fn banner(settings: &Settings, file: &Path) {
    log::info!("Ringkey is starting");
    // The second form of the number is what Valkey's own test suite looks for.
    let process = std::process::id();
    log::info!(
        "Ringkey version={VERSION}, compatible with Valkey {COMPATIBLE_VERSION}, bits=64, pid={process}, just started. PID: {process}"
    );
    match file.as_os_str().is_empty() {
        true => log::info!("No config file given, using the defaults and the options of the command line"),
        false => log::info!("Configuration loaded from {}", file.display()),
    }
    let allowed = sys::processors();
    log::info!(
        "Machine: {}, {} processors, jemalloc, io_uring{}, no TLS",
        kernel_name(),
        allowed.len(),
        if probe::has_min_wait() { " with waits for batches" } else { "" }
    );
    let lists = [("server-cpulist", Setting::ServerCpulist), ("bio-cpulist", Setting::BioCpulist)];
    let of_lists =
        lists.iter().filter_map(|(name, setting)| cpulist::choose(name, &cpu_list(settings, *setting), &allowed).1);
    let warnings = machine::warnings(settings).into_iter().chain(of_lists).chain(settings.remarks());
    warnings.for_each(|warning| log::warn!("{warning}"));
}

/// How many cores the settings ask for.
fn core_count(settings: &Settings) -> u16 {
    match settings.int(Setting::Cores) {
        0 => processors_of_cores(settings).len().max(1) as u16,
        count => count as u16,
    }
}

/// The processors that cores run on: those of `server-cpulist` as far as this process may use them.
fn processors_of_cores(settings: &Settings) -> Vec<usize> {
    cpulist::choose("server-cpulist", &cpu_list(settings, Setting::ServerCpulist), &sys::processors()).0
}

/// Is each of so many cores bound to a processor of its own? Only where others have processors besides, or where these were set aside for
/// us: whoever else runs on the processor of a bound core halves it, while the scheduler finds an unbound one another.
pub fn pins(settings: &Settings, cores: usize, processors: usize) -> bool {
    cores < processors || cores == processors && !settings.text(Setting::ServerCpulist).is_empty()
}

fn cpu_list(settings: &Settings, setting: Setting) -> String {
    String::from_utf8_lossy(settings.text(setting)).into_owned()
}

/// Starts the threads besides the cores, on the processors of `bio-cpulist`: the allocator's, which gives memory back,
/// the one that writes the log, and the one for slow work, which core 0 gets.
fn start_helpers(settings: &Settings) -> Option<Aside> {
    let list = cpu_list(settings, Setting::BioCpulist);
    let allowed = sys::processors();
    if !list.is_empty()
        && let Err(error) = system::run_on(&cpulist::choose("bio-cpulist", &list, &allowed).0)
    {
        log::warn!("bio-cpulist '{list}' cannot be had: {error}");
    }
    memory::purge_in_background(settings.bool(Setting::JemallocBgThread));
    if let Err(error) = log_setup::write_in_background() {
        log::warn!("There is no thread to write the log: {error}. A slow log will make cores wait.");
    }
    Aside::start().inspect_err(|error| log::warn!("There is no thread for slow work: {error}.")).ok()
}

fn start_cores(
    settings: Settings,
    (listeners, core_listeners): (Vec<listen::Listener>, Vec<Vec<listen::Listener>>),
    (signals, keeper): (Signals, Keeper),
    process: &Arc<Process>,
    node: Option<Arc<Node>>,
) -> Result<Vec<std::thread::JoinHandle<()>>, BootError> {
    let processors = processors_of_cores(&settings);
    // Before any core binds its thread to a processor, which these threads would inherit.
    let mut aside = start_helpers(&settings);
    let movers = aside.as_ref().and_then(|aside| aside.rope().ok()).map(Movers::new);
    let count = usize::from(core_count(&settings));
    let pins = pins(&settings, count, processors.len());
    let port = settings.int(Setting::Port);
    log::info!(
        "Running mode={}, port={port}, cores={count}{}.",
        if node.is_some() { "cluster" } else { "standalone" },
        if pins { ", pinned" } else { ", not pinned" }
    );
    let map = ShardMap::new(count as u16);
    let hasher = KeyHasher::new(process.hash_seeds(settings.text(Setting::HashSeed)));
    let cores = Cores::new(count);
    let settings = Arc::new(settings);
    let ready = Arc::new(Barrier::new(count + 1));
    let mut listeners = Some(listeners);
    let mut core_listeners = core_listeners.into_iter();
    let (mut signals, mut keeper) = (Some(signals), Some(keeper));
    let is_tcp = port != 0 || settings.int(Setting::CorePorts) != 0;
    let is_unix = !settings.text(Setting::UnixSocket).is_empty();
    let mut threads = Vec::new();
    for (index, mesh) in Mesh::build(&cores).into_iter().enumerate() {
        let (settings, process, hasher, ready, cores) =
            (Arc::clone(&settings), Arc::clone(process), hasher.clone(), Arc::clone(&ready), Arc::clone(&cores));
        let (mut listeners, signals, keeper) = (listeners.take().unwrap_or_default(), signals.take(), keeper.take());
        let everywhere = if pins { Vec::new() } else { processors.clone() };
        listeners.extend(core_listeners.next().unwrap_or_default());
        let node = node.clone();
        let (aside, movers) = (aside.take(), movers.clone());
        let cpu = pins.then(|| processors[index]);
        let make = move || {
            let ring = match Ring::new(BUFFER_COUNT, BUFFER_BYTES) {
                Ok(ring) => ring,
                Err(error) => panic!("core {index} cannot set up io_uring: {error}"),
            };
            crash::register(index as u16);
            if !everywhere.is_empty() {
                // This thread was started by one that may be bound to other processors.
                let _ = system::run_on(&everywhere);
            }
            cores.announce(index, ring.fd());
            registry::attach(&process.scripts);
            let id = ShardId(index as u16);
            let databases = if node.is_some() { Setting::ClusterDatabases } else { Setting::Databases };
            let databases = settings.int(databases) as u32;
            let mut site = Site::new(Shard::new(id, map, databases, hasher.clone(), process.seed ^ index as u64));
            site.watch = Watch::new(clock::ticks);
            let workbench = Workbench::new(Shard::scratch(databases, hasher, process.seed));
            let mut state = State::new(id, map, site, workbench, mesh, settings, process, clock::now());
            state.open_pubsub();
            state.listeners = listeners;
            state.aside = aside;
            state.movers = movers;
            if let Some(node) = node {
                state.take_seat(node);
            }
            state.apply_rules();
            cores.beat(index).store(state.now.0, Ordering::Relaxed);
            state.note_memory();
            // Nobody writes to another core before all can be woken.
            ready.wait();
            if let Some(keeper) = keeper {
                keeper.tell_ready();
                state.keeper = keeper;
            }
            CoreLoop::new(ring, state, signals)
        };
        let thread = spawn::spawn(&format!("core-{index}"), cpu, make)
            .map_err(|error| BootError::Other(format!("core {index} cannot start: {error}")))?;
        threads.push(thread);
    }
    log::info!("Server initialized");
    ready.wait();
    let by_main = memory::ThreadMemory::of_this_thread().map_or(0, |memory| memory.balance());
    process.set_startup_memory(by_main);
    for (kind, _) in [("tcp", is_tcp), ("unix", is_unix)].iter().filter(|(_, is_open)| *is_open) {
        log::info!("Ready to accept connections {kind}");
    }
    Ok(threads)
}
