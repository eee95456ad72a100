//! What the program can say of the machine without serving: `--check-system` and `--test-memory`.

pub mod memory;
pub mod system;
