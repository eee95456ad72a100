//! INFO about what has happened: stats, errors, and what only those ask for who look into the server itself.

use super::Sample;
use super::text::{fields, total, zeros};
use crate::pubsub::tables::Kind;
use crate::state::State;
use crate::statistics::Statistics;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub fn stats(text: &mut String, state: &State, samples: &[Sample]) {
    let sum = |of: fn(&Statistics) -> u64| total(samples, |s| of(&s.statistics));
    let kilobytes = |of: fn(&Statistics) -> u64| sum(of) as f64 / 1024.0;
    fields!(text,
        "total_connections_received": sum(|s| s.connections_received),
        "total_commands_processed": sum(|s| s.commands),
        "instantaneous_ops_per_sec": sum(|s| s.rates.commands()),
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
        "instantaneous_input_kbps": format_args!("{:.2}", kilobytes(|s| s.rates.bytes_in())),
        "instantaneous_output_kbps": format_args!("{:.2}", kilobytes(|s| s.rates.bytes_out())),
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": sum(|s| s.connections_rejected),
    );
    zeros(text, &["sync_full", "sync_partial_ok", "sync_partial_err"]);
    fields!(text,
        "expired_keys": total(samples, |s| s.stats.expired_keys),
        "expired_fields": total(samples, |s| s.stats.expired_fields),
        "expired_stale_perc": "0.00",
        "expired_keys_with_volatile_items_stale_perc": "0.00",
        "expired_time_cap_reached_count": 0,
        "expire_cycle_cpu_milliseconds": sum(|s| s.upkeep_nanos) / 1_000_000,
        "evicted_keys": total(samples, |s| s.stats.evicted_keys),
    );
    fields!(text, "evicted_clients": sum(|s| s.clients_evicted));
    fields!(text, "evicted_scripts": state.process.scripts.figures().evicted);
    zeros(text, &["total_eviction_exceeded_time", "current_eviction_exceeded_time"]);
    fields!(text,
        "keyspace_hits": total(samples, |s| s.stats.keyspace_hits),
        "keyspace_misses": total(samples, |s| s.stats.keyspace_misses),
    );
    let tables = state.pubsub.tables.borrow();
    fields!(text,
        "pubsub_channels": tables.count(Kind::Channel),
        "pubsub_patterns": tables.count(Kind::Pattern),
        "pubsubshard_channels": tables.count(Kind::Shard),
    );
    absent(text, samples, state.kept_connections());
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
    limits_and_loop(text, samples);
}

/// What does not exist here, or not yet, and what Valkey shows amid it.
fn absent(text: &mut String, samples: &[Sample], kept_connections: usize) {
    zeros(text, &["latest_fork_usec", "total_forks"]);
    fields!(text, "migrate_cached_sockets": kept_connections);
    zeros(
        text,
        &[
            "slave_expires_tracked_keys",
            "active_defrag_hits",
            "active_defrag_misses",
            "active_defrag_key_hits",
            "active_defrag_key_misses",
            "total_active_defrag_time",
            "current_active_defrag_time",
        ],
    );
    fields!(text,
        "tracking_total_keys": total(samples, |s| s.tracked.0 as u64),
        "tracking_total_items": total(samples, |s| s.tracked.1 as u64),
        "tracking_total_prefixes": samples.iter().map(|s| s.prefixes).max().unwrap_or(0),
    );
    zeros(text, &["unexpected_error_replies"]);
}

fn limits_and_loop(text: &mut String, samples: &[Sample]) {
    let sum = |of: fn(&Statistics) -> u64| total(samples, |s| of(&s.statistics));
    // Elsewhere there is one event loop: this is the mean of ours. Section "cores" has each.
    let mean = |of: fn(&Statistics) -> u64| sum(of) / samples.len().max(1) as u64;
    fields!(text,
        "client_query_buffer_limit_disconnections": sum(|s| s.query_limit_closed),
        "client_output_buffer_limit_disconnections": sum(|s| s.output_limit_closed),
        "reply_buffer_shrinks": sum(|s| s.reply_rooms_shrunk),
        "reply_buffer_expands": sum(|s| s.reply_rooms_grown),
        "eventloop_cycles": mean(|s| s.passes),
        "eventloop_duration_sum": mean(|s| s.busy_nanos) / 1000,
        "eventloop_duration_cmd_sum": mean(|s| s.command_nanos) / 1000,
        "instantaneous_eventloop_cycles_per_sec": mean(|s| s.rates.passes()),
        "instantaneous_eventloop_duration_usec": mean(|s| s.rates.pass_micros()),
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

pub fn errors(text: &mut String, _: &State, samples: &[Sample]) {
    let mut sums = BTreeMap::new();
    for (code, count) in samples.iter().flat_map(|sample| sample.errors.iter()) {
        *sums.entry(code).or_insert(0) += count;
    }
    for (code, count) in sums {
        let _ = write!(text, "errorstat_{code}:count={count}\r\n");
    }
}

/// The mean of the cores, like the event loop in [`stats`]; of what is longest and most, the core with that.
pub fn debug(text: &mut String, _: &State, samples: &[Sample]) {
    let most = |of: fn(&Statistics) -> u64| samples.iter().map(|s| of(&s.statistics)).max().unwrap_or(0);
    let cron = total(samples, |s| s.statistics.cron_nanos) / samples.len().max(1) as u64;
    fields!(text,
        "eventloop_duration_aof_sum": 0,
        "eventloop_duration_cron_sum": cron / 1000,
        "eventloop_duration_max": most(|s| s.longest_pass_micros),
        "eventloop_cmd_per_cycle_max": most(|s| s.most_commands),
    );
    zeros(text, &["io_threaded_reads_pending", "io_threaded_writes_pending"]);
}
