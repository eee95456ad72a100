//! The latencies of one thread. Every 100 ms they go to the collector, which works on another thread.

use crate::report::{INTERVAL, histogram};
use hdrhistogram::Histogram;
use std::sync::mpsc::Sender;

/// What one thread recorded in one step of the time series.
#[derive(Debug)]
pub(super) struct Step {
    /// Which thread.
    pub thread: usize,
    /// Which step; [`Step::LAST`]: there are no more of this thread.
    pub index: u64,
    /// Requests that were answered.
    pub requests: u64,
    /// Their latencies, if there were any.
    pub latency: Option<Histogram<u64>>,
}

impl Step {
    /// The index behind all steps.
    pub(super) const LAST: u64 = u64::MAX;
}

/// Length of a step in nanoseconds.
pub(super) const STEP_NS: u64 = INTERVAL.as_nanos() as u64;

/// The recorder of one thread; times are nanoseconds since the load began.
#[derive(Debug)]
pub(super) struct Recorder {
    thread: usize,
    sender: Sender<Step>,
    /// When recording begins.
    from: u64,
    index: u64,
    /// When the present step is over.
    roll_at: u64,
    step: Histogram<u64>,
    step_requests: u64,
    /// Requests that were recorded.
    pub requests: u64,
}

impl Recorder {
    pub(super) fn new(thread: usize, sender: Sender<Step>, from: u64) -> Self {
        let roll_at = from + STEP_NS;
        Self { thread, sender, from, index: 0, roll_at, step: histogram(), step_requests: 0, requests: 0 }
    }

    /// Records `count` answers that were due, or sent, at `since`; not those of the warm-up.
    pub(super) fn answered(&mut self, since: u64, now: u64, count: u64) {
        if since < self.from {
            return;
        }
        self.requests += count;
        self.step_requests += count;
        self.record(now - since, count);
    }

    /// Records how long requests have waited by now that will not be answered.
    pub(super) fn unanswered(&mut self, since: u64, now: u64) -> u64 {
        if since < self.from {
            return 0;
        }
        self.record(now.saturating_sub(since), 1);
        1
    }

    fn record(&mut self, latency: u64, count: u64) {
        self.step.record_n(latency, count).expect("a histogram that resizes takes every latency");
    }

    /// Hands over the steps that are over.
    pub(super) fn roll(&mut self, now: u64) {
        while now >= self.roll_at {
            self.hand_over();
            self.index += 1;
            self.roll_at += STEP_NS;
        }
    }

    fn hand_over(&mut self) {
        let latency = (!self.step.is_empty()).then(|| {
            let copy = self.step.clone();
            self.step.reset();
            copy
        });
        let requests = std::mem::take(&mut self.step_requests);
        // Nobody listens any more only if the run has failed.
        let _ = self.sender.send(Step { thread: self.thread, index: self.index, requests, latency });
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.hand_over();
        let _ = self.sender.send(Step { thread: self.thread, index: Step::LAST, requests: 0, latency: None });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn steps_follow_each_other_without_a_gap() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut recorder = Recorder::new(3, sender, 1000);
        recorder.answered(999, 2000, 5); // the warm-up's
        recorder.answered(1000, 3000, 2);
        recorder.roll(1000 + STEP_NS - 1);
        recorder.roll(1000 + 3 * STEP_NS);
        recorder.answered(1000, 1000 + 3 * STEP_NS, 1);
        assert_eq!(recorder.requests, 3);
        drop(recorder);
        let steps: Vec<_> = receiver.iter().map(|step| (step.thread, step.index, step.requests)).collect();
        assert_eq!(steps, [(3, 0, 2), (3, 1, 0), (3, 2, 0), (3, 3, 1), (3, Step::LAST, 0)]);
    }
}
