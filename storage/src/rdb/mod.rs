//! RDB, the format of snapshots and of DUMP: how values are written ([`encode`]) and read ([`decode`]).
//!
//! Each value is the byte of its type ([`format`]) and what follows. Values are written as Valkey 9 writes them and read as
//! any server since Redis 2.4 wrote them. What is read may be damaged or made up: it is checked to the last element before
//! anything comes of it, and what it claims of lengths is held against the bytes that are there.

pub mod crc64;
pub mod decode;
pub mod encode;
pub mod format;
pub mod listpack;
pub mod lzf;
pub mod read;
pub mod write;
pub mod ziplist;

#[cfg(test)]
mod tests;

pub use format::{FormatError, Type};
