//! Latency events (LATENCY LATEST, HISTORY, GRAPH, DOCTOR): what took at least `latency-monitor-threshold`, by kind of
//! event, the worst of each second.

use std::collections::BTreeMap;

/// Seconds remembered of each event.
const SAMPLES_MAX: usize = 160;

/// The worst of one second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The second of Unix time.
    pub seconds: i64,
    /// The longest duration in it, in milliseconds.
    pub millis: u64,
}

/// The samples of one event, in order of time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Series {
    /// The last seconds in which it happened.
    pub samples: Vec<Sample>,
    /// The longest duration since the last reset, in milliseconds.
    pub worst: u64,
    /// The sum of all durations since then, in milliseconds.
    pub sum: u64,
    /// How often it happened since then.
    pub count: u64,
}

impl Series {
    fn add(&mut self, sample: Sample) {
        match self.samples.last_mut().filter(|last| last.seconds == sample.seconds) {
            Some(last) => last.millis = last.millis.max(sample.millis),
            None => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.remove(0);
                }
                self.samples.push(sample);
            }
        }
    }

    /// The latest sample.
    pub fn latest(&self) -> Option<Sample> {
        self.samples.last().copied()
    }
}

/// The events of one core.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LatencyEvents {
    series: BTreeMap<&'static str, Series>,
}

impl LatencyEvents {
    /// Notes that `event` took so long.
    pub fn note(&mut self, event: &'static str, seconds: i64, millis: u64) {
        let series = self.series.entry(event).or_default();
        series.worst = series.worst.max(millis);
        series.sum += millis;
        series.count += 1;
        series.add(Sample { seconds, millis });
    }

    /// All events, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Series)> {
        self.series.iter().map(|(event, series)| (*event, series))
    }

    /// One event, by its name in any case of letters.
    pub fn find(&self, event: &[u8]) -> Option<(&'static str, &Series)> {
        self.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(event))
    }

    /// Forgets events: those of these names, or all. Gives the names of those that there were.
    pub fn reset(&mut self, events: &[Vec<u8>]) -> Vec<&'static str> {
        let is_meant =
            |name: &str| events.is_empty() || events.iter().any(|event| name.as_bytes().eq_ignore_ascii_case(event));
        let gone: Vec<&'static str> = self.series.keys().copied().filter(|name| is_meant(name)).collect();
        gone.iter().for_each(|name| {
            self.series.remove(name);
        });
        gone
    }

    /// Joins the events of several cores.
    pub fn merge(cores: impl IntoIterator<Item = Self>) -> Self {
        let mut all: BTreeMap<&'static str, Series> = BTreeMap::new();
        for (event, series) in cores.into_iter().flat_map(|core| core.series) {
            let known = all.entry(event).or_default();
            known.worst = known.worst.max(series.worst);
            known.sum += series.sum;
            known.count += series.count;
            known.samples.extend(series.samples);
        }
        for series in all.values_mut() {
            let mut samples = std::mem::take(&mut series.samples);
            samples.sort_by_key(|sample| sample.seconds);
            samples.into_iter().for_each(|sample| series.add(sample));
        }
        Self { series: all }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_a_second_stays() {
        let mut events = LatencyEvents::default();
        events.note("command", 10, 300);
        events.note("command", 10, 200);
        events.note("command", 11, 100);
        let (_, series) = events.find(b"COMMAND").unwrap();
        assert_eq!(series.samples, [Sample { seconds: 10, millis: 300 }, Sample { seconds: 11, millis: 100 }]);
        assert_eq!((series.worst, series.latest().unwrap().millis), (300, 100));
        (100..400).for_each(|second| events.note("command", second, 1));
        let (_, series) = events.find(b"command").unwrap();
        assert_eq!((series.samples.len(), series.samples[0].seconds, series.worst), (SAMPLES_MAX, 240, 300));
    }

    #[test]
    fn cores_are_joined_by_second() {
        let (mut one, mut other) = (LatencyEvents::default(), LatencyEvents::default());
        one.note("command", 10, 5);
        one.note("command", 12, 7);
        other.note("command", 11, 9);
        other.note("command", 12, 6);
        other.note("expire-cycle", 1, 1);
        let mut all = LatencyEvents::merge([one, other]);
        let millis: Vec<u64> = all.find(b"command").unwrap().1.samples.iter().map(|sample| sample.millis).collect();
        assert_eq!(millis, [5, 9, 7]);
        let (_, series) = all.find(b"command").unwrap();
        assert_eq!((series.worst, series.sum, series.count), (9, 27, 4));
        assert_eq!(all.reset(&[b"Command".to_vec(), b"none".to_vec()]), ["command"]);
        assert_eq!(all.reset(&[]), ["expire-cycle"]);
        assert_eq!(all, LatencyEvents::default());
    }
}
