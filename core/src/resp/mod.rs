//! The wire: requests in, replies out, in RESP2 and RESP3 (the protocol specification at valkey.io/topics/protocol).

pub mod error;
pub mod reply;
pub mod request;

pub use error::{CommandError, ErrorCounts};
pub use reply::{Protocol, Reply, ReplyBuffer, SharedPart};
pub use request::{Args, Request, RequestLimits, RequestParser, Span};
