//! One line a test, with the columns of `valkey-benchmark --csv`.

use super::Report;

/// The names of the columns.
pub const HEADER: &str = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
    \"p99_latency_ms\",\"max_latency_ms\"";

impl Report {
    /// The line of this run, without its end.
    pub fn csv(&self) -> String {
        let ms = |us: f64| format!("\"{:.3}\"", us / 1e3);
        [
            format!("\"{}\"", self.name.replace('"', "\"\"")),
            format!("\"{:.2}\"", self.throughput()),
            ms(self.latency.mean() / 1e3),
            ms(self.latency.min() as f64 / 1e3),
            ms(self.quantile_us(0.5)),
            ms(self.quantile_us(0.95)),
            ms(self.quantile_us(0.99)),
            ms(self.max_us()),
        ]
        .join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn a_line_has_a_field_for_each_column() {
        let line = example().csv();
        assert_eq!(line.split(',').count(), HEADER.split(',').count());
        assert!(line.starts_with("\"get\",\"15.00\","), "{line}");
    }
}
