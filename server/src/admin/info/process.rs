//! INFO about the process: server, TLS, clients, CPU, modules, scripting engines, cluster.

use super::Sample;
use super::text::{fields, total};
use crate::state::State;
use crate::{COMPATIBLE_VERSION, REDIS_VERSION, SERVER_NAME, clock, sys};
use ringkey_core::settings::Setting;
use std::fmt::Write as _;
use std::time::Duration;

pub fn server(text: &mut String, state: &State, samples: &[Sample]) {
    let process = &state.process;
    let uptime = (state.now.0 - process.started.0).max(0) / 1000;
    let hz = state.tuning.hz;
    fields!(text,
        "redis_version": REDIS_VERSION,
        "server_name": SERVER_NAME,
        "valkey_version": COMPATIBLE_VERSION,
        "valkey_release_stage": "ga",
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": "0000000000000000",
    );
    let is_redis = state.settings.bool(Setting::ExtendedRedisCompatibility);
    let of_whom = if is_redis { "redis" } else { "server" };
    let _ = write!(text, "{of_whom}_mode:{}\r\n", if state.seat.is_some() { "cluster" } else { "standalone" });
    fields!(text,
        "os": process.os,
        "arch_bits": usize::BITS,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "io_uring",
        "gcc_version": "0.0.0",
        "process_id": std::process::id(),
        "process_supervised": samples.first().map_or("no", |sample| sample.supervisor),
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

/// No certificate is loaded.
pub fn tls(text: &mut String, _: &State, _: &[Sample]) {
    for kind in ["server", "client", "ca"] {
        let _ = write!(text, "tls_{kind}_cert_serial:none\r\ntls_{kind}_cert_expires_in_seconds:0\r\n");
    }
}

pub fn clients(text: &mut String, state: &State, samples: &[Sample]) {
    fields!(text,
        "connected_clients": total(samples, |s| s.sessions as u64),
        "cluster_connections": 0,
        "maxclients": state.tuning.clients_max,
        "client_recent_max_input_buffer": samples.iter().map(|s| s.clients.largest_query).max().unwrap_or(0),
        "client_recent_max_output_buffer": samples.iter().map(|s| s.clients.largest_output).max().unwrap_or(0),
    );
    fields!(text, "blocked_clients": total(samples, |s| s.blocked as u64));
    fields!(text, "tracking_clients": total(samples, |s| s.tracking as u64));
    fields!(text, "pubsub_clients": total(samples, |s| s.listening as u64));
    fields!(text, "watching_clients": total(samples, |s| s.watching as u64));
    fields!(text, "clients_in_timeout_table": total(samples, |s| s.deadlines as u64));
    fields!(text, "total_watched_keys": total(samples, |s| s.watched_keys as u64));
    fields!(text, "total_blocking_keys": total(samples, |s| s.blocking_keys as u64));
    fields!(text, "total_blocking_keys_on_nokey": total(samples, |s| s.minded_keys as u64));
    let pause = state.paused.pause;
    fields!(text,
        "paused_reason": if pause.is_some() { "client_pause" } else { "none" },
        "paused_actions": pause.map_or("none", |pause| if pause.all { "all" } else { "write" }),
        "paused_timeout_milliseconds": pause.map_or(0, |pause| (pause.until.0 - state.now.0).max(0)),
    );
}

pub fn cpu(text: &mut String, _: &State, samples: &[Sample]) {
    let (user, system) = sys::cpu_time(sys::Whose::Process);
    // The thread of core 0 is the one that does what a main thread does elsewhere; section "cores" has those of all.
    let main = samples.first().map_or((Duration::ZERO, Duration::ZERO), |sample| sample.cpu);
    let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
    let busy = samples.first().map_or(0, |sample| sample.statistics.busy_nanos);
    fields!(text,
        "used_cpu_sys": seconds(system),
        "used_cpu_user": seconds(user),
        "used_cpu_sys_children": "0.000000",
        "used_cpu_user_children": "0.000000",
        "used_cpu_sys_main_thread": seconds(main.1),
        "used_cpu_user_main_thread": seconds(main.0),
        "used_active_time_main_thread": seconds(Duration::from_nanos(busy)),
    );
}

/// There are none.
pub fn modules(_: &mut String, _: &State, _: &[Sample]) {}

pub fn cluster(text: &mut String, state: &State, _: &[Sample]) {
    fields!(text, "cluster_enabled": i32::from(state.seat.is_some()));
}

/// What CLUSTER INFO answers on the common port.
pub fn cluster_info(text: &mut String, state: &State, _: &[Sample]) {
    if let Some(info) = crate::admin::cluster::info_text(state) {
        text.push_str(&info);
    }
}

/// The one that is built in.
pub fn scripting_engines(text: &mut String, state: &State, _: &[Sample]) {
    let figures = state.process.scripts.figures();
    let (used, overhead) = (figures.interpreter_bytes, figures.script_bytes + figures.functions.bytes);
    fields!(text,
        "engines_count": 1,
        "engines_total_used_memory": used,
        "engines_total_memory_overhead": overhead,
        "engine_0": format_args!("name=LUA,module=built-in,abi_version=4,used_memory={used},memory_overhead={overhead}"),
    );
}
