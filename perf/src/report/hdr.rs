//! The HdrHistogram interval log, which the tools around HdrHistogram draw.

use super::{INTERVAL, Report, histogram};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

/// A histogram as bytes; an empty one takes some dozen.
pub(super) fn encode(histogram: &Histogram<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(histogram, &mut bytes).expect("memory takes every histogram");
    bytes
}

impl Report {
    /// Adds a step to the time series.
    pub(crate) fn add_interval(&mut self, start_ms: u64, requests: u64, part: &Histogram<u64>) {
        let us = |ns: u64| ns as f64 / 1e3;
        self.series.push(super::Interval {
            start_ms,
            requests,
            p50_us: us(part.value_at_quantile(0.5)),
            p99_us: us(part.value_at_quantile(0.99)),
            max_us: us(part.max()),
        });
        self.encoded.push((start_ms, encode(part)));
        self.latency.add(part).expect("a histogram that resizes takes every other");
    }

    /// Writes the log: one line for each step, maxima in milliseconds as is the custom, values in nanoseconds.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_hdr_log(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut out = out;
        let mut serializer = V2DeflateSerializer::new();
        let start = SystemTime::now() - self.elapsed;
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("[Logged by ringkey-perf; values in nanoseconds]")
            .with_start_time(start)
            .with_base_time(start)
            .with_max_value_divisor(1e6)
            .begin_log_with(&mut out, &mut serializer)?;
        let tag = Tag::new(&self.name);
        for (start_ms, bytes) in &self.encoded {
            let part: Histogram<u64> =
                Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap_or_else(|_| histogram());
            let at = Duration::from_millis(*start_ms);
            log.write_histogram(&part, at, INTERVAL, tag)
                .map_err(|error| io::Error::other(format!("cannot write the log: {error:?}")))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::example;
    use super::*;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn the_log_can_be_read_back() {
        let mut text = Vec::new();
        example().write_hdr_log(&mut text).unwrap();
        let mut total = histogram();
        let mut steps = 0;
        for entry in IntervalLogIterator::new(&text) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                steps += 1;
                let encoded = interval.encoded_histogram().as_bytes().to_vec();
                let mut decoder = base64_decode(&encoded);
                total.add(Deserializer::new().deserialize::<u64, _>(&mut decoder.as_slice()).unwrap()).unwrap();
                decoder.clear();
            }
        }
        assert_eq!((steps, total.len()), (2, 3));
        assert_eq!(total, example().latency);
    }

    /// Base 64 with padding, which the log's lines are in.
    fn base64_decode(text: &[u8]) -> Vec<u8> {
        let digit = |c: u8| match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let mut out = Vec::new();
        for group in text.chunks(4) {
            let used: Vec<u32> = group.iter().filter(|c| **c != b'=').map(|c| u32::from(digit(*c))).collect();
            let bits = used.iter().fold(0, |sum, d| sum << 6 | d) << (6 * (4 - used.len()));
            out.extend_from_slice(&bits.to_be_bytes()[1..used.len()]);
        }
        out
    }
}
