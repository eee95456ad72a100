//! Work that spans more than one shard, as pure state machines.
//!
//! A shard runs one command at a time and needs no lock for it. A lock is needed only where a command takes several
//! steps: because its keys live on several cores, or because a later command of the same pipeline runs on another core
//! before an earlier one has. Such a command holds its locks from its first step to its last, so that nobody sees half of it.
//!
//! Deadlock is impossible by order, never detected or broken: the cores are visited in ascending order, and on one core
//! all the locks of an owner are requested in one atomic call (see [`locks`]).

pub mod assembly;
pub mod batch;
pub mod flight;
pub(crate) mod join;
pub mod locks;
pub mod site;
