//! Several servers as one, and one server as several: what a node of a cluster is and says. So far that is a node alone:
//! its names and slots, what of them it serves, the text of its configuration file, and how it shows itself (and, with
//! `core-ports`, its cores) to cluster clients. Replication, bus, migration and failover come in beside it.
//!
//! Invariants:
//! - state machines without input and output: what is asked, the settings and chance come in, values go out;
//! - a change of the node makes a new [`Node`] or a refusal, never half of one;
//! - every slot that is served belongs to exactly one member of a [`View`].

pub mod answers;
pub mod id;
pub mod node;
pub mod nodes_conf;
pub mod slots;
pub mod view;

pub use id::NodeId;
pub use node::{Change, Node};
pub use view::{Announced, View, Viewer};
