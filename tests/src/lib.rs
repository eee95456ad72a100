//! What the integration tests share: starting a server, speaking RESP to it, reading golden
//! transcripts and judging histories.
//!
//! This crate never imports a crate of the server. It sees what a client sees, so that everything
//! here can be pointed at a real Valkey as well (`RINGKEY_TARGET=reference`): a test that the
//! reference fails is a wrong test.

pub mod careless;
pub mod client;
pub mod hearing;
pub mod linear;
pub mod operations;
pub mod program;
pub mod reply;
pub mod rng;
pub mod runner;
pub mod running;
pub mod server;
pub mod slot;
pub mod transcript;
pub mod units;

pub use client::{Address, Client};
pub use reply::Reply;
pub use server::{Kind, Server};
