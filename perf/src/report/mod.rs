//! What a run found: counts, latencies, and how both went over time.
//!
//! Latencies are nanoseconds in HdrHistograms of three digits, so that the far end is as true as the middle.

mod csv;
mod hdr;
mod text;

pub use csv::HEADER as CSV_HEADER;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a step of [`Report::series`] is.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// The quantiles that texts and JSON give.
pub const QUANTILES: &[(&str, f64)] =
    &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// An empty histogram for nanoseconds, three digits, as large as it needs to be.
pub fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).expect("three digits are within bounds");
    histogram.auto(true);
    histogram
}

/// One step of the time series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    /// When it starts, in milliseconds since recording began.
    pub start_ms: u64,
    /// Requests that were answered in it.
    pub requests: u64,
    /// The median of their latencies in microseconds.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// What a run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was run.
    pub name: String,
    /// Requests that were answered, errors among them. Those of the warm-up are not counted.
    pub requests: u64,
    /// Replies that were errors.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
    /// Replies that said that there is nothing.
    pub nulls: u64,
    /// Requests that were due or sent but not answered when the run gave up waiting. How long they had waited by then
    /// is in `latency`.
    pub unanswered: u64,
    /// From the end of the warm-up to the last reply.
    pub elapsed: Duration,
    /// Latencies in nanoseconds.
    pub latency: Histogram<u64>,
    /// How it went, in steps of [`INTERVAL`].
    pub series: Vec<Interval>,
    /// The longest time for which a thread of the client had requests under way and heard nothing.
    pub longest_stall: Duration,
    /// When that stall began, since recording began.
    pub longest_stall_at: Duration,
    /// CPU time of the threads that make the load, user and system.
    pub client_cpu: Duration,
    /// Bytes of requests.
    pub bytes_sent: u64,
    /// Bytes of replies.
    pub bytes_received: u64,
    /// The sequential key that would have come next: another run may begin there.
    pub next_key: u64,
    /// The histograms behind `series`, for the HdrHistogram log: start in milliseconds and the histogram in the V2
    /// encoding, which is some hundred bytes where the histogram itself is hundreds of kilobytes.
    pub(crate) encoded: Vec<(u64, Vec<u8>)>,
}

impl Report {
    /// Requests a second.
    pub fn throughput(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The latency in microseconds below which the share `quantile` of the requests lies.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }

    /// The longest latency in microseconds.
    pub fn max_us(&self) -> f64 {
        self.latency.max() as f64 / 1e3
    }

    /// CPU time of the client for each request in microseconds.
    pub fn client_cpu_us(&self) -> f64 {
        self.client_cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }

    /// All of it for programs.
    pub fn to_json(&self) -> Value {
        let mut latency: serde_json::Map<String, Value> =
            QUANTILES.iter().map(|(name, quantile)| ((*name).to_owned(), json!(self.quantile_us(*quantile)))).collect();
        latency.insert("min".into(), json!(self.latency.min() as f64 / 1e3));
        latency.insert("mean".into(), json!(self.latency.mean() / 1e3));
        latency.insert("max".into(), json!(self.max_us()));
        json!({
            "name": self.name,
            "requests": self.requests,
            "errors": self.errors,
            "first_error": self.first_error,
            "nulls": self.nulls,
            "unanswered": self.unanswered,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "requests_per_second": self.throughput(),
            "latency_us": latency,
            "longest_stall_us": self.longest_stall.as_secs_f64() * 1e6,
            "longest_stall_at_s": self.longest_stall_at.as_secs_f64(),
            "client_cpu_s": self.client_cpu.as_secs_f64(),
            "client_cpu_us_per_request": self.client_cpu_us(),
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "interval_ms": INTERVAL.as_millis() as u64,
            "series": self.series,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Two intervals with three requests.
    pub(crate) fn example() -> Report {
        let mut latency = histogram();
        let mut encoded = Vec::new();
        let mut series = Vec::new();
        for (start_ms, values) in [(0, &[100_000_u64, 200_000][..]), (100, &[250_000_000])] {
            let mut part = histogram();
            values.iter().for_each(|value| part.record(*value).unwrap());
            latency.add(&part).unwrap();
            encoded.push((start_ms, hdr::encode(&part)));
            series.push(Interval { start_ms, requests: values.len() as u64, ..Interval::default() });
        }
        Report {
            name: "get".into(),
            requests: 3,
            errors: 1,
            first_error: Some("ERR no".into()),
            nulls: 1,
            unanswered: 0,
            elapsed: Duration::from_millis(200),
            latency,
            series,
            longest_stall: Duration::from_millis(249),
            longest_stall_at: Duration::from_millis(1),
            client_cpu: Duration::from_micros(30),
            bytes_sent: 90,
            bytes_received: 15,
            next_key: 0,
            encoded,
        }
    }

    #[test]
    fn figures_follow_from_counts() {
        let report = example();
        assert!((report.throughput() - 15.0).abs() < 1e-9);
        assert!((report.client_cpu_us() - 10.0).abs() < 1e-9);
        assert!((report.quantile_us(0.5) / 200.0 - 1.0).abs() < 1e-3);
        assert!((report.max_us() / 250_000.0 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn json_has_everything() {
        let json = example().to_json();
        assert_eq!(json["requests"], 3);
        assert_eq!(json["first_error"], "ERR no");
        assert_eq!(json["series"].as_array().unwrap().len(), 2);
        assert_eq!(json["series"][1]["start_ms"], 100);
        assert!(json["latency_us"]["p99.99"].as_f64().unwrap() > 249_000.0);
    }
}
