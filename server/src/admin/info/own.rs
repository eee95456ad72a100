//! INFO about what only Ringkey has: its cores, and itself.

use super::Sample;
use super::text::{fields, total};
use crate::VERSION;
use crate::boot;
use crate::state::State;
use ringkey_core::settings::Setting;
use std::fmt::Write as _;

/// A line for each core.
pub fn cores(text: &mut String, state: &State, samples: &[Sample]) {
    fields!(text, "cores": samples.len());
    for (index, sample) in samples.iter().enumerate() {
        let s = &sample.statistics;
        let keys: usize = sample.databases.iter().map(|database| database.keys).sum();
        let tables: usize = sample.databases.iter().map(|database| database.table_bytes).sum();
        let _ = write!(
            text,
            "core{index}:connections={},commands={},keys={keys},hops_in={},hops_out={},calls_in={},calls_out={},flights={},\
             lock_waits={},waiting={},overflow={},ready={},passes={},busy_usec={},busy_percent={:.2},longest_pass_usec={},wakes={},\
             memory={},memory_clients={},memory_tables={tables},cpu_user={:.3},cpu_sys={:.3},ops_per_sec={},input_kbps={:.2},\
             output_kbps={:.2},clients_active={},arrivals_per_sec={},wait_want={},wait_min_usec={},uptime_in_seconds={}",
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
            sample.ready,
            s.passes,
            s.busy_nanos / 1000,
            s.rates.busy_percent(),
            s.longest_pass_micros,
            s.wakes,
            sample.memory,
            sample.clients.bytes,
            sample.cpu.0.as_secs_f64(),
            sample.cpu.1.as_secs_f64(),
            s.rates.commands(),
            s.rates.bytes_in() as f64 / 1024.0,
            s.rates.bytes_out() as f64 / 1024.0,
            sample.active,
            sample.arrivals,
            sample.wait.want,
            sample.wait.min_wait.as_micros(),
            (state.now.0 - sample.started.0).max(0) / 1000,
        );
        let port = state.settings.int(Setting::CorePorts);
        if port != 0 {
            let _ = write!(text, ",port={}", port + index as i64);
        }
        text.push_str("\r\n");
    }
}

/// What this server is, and how it is set up.
pub fn ringkey(text: &mut String, state: &State, samples: &[Sample]) {
    let process = &state.process;
    let sum = |of: fn(&Sample) -> u64| total(samples, of);
    fields!(text,
        "ringkey_version": VERSION,
        "ringkey_cores": samples.len(),
        "ringkey_cores_pinned": i32::from(boot::pins(&state.settings, samples.len(), process.processors)),
        "ringkey_core_ports": state.settings.int(Setting::CorePorts),
        "ringkey_processors": process.processors,
        "ringkey_kernel_min_wait": i32::from(state.has_min_wait),
        "ringkey_hops": sum(|s| s.statistics.hops_out),
        "ringkey_flights": sum(|s| s.statistics.flights),
        "ringkey_lock_waits": sum(|s| s.lock_waits),
    );
}

/// So many of the scripts and functions are named that were begun anew most often.
const ESCALATED_SHOWN: usize = 10;

/// Scripts, and which of them touch keys that their calls do not name, so that all shards have to stop for them.
pub fn scripts(text: &mut String, state: &State, _: &[Sample]) {
    let scripts = &state.process.scripts;
    let figures = scripts.figures();
    fields!(text,
        "scripts_cached": figures.scripts,
        "scripts_loaded": figures.loaded,
        "scripts_proven": figures.proven,
        "scripts_evicted": figures.evicted,
        "scripts_running": figures.running,
        "scripts_escalated": figures.escalations,
    );
    for (index, (name, count)) in scripts.most_escalated(ESCALATED_SHOWN).into_iter().enumerate() {
        let _ = write!(text, "escalated{index}:name={name},count={count}\r\n");
    }
}
