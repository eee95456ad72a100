//! Everything that touches io_uring and glommio; another driver would replace this folder and nothing else.

mod buffers;
pub mod probe;
pub mod ring;
pub mod spawn;

pub use ring::{Completion, Operation, Ring, Token, Wait};
