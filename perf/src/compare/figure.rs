//! The figures that a run yields, as a list: tables, ratios, targets and results follow from it.

use serde::{Deserialize, Serialize};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Requests a second.
    Throughput,
    /// Messages that came to subscribers, a second; until the last one has come.
    Delivered,
    /// CPU of the server for each request, in microseconds.
    ServerCpu,
    /// CPU of the client for each request, in microseconds.
    ClientCpu,
    /// The median latency, in microseconds.
    P50,
    /// The 99th percentile.
    P99,
    /// The 99.9th percentile.
    P999,
    /// The longest.
    Max,
    /// `used_memory` for each key after the filling, in bytes.
    UsedPerKey,
    /// Resident memory for each key after the filling, in bytes.
    ResidentPerKey,
    /// The share of the calls that went to another core.
    HopShare,
    /// Calls in one message to another core.
    CallsPerHop,
    /// CPU of a server that nobody talks to, in percent of one processor.
    IdleCpu,
    /// `used_memory` of an idle connection, in bytes.
    UsedPerConnection,
    /// Resident memory of an idle connection, in bytes.
    ResidentPerConnection,
}

impl Figure {
    /// All of them, in the order of columns.
    pub const ALL: &[Self] = &[
        Self::Throughput,
        Self::Delivered,
        Self::ServerCpu,
        Self::ClientCpu,
        Self::P50,
        Self::P99,
        Self::P999,
        Self::Max,
        Self::UsedPerKey,
        Self::ResidentPerKey,
        Self::HopShare,
        Self::CallsPerHop,
        Self::IdleCpu,
        Self::UsedPerConnection,
        Self::ResidentPerConnection,
    ];

    /// The heading of its column.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Throughput => "requests/s",
            Self::Delivered => "delivered/s",
            Self::ServerCpu => "server CPU us",
            Self::ClientCpu => "client CPU us",
            Self::P50 => "p50 us",
            Self::P99 => "p99 us",
            Self::P999 => "p99.9 us",
            Self::Max => "max us",
            Self::UsedPerKey => "used B/key",
            Self::ResidentPerKey => "RSS B/key",
            Self::HopShare => "hop share",
            Self::CallsPerHop => "calls/hop",
            Self::IdleCpu => "idle CPU %",
            Self::UsedPerConnection => "used B/connection",
            Self::ResidentPerConnection => "RSS B/connection",
        }
    }

    /// Does its ratio to another server's say anything?
    pub fn is_compared(self) -> bool {
        !matches!(self, Self::HopShare | Self::CallsPerHop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_list_is_complete_and_in_order() {
        let mut sorted = Figure::ALL.to_vec();
        sorted.sort();
        assert_eq!(sorted, Figure::ALL);
        let headings: BTreeSet<&str> = Figure::ALL.iter().map(|figure| figure.heading()).collect();
        assert_eq!(headings.len(), Figure::ALL.len());
        assert_eq!(*Figure::ALL.last().unwrap() as usize + 1, Figure::ALL.len());
    }
}
