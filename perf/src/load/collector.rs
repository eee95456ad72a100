//! Puts together what the threads recorded, step by step, while they work.

use super::recorder::{STEP_NS, Step};
use super::{Plan, Progress};
use crate::report::{INTERVAL, Report, histogram};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// What a thread counted; times are since recording began.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub requests: u64,
    pub errors: u64,
    pub nulls: u64,
    pub unanswered: u64,
    pub first_error: Option<String>,
    pub last_reply: Duration,
    pub cpu: Duration,
    pub sent: u64,
    pub received: u64,
    pub stall: Duration,
    pub stall_at: Duration,
}

/// Steps of all threads become one series.
pub(super) struct Collector {
    report: Report,
    requests: Option<u64>,
    duration: Option<Duration>,
    /// The next step of each thread.
    next: Vec<u64>,
    /// Steps that some threads have not handed over yet.
    open: BTreeMap<u64, (u64, Histogram<u64>)>,
    done: u64,
}

impl Collector {
    pub(super) fn new(name: String, plan: &Plan) -> Self {
        let default = plan.duration.is_none().then_some(Plan::DEFAULT_REQUESTS);
        Self {
            report: empty(name),
            requests: plan.requests.or(default),
            duration: plan.duration,
            next: vec![0; plan.threads],
            open: BTreeMap::new(),
            done: 0,
        }
    }

    /// Takes steps until all threads have ended.
    pub(super) fn collect(&mut self, steps: &Receiver<Step>, progress: &mut dyn FnMut(&Progress)) {
        for step in steps {
            self.next[step.thread] = step.index.saturating_add(1);
            if step.index != Step::LAST {
                let entry = self.open.entry(step.index).or_insert_with(|| (0, histogram()));
                entry.0 += step.requests;
                if let Some(part) = &step.latency {
                    entry.1.add(part).expect("a histogram that resizes takes every other");
                }
            }
            let complete = self.next.iter().copied().min().unwrap_or(0);
            while self.open.first_key_value().is_some_and(|(index, _)| *index < complete) {
                let Some((index, (requests, part))) = self.open.pop_first() else { break };
                self.close(index, requests, &part, progress);
            }
        }
    }

    fn close(&mut self, index: u64, requests: u64, part: &Histogram<u64>, progress: &mut dyn FnMut(&Progress)) {
        self.done += requests;
        self.report.add_interval(index * (STEP_NS / 1_000_000), requests, part);
        let elapsed = INTERVAL * (index as u32).saturating_add(1);
        let by_time = self.duration.map_or(0.0, |duration| elapsed.as_secs_f64() / duration.as_secs_f64().max(1e-9));
        let by_count = self.requests.map_or(0.0, |requests| self.done as f64 / requests.max(1) as f64);
        progress(&Progress {
            elapsed,
            requests: self.done,
            fraction: by_time.max(by_count).min(1.0),
            rate: requests as f64 / INTERVAL.as_secs_f64(),
        });
    }

    /// The report, with what the threads counted.
    pub(super) fn finish(self, threads: Vec<Totals>) -> Report {
        let mut report = self.report;
        while report.series.last().is_some_and(|step| step.requests == 0 && step.max_us == 0.0) {
            report.series.pop();
            report.encoded.pop();
        }
        for thread in threads {
            report.requests += thread.requests;
            report.errors += thread.errors;
            report.nulls += thread.nulls;
            report.unanswered += thread.unanswered;
            report.first_error = report.first_error.or(thread.first_error);
            report.elapsed = report.elapsed.max(thread.last_reply);
            report.client_cpu += thread.cpu;
            report.bytes_sent += thread.sent;
            report.bytes_received += thread.received;
            if thread.stall > report.longest_stall {
                (report.longest_stall, report.longest_stall_at) = (thread.stall, thread.stall_at);
            }
        }
        report
    }
}

fn empty(name: String) -> Report {
    Report {
        name,
        requests: 0,
        errors: 0,
        first_error: None,
        nulls: 0,
        unanswered: 0,
        elapsed: Duration::ZERO,
        latency: histogram(),
        series: Vec::new(),
        longest_stall: Duration::ZERO,
        longest_stall_at: Duration::ZERO,
        client_cpu: Duration::ZERO,
        bytes_sent: 0,
        bytes_received: 0,
        next_key: 0,
        encoded: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn steps_of_threads_that_end_at_different_times_add_up() {
        let plan = Plan { threads: 2, ..Plan::default() };
        let mut collector = Collector::new("x".into(), &plan);
        let (sender, receiver) = std::sync::mpsc::channel();
        let part = |ns| {
            let mut part = histogram();
            part.record(ns).unwrap();
            Some(part)
        };
        for (thread, index, latency) in [
            (0, 0, part(5)),
            (0, 1, None),
            (1, 0, part(7)),
            (1, Step::LAST, None),
            (0, 2, part(9)),
            (0, Step::LAST, None),
        ] {
            let requests = latency.is_some().into();
            sender.send(Step { thread, index, requests, latency }).unwrap();
        }
        drop(sender);
        let mut seen = Vec::new();
        collector.collect(&receiver, &mut |progress| seen.push((progress.requests, progress.rate as u64)));
        assert_eq!(seen, [(2, 20), (2, 0), (3, 10)]);
        let report =
            collector.finish(vec![Totals { stall: Duration::from_secs(1), ..Totals::default() }, Totals::default()]);
        assert_eq!((report.latency.len(), report.series.len()), (3, 3));
        assert_eq!(report.longest_stall, Duration::from_secs(1));
    }
}
