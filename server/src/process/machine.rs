//! What is wrong with the machine for a server like this one, said at the start.

use crate::sys::process;
use ringkey_core::settings::{Setting, Settings};

/// Does what `disable-thp` asks for, and lists what an operator should change.
///
/// Huge pages make a process that frees small pieces keep more memory than it uses; and whatever copies pages when they
/// are written copies five hundred times as much.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    if read("/proc/sys/vm/overcommit_memory").trim() == "0" {
        found.push(
            "WARNING The kernel refuses memory by a guess (vm.overcommit_memory = 0). A server that needs much of it at \
             once can be refused although there is enough. Set it to 1: 'sysctl vm.overcommit_memory=1', and in \
             /etc/sysctl.conf to keep it."
                .to_owned(),
        );
    }
    if read("/sys/kernel/mm/transparent_hugepage/enabled").contains("[always]")
        && (!settings.bool(Setting::DisableThp) || process::disable_huge_pages().is_err())
    {
        found.push(
            "WARNING Transparent huge pages are 'always' on, also for this process: it will take more memory than it \
             needs, and at times be slow. Set them to 'madvise': 'echo madvise > \
             /sys/kernel/mm/transparent_hugepage/enabled', or let 'disable-thp' be 'yes'."
                .to_owned(),
        );
    }
    let backlog = settings.int(Setting::TcpBacklog);
    if let Ok(allowed) = read("/proc/sys/net/core/somaxconn").trim().parse::<i64>()
        && allowed < backlog
    {
        found.push(format!(
            "WARNING: The tcp-backlog of {backlog} cannot be had: /proc/sys/net/core/somaxconn allows {allowed}."
        ));
    }
    found
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
