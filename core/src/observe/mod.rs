//! What is observed of commands, for operators: counts and durations of each command, the way of a request from its
//! arrival to its reply, remarkable calls, and latency events. Everything is kept by one core for itself and merged
//! when somebody asks; time comes in as numbers, never from a clock here.

pub mod command_log;
pub mod latency_events;
pub mod monitored;
pub mod paths;
pub mod watch;

pub use command_log::{CommandLog, LogEntry, LogKind};
pub use latency_events::{LatencyEvents, Sample};
pub use monitored::{Monitored, Note, NoteKind, Notes};
pub use paths::{PathReport, Paths};
pub use watch::{CommandReport, Durations, Watch};
