//! Tests of the handlers of lists: replies, errors, encodings and effects.

#![allow(clippy::unwrap_used)]

use crate::commands::harness::Bench;
