//! What is wrong with the machine for a server like this one, said at the start: the judgement is that of `--check-system`.

use crate::self_check::system::{self, Verdict};
use crate::sys::process;
use ringkey_core::settings::{Setting, Settings};

/// What is checked elsewhere, against what the settings ask for instead of the usual.
const CHECKED_ELSEWHERE: [&str; 2] = ["somaxconn", "open-files"];

/// Does what `disable-thp` asks for, and lists what an operator should change.
///
/// Huge pages make a process that frees small pieces keep more memory than it uses; and whatever copies pages when they
/// are written copies five hundred times as much.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let without_huge_pages = settings.bool(Setting::DisableThp) && process::disable_huge_pages().is_ok();
    let findings = system::check().into_iter().filter_map(|finding| match finding.verdict {
        Verdict::Poor(_) if finding.name == "thp" && without_huge_pages => None,
        Verdict::Poor(text) if !CHECKED_ELSEWHERE.contains(&finding.name) => Some(format!("WARNING {text}")),
        _ => None,
    });
    let mut found: Vec<String> = findings.collect();
    let backlog = settings.int(Setting::TcpBacklog);
    let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    if let Ok(allowed) = allowed.trim().parse::<i64>()
        && allowed < backlog
    {
        found.push(format!(
            "WARNING The tcp-backlog of {backlog} cannot be had: /proc/sys/net/core/somaxconn allows {allowed}."
        ));
    }
    found
}
