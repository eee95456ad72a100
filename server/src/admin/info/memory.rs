//! INFO about memory.

use super::Sample;
use super::text::{fields, human, total, zeros};
use crate::admin::memory::Figures;
use crate::memory;
use crate::state::State;
use ringkey_core::settings::Setting;

pub fn memory(text: &mut String, state: &State, samples: &[Sample]) {
    let figures = Figures::new(state, samples);
    usage(text, state, &figures);
    scripts(text, state);
    let limit = state.settings.memory(Setting::MaxMemory);
    fields!(text,
        "maxmemory": limit,
        "maxmemory_human": human(limit),
        "maxmemory_policy": state.settings.choice(Setting::MaxMemoryPolicy),
    );
    allocator(text, &figures);
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
    fields!(text, "mem_clients_normal": figures.clients);
    zeros(text, &["mem_cluster_links", "mem_cluster_slot_import", "mem_cluster_slot_export", "mem_aof_buffer"]);
    fields!(text, "mem_allocator": memory::NAME);
    zeros(text, &["mem_overhead_db_hashtable_rehashing", "active_defrag_running"]);
    fields!(text,
        "lazyfree_pending_objects": total(samples, |s| s.to_be_freed as u64),
        "lazyfreed_objects": total(samples, |s| s.stats.lazyfreed),
    );
}

fn usage(text: &mut String, state: &State, figures: &Figures) {
    let machine = state.process.machine_memory;
    fields!(text,
        "used_memory": figures.used,
        "used_memory_human": human(figures.used),
        "used_memory_rss": figures.resident,
        "used_memory_rss_human": human(figures.resident),
        "used_memory_peak": figures.peak,
        "used_memory_peak_human": human(figures.peak),
        "used_memory_peak_perc": format_args!("{:.2}%", figures.peak_percent()),
        "used_memory_overhead": figures.overhead,
        "used_memory_startup": figures.startup,
        "used_memory_dataset": figures.dataset,
        "used_memory_dataset_perc": format_args!("{:.2}%", figures.dataset_percent()),
        "allocator_allocated": figures.allocator.allocated,
        "allocator_active": figures.allocator.active,
        "allocator_resident": figures.allocator.resident,
        "allocator_muzzy": figures.allocator.muzzy,
        "total_system_memory": machine,
        "total_system_memory_human": human(machine),
    );
}

/// One interpreter a core runs scripts and functions, so that the memory of its own is all told as that of scripts.
fn scripts(text: &mut String, state: &State) {
    let figures = state.process.scripts.figures();
    let sources = figures.script_bytes + figures.functions.bytes;
    fields!(text,
        "used_memory_lua": figures.interpreter_bytes,
        "used_memory_vm_eval": figures.interpreter_bytes,
        "used_memory_lua_human": human(figures.interpreter_bytes),
        "used_memory_scripts_eval": figures.script_bytes,
        "number_of_cached_scripts": figures.scripts,
        "number_of_functions": figures.functions.functions,
        "number_of_libraries": figures.functions.libraries,
        "used_memory_vm_functions": 0,
        "used_memory_vm_total": figures.interpreter_bytes,
        "used_memory_vm_total_human": human(figures.interpreter_bytes),
        "used_memory_functions": figures.functions.bytes,
        "used_memory_scripts": sources,
        "used_memory_scripts_human": human(sources),
    );
}

fn allocator(text: &mut String, figures: &Figures) {
    for (prefix, (ratio, bytes)) in [
        ("allocator_frag", figures.fragmentation()),
        ("allocator_rss", figures.held_back()),
        ("rss_overhead", figures.beside_allocator()),
        ("mem_fragmentation", figures.total_fragmentation()),
    ] {
        let _ =
            std::fmt::Write::write_fmt(text, format_args!("{prefix}_ratio:{ratio:.2}\r\n{prefix}_bytes:{bytes}\r\n"));
    }
}
