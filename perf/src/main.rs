//! The command line of the measuring instrument.

fn main() {}
