//! Files as bytes: RDB and AOF, saving, loading, recovery. So far there is the form of values in them, which is also what
//! DUMP and RESTORE exchange; this version keeps data in memory only.
//!
//! Pure, like `core`: bytes in, bytes and file steps out. No socket, no file handle, no clock.
//!
//! Invariant: every decoder survives any input, in memory that is bounded by a small multiple of the input. A compressed
//! string may become 88 times as long as it was, and that is the largest of them.

pub mod dump;
pub mod functions;
pub mod rdb;
