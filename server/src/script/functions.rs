//! Libraries of functions, as all cores share them.
//!
//! All of them are one value that is never changed: whoever changes something puts another in its place, under a lock, so that
//! all cores see every change whole and from the same moment on. A core looks at the epoch when it is about to call a
//! function; where that has moved, it takes the set of now, and compiles what it calls.

pub mod load;

use super::registry::{FunctionFigures, Registry};
use ringkey_core::glob::Glob;
use ringkey_core::resp::{CommandError, Reply};
use ringkey_core::script::library::{self, ENGINE, Join, Libraries, Library};
use ringkey_storage::functions::{self as payload, Refused, Rules};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
