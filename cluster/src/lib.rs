//! Several servers as one: replication, cluster bus, slot migration, failover, Sentinel. **Nothing is here yet**; this
//! version is a single server.
//!
//! What comes in will be state machines without input and output: events and `now` in, actions out, so that a test
//! runs a whole cluster with simulated time and network.
