//! INFO about the data: persistence, replication, keys.

use super::Sample;
use super::text::{fields, total, zeros};
use crate::state::State;
use ringkey_core::settings::Setting;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub fn persistence(text: &mut String, state: &State, samples: &[Sample]) {
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

pub fn replication(text: &mut String, state: &State, _: &[Sample]) {
    fields!(text,
        "role": "master",
        "connected_slaves": 0,
        "replicas_waiting_psync": 0,
        "master_failover_state": "no-failover",
        "master_replid": state.process.replication_id(),
        "master_replid2": "0000000000000000000000000000000000000000",
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": state.settings.memory(Setting::ReplBacklogSize),
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    );
}

pub fn keyspace(text: &mut String, state: &State, samples: &[Sample]) {
    let mut sums = BTreeMap::new();
    for database in samples.iter().flat_map(|sample| &sample.databases) {
        let (keys, volatile, ttl, holders) = sums.entry(database.index).or_insert((0, 0, 0, 0));
        *keys += database.keys;
        *volatile += database.volatile;
        *ttl += i128::from((database.mean_expiry - state.now.0).max(0)) * database.volatile as i128;
        *holders += database.holders;
    }
    for (index, (keys, volatile, ttl, holders)) in sums.into_iter().filter(|(_, (keys, ..))| *keys > 0) {
        let average = ttl / (volatile as i128).max(1);
        let _ = write!(
            text,
            "db{index}:keys={keys},expires={volatile},avg_ttl={average},keys_with_volatile_items={holders}\r\n"
        );
    }
}
