//! INFO: every core gives a sample of its counters, and the sections are written from their sum.

use super::Then;
use crate::mailbox::letter::{Answer, Question};
use crate::reactor::Wait;
use crate::session::Session;
use crate::state::State;
use crate::statistics::Statistics;
use crate::{COMPATIBLE_VERSION, REDIS_VERSION, SERVER_NAME, VERSION, clock, memory, sys};
use ringkey_core::keyspace::shard::Stats;
use ringkey_core::resp::{Args, CommandError, ErrorCounts, Reply};
use ringkey_core::settings::Setting;
use ringkey_core::units::DbIndex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The counters of one core.
pub struct Sample {
    statistics: Statistics,
    stats: Stats,
    sessions: usize,
    wait: Wait,
    active: usize,
    arrivals: u64,
    largest_query: usize,
    largest_output: usize,
    client_bytes: usize,
    blocked: usize,
    changes: u64,
    errors: ErrorCounts,
    lock_waits: u64,
    waiting: usize,
    overflow: usize,
    memory: i64,
    cpu: (Duration, Duration),
    databases: Vec<Database>,
}

#[derive(Clone, Copy, Default)]
struct Database {
    keys: usize,
    volatile: usize,
    average_ttl: i64,
}

impl Sample {
    /// The counters of this core.
    pub fn take(state: &State) -> Self {
        let (largest_query, largest_output) = state.census.largest_buffers();
        let shard = &state.site.shard;
        let databases = (0..shard.database_count())
            .map(|index| {
                let database = shard.database(DbIndex(index));
                let (keys, volatile) = (database.len(), database.volatile());
                Database { keys, volatile, average_ttl: database.average_ttl(state.now).0 }
            })
            .collect();
        Self {
            statistics: state.statistics,
            stats: shard.stats,
            // The asker itself may be away from the table while it is served.
            sessions: state.session_count(),
            wait: state.batch_wait.wait(Duration::ZERO),
            active: state.batch_wait.active(),
            arrivals: state.batch_wait.rate(),
            largest_query,
            largest_output,
            client_bytes: state.census.total(),
            blocked: state.paused.count + state.blocked.len(),
            changes: state.site.changes,
            errors: state.site.errors.clone(),
            lock_waits: state.site.lock_waits,
            waiting: state.site.waiting(),
            overflow: state.mesh.overflow(),
            memory: state.memory.map_or(0, |memory| memory.balance()),
            cpu: sys::cpu_time(sys::Whose::Thread),
            databases,
        }
    }
}

impl Sample {
    /// Has the core any key?
    pub fn has_keys(&self) -> bool {
        self.databases.iter().any(|database| database.keys > 0)
    }
}

/// The sections of INFO that this version has, in their order.
const SECTIONS: &[(&str, Section)] = &[
    ("server", server),
    ("clients", clients),
    ("memory", memory_section),
    ("persistence", persistence),
    ("stats", stats_section),
    ("replication", replication),
    ("cpu", cpu),
    ("modules", modules),
    ("errorstats", errorstats),
    ("cluster", cluster),
    ("keyspace", keyspace),
    ("cores", cores),
    ("ringkey", ringkey),
];

type Section = fn(&mut String, &State, &[Sample]);

/// The sections that a call of INFO asks for, as indexes.
pub type Sections = Vec<usize>;

fn parse_sections(args: &Args<'_>) -> Sections {
    let all: Sections = (0..SECTIONS.len()).collect();
    if args.len() < 2 {
        return all;
    }
    let wants = |name: &str| {
        args.iter_from(1).any(|word| {
            ["default", "all", "everything"].iter().any(|group| word.eq_ignore_ascii_case(group.as_bytes()))
                || word.eq_ignore_ascii_case(name.as_bytes())
        })
    };
    all.into_iter().filter(|index| wants(SECTIONS[*index].0)).collect()
}

/// INFO
///
/// # Errors
/// None: unknown sections are empty.
pub fn info(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let sections = parse_sections(args);
    state.gather_from_all(session, &Question::Sample, Then::Info(sections));
    Ok(())
}

/// Writes the answer of INFO.
pub fn write(state: &State, session: &mut Session, sections: &Sections, answers: Vec<(usize, Answer)>) {
    let samples: Vec<Sample> = answers
        .into_iter()
        .filter_map(|(_, answer)| if let Answer::Sample(sample) = answer { Some(*sample) } else { None })
        .collect();
    let mut text = String::new();
    for index in sections {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let (name, section) = SECTIONS[*index];
        let title = match name {
            "cpu" => "CPU".to_owned(),
            name => name[..1].to_uppercase() + &name[1..],
        };
        let _ = write!(text, "# {title}\r\n");
        section(&mut text, state, &samples);
    }
    Reply::new(&mut session.output.pending, session.protocol).verbatim("txt", text.as_bytes());
}

/// Writes `name:value` lines.
macro_rules! fields {
    ($text:expr, $($name:literal: $value:expr),+ $(,)?) => {
        $( let _ = write!($text, concat!($name, ":{}\r\n"), $value); )+
    };
}

/// Fields that are zero here: what they count does not exist.
fn zeros(text: &mut String, names: &[&str]) {
    names.iter().for_each(|name| {
        let _ = write!(text, "{name}:0\r\n");
    });
}

/// A number of bytes for people: `965.78K`.
fn human(bytes: u64) -> String {
    const UNITS: &[(u64, &str)] = &[(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.2}{unit}", bytes as f64 / *size as f64),
        None => format!("{bytes}B"),
    }
}

fn total(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> u64 {
    samples.iter().map(of).sum()
}

fn server(text: &mut String, state: &State, _: &[Sample]) {
    let process = &state.process;
    let uptime = (state.now.0 - process.started.0).max(0) / 1000;
    let hz = state.tuning.hz;
    fields!(text,
        "redis_version": REDIS_VERSION,
        "server_name": SERVER_NAME,
        "valkey_version": COMPATIBLE_VERSION,
        "valkey_release_stage": "ga",
        "ringkey_version": VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": "0000000000000000",
        "server_mode": if state.seat.is_some() { "cluster" } else { "standalone" },
        "os": process.os,
        "arch_bits": usize::BITS,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "io_uring",
        "gcc_version": "0.0.0",
        "process_id": std::process::id(),
        "process_supervised": "no",
        "run_id": process.run_id,
        "tcp_port": state.settings.int(Setting::Port),
        "server_time_usec": clock::now_micros(),
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime / 86_400,
        "hz": hz,
        "configured_hz": hz,
        "clients_hz": hz,
        "lru_clock": state.now.as_seconds() & 0xff_ffff,
        "executable": process.executable,
        "config_file": process.config_file.display(),
        "io_threads_active": 0,
        "availability_zone": String::from_utf8_lossy(state.settings.text(Setting::AvailabilityZone)),
    );
    for (index, listener) in crate::listen::describe(&state.settings).iter().enumerate() {
        let _ = write!(text, "listener{index}:{listener}\r\n");
    }
}

fn clients(text: &mut String, state: &State, samples: &[Sample]) {
    fields!(text,
        "connected_clients": total(samples, |s| s.sessions as u64),
        "cluster_connections": 0,
        "maxclients": state.tuning.clients_max,
        "client_recent_max_input_buffer": samples.iter().map(|s| s.largest_query).max().unwrap_or(0),
        "client_recent_max_output_buffer": samples.iter().map(|s| s.largest_output).max().unwrap_or(0),
    );
    fields!(text, "blocked_clients": total(samples, |s| s.blocked as u64));
    zeros(
        text,
        &[
            "tracking_clients",
            "pubsub_clients",
            "watching_clients",
            "clients_in_timeout_table",
            "total_watched_keys",
            "total_blocking_keys",
            "total_blocking_keys_on_nokey",
        ],
    );
    let pause = state.paused.pause;
    fields!(text,
        "paused_reason": if pause.is_some() { "client_pause" } else { "none" },
        "paused_actions": pause.map_or("none", |pause| if pause.all { "all" } else { "write" }),
        "paused_timeout_milliseconds": pause.map_or(0, |pause| (pause.until.0 - state.now.0).max(0)),
    );
}

fn memory_section(text: &mut String, state: &State, samples: &[Sample]) {
    let allocator = memory::allocator();
    let used = used_memory(state, samples, &allocator);
    let peak = state.process.raise_peak(used);
    let resident = memory::resident() as u64;
    let clients = total(samples, |s| s.client_bytes as u64);
    let startup = state.process.startup_memory().min(used);
    let overhead = (startup + clients).min(used);
    let dataset = used - overhead;
    let machine = memory::machine();
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    fields!(text,
        "used_memory": used,
        "used_memory_human": human(used),
        "used_memory_rss": resident,
        "used_memory_rss_human": human(resident),
        "used_memory_peak": peak,
        "used_memory_peak_human": human(peak),
        "used_memory_peak_perc": format_args!("{:.2}%", share(used, peak)),
        "used_memory_overhead": overhead,
        "used_memory_startup": startup,
        "used_memory_dataset": dataset,
        "used_memory_dataset_perc": format_args!("{:.2}%", share(dataset, used.saturating_sub(startup).max(1)).min(100.0)),
        "allocator_allocated": allocator.allocated,
        "allocator_active": allocator.active,
        "allocator_resident": allocator.resident,
        "allocator_muzzy": 0,
        "total_system_memory": machine,
        "total_system_memory_human": human(machine),
    );
    zeros(text, &["used_memory_lua", "used_memory_vm_eval"]);
    fields!(text, "used_memory_lua_human": "0B");
    zeros(
        text,
        &[
            "used_memory_scripts_eval",
            "number_of_cached_scripts",
            "number_of_functions",
            "number_of_libraries",
            "used_memory_vm_functions",
            "used_memory_vm_total",
        ],
    );
    fields!(text, "used_memory_vm_total_human": "0B", "used_memory_functions": 0, "used_memory_scripts": 0, "used_memory_scripts_human": "0B");
    let limit = state.settings.memory(Setting::MaxMemory);
    let ratio = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    let (active, allocated) = (allocator.active as u64, allocator.allocated as u64);
    let held = allocator.resident as u64;
    fields!(text,
        "maxmemory": limit,
        "maxmemory_human": human(limit),
        "maxmemory_policy": state.settings.choice(Setting::MaxMemoryPolicy),
        "allocator_frag_ratio": format_args!("{:.2}", ratio(active, allocated)),
        "allocator_frag_bytes": active.saturating_sub(allocated),
        "allocator_rss_ratio": format_args!("{:.2}", ratio(held, active)),
        "allocator_rss_bytes": held.saturating_sub(active),
        "rss_overhead_ratio": format_args!("{:.2}", ratio(resident, held)),
        "rss_overhead_bytes": resident as i64 - held as i64,
        "mem_fragmentation_ratio": format_args!("{:.2}", ratio(resident, used)),
        "mem_fragmentation_bytes": resident as i64 - used as i64,
    );
    zeros(
        text,
        &[
            "mem_not_counted_for_evict",
            "mem_replication_backlog",
            "mem_total_replication_buffers",
            "mem_replicas_repl_buffer",
            "mem_clients_slaves",
        ],
    );
    fields!(text, "mem_clients_normal": clients);
    zeros(text, &["mem_cluster_links", "mem_cluster_slot_import", "mem_cluster_slot_export", "mem_aof_buffer"]);
    fields!(text, "mem_allocator": "jemalloc-5.3.0");
    zeros(
        text,
        &[
            "mem_overhead_db_hashtable_rehashing",
            "active_defrag_running",
            "lazyfree_pending_objects",
            "lazyfreed_objects",
        ],
    );
}

/// What the cores have allocated, and what the rest of the process holds.
fn used_memory(state: &State, samples: &[Sample], allocator: &memory::AllocatorView) -> u64 {
    let counted = samples.iter().map(|sample| sample.memory).sum::<i64>() + state.process.main_memory();
    if counted > 0 { counted as u64 } else { allocator.allocated as u64 }
}

fn persistence(text: &mut String, state: &State, samples: &[Sample]) {
    zeros(text, &["loading", "async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"]);
    fields!(text, "current_fork_perc": "0.00");
    zeros(text, &["current_save_keys_processed", "current_save_keys_total"]);
    fields!(text,
        "rdb_changes_since_last_save": total(samples, |s| s.changes),
        "rdb_bgsave_in_progress": 0,
        "rdb_last_save_time": state.process.started.as_seconds(),
        "rdb_last_bgsave_status": "ok",
        "rdb_last_bgsave_time_sec": -1,
        "rdb_current_bgsave_time_sec": -1,
    );
    zeros(
        text,
        &[
            "rdb_saves",
            "rdb_last_cow_size",
            "rdb_last_load_keys_expired",
            "rdb_last_load_keys_loaded",
            "aof_enabled",
            "aof_rewrite_in_progress",
            "aof_rewrite_scheduled",
        ],
    );
    fields!(text, "aof_last_rewrite_time_sec": -1, "aof_current_rewrite_time_sec": -1, "aof_last_bgrewrite_status": "ok");
    zeros(text, &["aof_rewrites", "aof_rewrites_consecutive_failures"]);
    fields!(text, "aof_last_write_status": "ok");
    zeros(
        text,
        &[
            "aof_last_cow_size",
            "module_fork_in_progress",
            "module_fork_last_cow_size",
            "slot_migration_fork_in_progress",
        ],
    );
}

fn stats_section(text: &mut String, _: &State, samples: &[Sample]) {
    let sum = |of: fn(&Statistics) -> u64| total(samples, |s| of(&s.statistics));
    // Of the event loop of one thread, as elsewhere; section "cores" has those of all.
    let first = samples.first().map(|sample| sample.statistics).unwrap_or_default();
    let kilobytes = |of: fn(&Statistics) -> u64| sum(of) as f64 / 1024.0;
    fields!(text,
        "total_connections_received": sum(|s| s.connections_received),
        "total_commands_processed": sum(|s| s.commands),
        "instantaneous_ops_per_sec": sum(|s| s.rates.commands),
        "total_net_input_bytes": sum(|s| s.net_in),
        "total_net_output_bytes": sum(|s| s.net_out),
    );
    zeros(
        text,
        &[
            "total_net_repl_input_bytes",
            "total_net_repl_output_bytes",
            "total_net_cluster_slot_import_bytes",
            "total_net_cluster_slot_export_bytes",
        ],
    );
    fields!(text,
        "instantaneous_input_kbps": format_args!("{:.2}", kilobytes(|s| s.rates.bytes_in)),
        "instantaneous_output_kbps": format_args!("{:.2}", kilobytes(|s| s.rates.bytes_out)),
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": sum(|s| s.connections_rejected),
    );
    zeros(text, &["sync_full", "sync_partial_ok", "sync_partial_err"]);
    fields!(text,
        "expired_keys": total(samples, |s| s.stats.expired_keys),
        "expired_fields": 0,
        "expired_stale_perc": "0.00",
        "expired_keys_with_volatile_items_stale_perc": "0.00",
        "expired_time_cap_reached_count": 0,
        "expire_cycle_cpu_milliseconds": 0,
        "evicted_keys": total(samples, |s| s.stats.evicted_keys),
    );
    fields!(text, "evicted_clients": sum(|s| s.clients_evicted));
    zeros(text, &["evicted_scripts", "total_eviction_exceeded_time", "current_eviction_exceeded_time"]);
    fields!(text,
        "keyspace_hits": total(samples, |s| s.stats.keyspace_hits),
        "keyspace_misses": total(samples, |s| s.stats.keyspace_misses),
    );
    zeros(
        text,
        &[
            "pubsub_channels",
            "pubsub_patterns",
            "pubsubshard_channels",
            "latest_fork_usec",
            "total_forks",
            "migrate_cached_sockets",
            "slave_expires_tracked_keys",
            "active_defrag_hits",
            "active_defrag_misses",
            "active_defrag_key_hits",
            "active_defrag_key_misses",
            "total_active_defrag_time",
            "current_active_defrag_time",
            "tracking_total_keys",
            "tracking_total_items",
            "tracking_total_prefixes",
            "unexpected_error_replies",
        ],
    );
    fields!(text,
        "total_error_replies": total(samples, |s| s.errors.total()),
        "dump_payload_sanitizations": 0,
        "total_reads_processed": sum(|s| s.reads),
        "total_writes_processed": sum(|s| s.writes),
    );
    zeros(
        text,
        &[
            "io_threaded_reads_processed",
            "io_threaded_writes_processed",
            "io_threaded_freed_objects",
            "io_threaded_accept_processed",
            "io_threaded_poll_processed",
            "io_threaded_total_prefetch_batches",
            "io_threaded_total_prefetch_entries",
        ],
    );
    fields!(text,
        "client_query_buffer_limit_disconnections": sum(|s| s.query_limit_closed),
        "client_output_buffer_limit_disconnections": sum(|s| s.output_limit_closed),
        "reply_buffer_shrinks": sum(|s| s.reply_rooms_shrunk),
        "reply_buffer_expands": sum(|s| s.reply_rooms_grown),
        "eventloop_cycles": first.passes,
        "eventloop_duration_sum": first.busy_micros,
        "eventloop_duration_cmd_sum": first.command_micros,
        "instantaneous_eventloop_cycles_per_sec": first.rates.passes,
        "instantaneous_eventloop_duration_usec": first.rates.pass_micros,
        "acl_access_denied_auth": sum(|s| s.auth_denied),
    );
    zeros(
        text,
        &[
            "acl_access_denied_cmd",
            "acl_access_denied_key",
            "acl_access_denied_channel",
            "acl_access_denied_tls_cert",
            "acl_access_denied_db",
        ],
    );
}

fn replication(text: &mut String, state: &State, _: &[Sample]) {
    fields!(text,
        "role": "master",
        "connected_slaves": 0,
        "replicas_waiting_psync": 0,
        "master_failover_state": "no-failover",
        "master_replid": state.process.run_id,
        "master_replid2": "0000000000000000000000000000000000000000",
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": state.settings.memory(Setting::ReplBacklogSize),
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    );
}

fn cpu(text: &mut String, _: &State, samples: &[Sample]) {
    let (user, system) = sys::cpu_time(sys::Whose::Process);
    let main = samples.first().map_or((Duration::ZERO, Duration::ZERO), |sample| sample.cpu);
    let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
    let busy = samples.first().map_or(0, |sample| sample.statistics.busy_micros);
    fields!(text,
        "used_cpu_sys": seconds(system),
        "used_cpu_user": seconds(user),
        "used_cpu_sys_children": "0.000000",
        "used_cpu_user_children": "0.000000",
        "used_cpu_sys_main_thread": seconds(main.1),
        "used_cpu_user_main_thread": seconds(main.0),
        "used_active_time_main_thread": seconds(Duration::from_micros(busy)),
    );
}

fn modules(_: &mut String, _: &State, _: &[Sample]) {}

fn errorstats(text: &mut String, _: &State, samples: &[Sample]) {
    let mut sums = BTreeMap::new();
    for (code, count) in samples.iter().flat_map(|sample| sample.errors.iter()) {
        *sums.entry(code).or_insert(0) += count;
    }
    for (code, count) in sums {
        let _ = write!(text, "errorstat_{code}:count={count}\r\n");
    }
}

fn cluster(text: &mut String, state: &State, _: &[Sample]) {
    fields!(text, "cluster_enabled": i32::from(state.seat.is_some()));
}

fn keyspace(text: &mut String, _: &State, samples: &[Sample]) {
    let count = samples.first().map_or(0, |sample| sample.databases.len());
    for index in 0..count {
        let parts = || samples.iter().map(|sample| sample.databases[index]);
        let keys: usize = parts().map(|part| part.keys).sum();
        let volatile: usize = parts().map(|part| part.volatile).sum();
        if keys == 0 {
            continue;
        }
        let ttl_sum: i64 = parts().map(|part| part.average_ttl * part.volatile as i64).sum();
        let average = ttl_sum / (volatile.max(1) as i64);
        let _ =
            write!(text, "db{index}:keys={keys},expires={volatile},avg_ttl={average},keys_with_volatile_items=0\r\n");
    }
}

fn cores(text: &mut String, state: &State, samples: &[Sample]) {
    fields!(text, "cores": samples.len());
    for (index, sample) in samples.iter().enumerate() {
        let s = &sample.statistics;
        let keys: usize = sample.databases.iter().map(|database| database.keys).sum();
        let _ = write!(
            text,
            "core{index}:connections={},commands={},keys={keys},hops_in={},hops_out={},calls_in={},calls_out={},flights={},\
             lock_waits={},waiting={},overflow={},passes={},busy_usec={},longest_pass_usec={},wakes={},memory={},cpu_user={:.3},cpu_sys={:.3},\
             clients_active={},arrivals_per_sec={},wait_want={},wait_min_usec={}",
            sample.sessions,
            s.commands,
            s.hops_in,
            s.hops_out,
            s.calls_in,
            s.calls_out,
            s.flights,
            sample.lock_waits,
            sample.waiting,
            sample.overflow,
            s.passes,
            s.busy_micros,
            s.longest_pass_micros,
            s.wakes,
            sample.memory,
            sample.cpu.0.as_secs_f64(),
            sample.cpu.1.as_secs_f64(),
            sample.active,
            sample.arrivals,
            sample.wait.want,
            sample.wait.min_wait.as_micros(),
        );
        let port = state.settings.int(Setting::CorePorts);
        if port != 0 {
            let _ = write!(text, ",port={}", port + index as i64);
        }
        text.push_str("\r\n");
    }
}

fn ringkey(text: &mut String, _: &State, _: &[Sample]) {
    fields!(text, "ringkey_version": VERSION);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(988_960), "965.78K");
        assert_eq!(human(25_276_514_304), "23.54G");
    }
}
