//! Files as bytes: RDB and AOF, saving, loading, recovery. **Nothing is here yet**; this version keeps data in memory only.
//!
//! What comes in will be pure, like `core`: bytes in, file steps out. No socket, no file handle, no clock.
