//! Commands for channels and subscriptions.

pub mod rows;
