//! A run for human eyes.

use super::{QUANTILES, Report};
use std::fmt::Write as _;
use std::time::Duration;

/// Microseconds in the unit that reads best.
fn latency(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.1} us"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

fn duration(time: Duration) -> String {
    latency(time.as_secs_f64() * 1e6)
}

/// Bytes a second in the unit that reads best.
fn flow(bytes: u64, elapsed: Duration) -> String {
    format!("{:.1} MB/s", bytes as f64 / 1e6 / elapsed.as_secs_f64().max(1e-9))
}

impl Report {
    /// Several lines.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing into a string cannot fail.
        let _ = writeln!(out, "{}: {:.0} requests/s", self.name, self.throughput());
        let _ = writeln!(out, "  {} requests in {:.3} s", self.requests, self.elapsed.as_secs_f64());
        let figures =
            QUANTILES.iter().map(|(name, quantile)| format!("{name} {}", latency(self.quantile_us(*quantile))));
        let figures: Vec<_> = figures.chain([format!("max {}", latency(self.max_us()))]).collect();
        let _ = writeln!(out, "  latency: {}", figures.join(", "));
        let _ = writeln!(
            out,
            "  longest stall: {}, {:.1} s into the run",
            duration(self.longest_stall),
            self.longest_stall_at.as_secs_f64()
        );
        let _ = writeln!(
            out,
            "  client: {:.3} us of CPU a request, {} out, {} in",
            self.client_cpu_us(),
            flow(self.bytes_sent, self.elapsed),
            flow(self.bytes_received, self.elapsed)
        );
        if self.nulls > 0 {
            let _ = writeln!(out, "  {} replies said that there is nothing", self.nulls);
        }
        if self.errors > 0 {
            let first = self.first_error.as_deref().unwrap_or_default();
            let _ = writeln!(out, "  {} ERRORS, the first: {first}", self.errors);
        }
        if self.unanswered > 0 {
            let _ = writeln!(out, "  {} requests WITHOUT ANSWER when the run gave up", self.unanswered);
        }
        out
    }

    /// One line, as of `valkey-benchmark -q`.
    pub fn line(&self) -> String {
        let errors = if self.errors > 0 { format!(", {} errors", self.errors) } else { String::new() };
        format!(
            "{}: {:.2} requests per second, p50={:.3} msec{errors}",
            self.name,
            self.throughput(),
            self.quantile_us(0.5) / 1e3
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;

    #[test]
    fn bad_news_is_told() {
        let mut report = example();
        report.unanswered = 7;
        let text = report.text();
        for part in ["15 requests/s", "max 25", "longest stall: 249.00 ms", "1 ERRORS, the first: ERR no", "7 requests"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(report.line().starts_with("get: 15.00 requests per second, p50=0.2"));
    }
}
