//! `--check-system`: what a server needs of the machine, and what makes it slower or weaker than it could be, a line each.

use crate::reactor::probe::{self, Missing};
use std::fmt;

/// How a check went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well; what was found.
    Good(String),
    /// The server runs, but not as it could; what was found, and the mend.
    Poor(String),
    /// The server does not run; what is missing, and the mend.
    Missing(String),
}

/// One check.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// What was seen.
    pub verdict: Verdict,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match &self.verdict {
            Verdict::Good(text) => ("ok", text),
            Verdict::Poor(text) => ("warning", text),
            Verdict::Missing(text) => ("missing", text),
        };
        write!(f, "[{}] {word}: {text}", self.name)
    }
}

/// Clients that are promised without a word in the configuration.
const CLIENTS_USUAL: u64 = 10_000;

/// The default of `tcp-backlog`.
const BACKLOG_USUAL: u64 = 511;

/// The kernel from which on a core can wait for several events at once for a limited time.
const KERNEL_GOOD: (u32, u32) = (6, 12);

/// All checks, in the order in which they matter.
pub fn check() -> Vec<Finding> {
    let release = read("/proc/sys/kernel/osrelease");
    let needed = |found: Result<(), Missing>, good: &str| match found {
        Ok(()) => Verdict::Good(good.to_owned()),
        Err(missing) => Verdict::Missing(missing.to_string()),
    };
    let open_files = crate::sys::raise_open_files(CLIENTS_USUAL + crate::boot::OWN_FILES);
    let findings = [
        ("kernel", kernel(&release)),
        ("io_uring", needed(probe::check_ring(), "it can be set up, and has all operations that are used")),
        ("locked-memory", needed(probe::check_locked_memory(), "the limit leaves room for the rings of a core")),
        ("thp", huge_pages(&read("/sys/kernel/mm/transparent_hugepage/enabled"))),
        ("overcommit", overcommit(&read("/proc/sys/vm/overcommit_memory"))),
        ("somaxconn", backlog(&read("/proc/sys/net/core/somaxconn"))),
        ("open-files", files(open_files.saturating_sub(crate::boot::OWN_FILES))),
        ("clock", clock(&read("/sys/devices/system/clocksource/clocksource0/current_clocksource"))),
    ];
    findings.map(|(name, verdict)| Finding { name, verdict }).into()
}

/// A file of the kernel's without the end of its line; empty if it cannot be read.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn kernel(release: &str) -> Verdict {
    match probe::check_kernel(release) {
        Err(missing) => Verdict::Missing(missing.to_string()),
        Ok(()) if probe::version_of(release) < KERNEL_GOOD => Verdict::Poor(format!(
            "Linux {release} serves, but from {}.{} on a core saves work by waiting for several requests at once.",
            KERNEL_GOOD.0, KERNEL_GOOD.1
        )),
        Ok(()) => Verdict::Good(format!("Linux {release}")),
    }
}

fn huge_pages(enabled: &str) -> Verdict {
    if enabled.contains("[always]") {
        return Verdict::Poor(
            "transparent huge pages are always used, which costs memory and pauses. Run 'echo madvise > \
             /sys/kernel/mm/transparent_hugepage/enabled' at every start of the machine."
                .to_owned(),
        );
    }
    let mode = enabled.split(['[', ']']).nth(1).unwrap_or("not there");
    Verdict::Good(format!("transparent huge pages: {mode}"))
}

fn overcommit(mode: &str) -> Verdict {
    match mode {
        "2" => Verdict::Poor(
            "vm.overcommit_memory is 2: memory may be refused while there is some. Run 'sysctl vm.overcommit_memory=1' and \
             put 'vm.overcommit_memory = 1' into /etc/sysctl.conf."
                .to_owned(),
        ),
        mode => Verdict::Good(format!("vm.overcommit_memory is {mode}")),
    }
}

fn backlog(limit: &str) -> Verdict {
    match limit.parse::<u64>() {
        Ok(limit) if limit < BACKLOG_USUAL => Verdict::Poor(format!(
            "net.core.somaxconn is {limit}: of many clients that connect at once some have to wait. Run 'sysctl \
             net.core.somaxconn={BACKLOG_USUAL}'."
        )),
        _ => Verdict::Good(format!("net.core.somaxconn is {limit}")),
    }
}

fn files(clients: u64) -> Verdict {
    if clients >= CLIENTS_USUAL {
        return Verdict::Good(format!("the limit leaves room for {CLIENTS_USUAL} clients"));
    }
    Verdict::Poor(format!(
        "the limit of open files leaves room for {clients} clients. Raise it: 'ulimit -n {0}', or 'LimitNOFILE={0}' in the \
         systemd unit.",
        CLIENTS_USUAL + crate::boot::OWN_FILES
    ))
}

fn clock(source: &str) -> Verdict {
    match source {
        "xen" | "hpet" | "acpi_pm" | "jiffies" | "pit" => Verdict::Poor(format!(
            "the clock source '{source}' takes a system call or worse for every look at the clock. If the machine offers \
             'tsc', run 'echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource'."
        )),
        "" => Verdict::Good("the kernel does not tell its clock source".to_owned()),
        source => Verdict::Good(format!("clock source {source}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_good(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Good(_))
    }

    #[test]
    fn each_check_tells_good_from_poor() {
        assert!(is_good(&kernel("6.12.1")) && matches!(kernel("6.1.0"), Verdict::Poor(_)));
        assert!(matches!(kernel("5.10.0-8-amd64"), Verdict::Missing(_)));
        assert!(is_good(&huge_pages("always [madvise] never")) && is_good(&huge_pages("")));
        assert!(!is_good(&huge_pages("[always] madvise never")));
        assert!(is_good(&overcommit("0")) && is_good(&overcommit("1")) && !is_good(&overcommit("2")));
        assert!(is_good(&backlog("4096")) && is_good(&backlog("")) && !is_good(&backlog("128")));
        assert!(is_good(&files(CLIENTS_USUAL)) && !is_good(&files(100)));
        assert!(is_good(&clock("tsc")) && is_good(&clock("kvm-clock")) && !is_good(&clock("xen")));
        let line = Finding { name: "clock", verdict: clock("tsc") }.to_string();
        assert_eq!(line, "[clock] ok: clock source tsc");
    }
}
