//! What the process adds to the core crate: the rings between cores; and the longest single operations of the table, by
//! the thread's own processor time, which needs a clock that the core crate may not have. `scripts/bench` runs this.

mod collections;
#[path = "../../core/benches/harness.rs"]
#[allow(dead_code)] // the other program needs all of it
mod harness;
mod longest;
mod mailbox;

// The allocator of the server, or the figures would be those of another program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let mut cases = harness::Cases::default();
    mailbox::add_to(&mut cases);
    longest::add_to(&mut cases);
    collections::add_to(&mut cases);
    cases.run("server");
}
