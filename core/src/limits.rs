//! Every fixed limit of the data path, with its unit in its name. Limits that users may change are settings.

/// Longest inline request and longest count line of the protocol, in bytes.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Most arguments of a request before the client has authenticated.
pub const UNAUTHENTICATED_ARGS_MAX: i64 = 10;

/// Longest argument before the client has authenticated, in bytes.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16 * 1024;

/// Most arguments of a request.
pub const ARGS_MAX: i64 = i32::MAX as i64;

/// From this size on a value is reference-counted and sent without copying, in bytes.
pub const SHARED_VALUE_BYTES_MIN: usize = 16 * 1024;

/// From this number of elements on a reply is written piece by piece.
pub const LONG_REPLY_ELEMENTS_MIN: usize = 64 * 1024;

/// Most elements that one call may draw with repetition (`HRANDFIELD key -count`): more would keep a core busy for seconds and
/// fill its memory with one reply.
pub const DRAWN_ELEMENTS_MAX: u64 = 1 << 24;

/// From this size on an argument that is still under way is read into an allocation of its own, in bytes.
pub const BIG_ARGUMENT_BYTES_MIN: usize = 32 * 1024;

const _: () =
    assert!(BIG_ARGUMENT_BYTES_MIN >= SHARED_VALUE_BYTES_MIN, "a big argument must be fit to become a shared value");
