//! What the crate's hot paths cost: protocol, table of keys, whole commands. `scripts/bench` runs this.

mod command;
mod harness;
mod keyspace;
mod protocol;

// The allocator of the server, or the figures would be those of another program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let many = keyspace::Large::default();
    let mut cases = harness::Cases::default();
    protocol::add_to(&mut cases);
    keyspace::add_to(&mut cases, &many);
    command::add_to(&mut cases);
    cases.run("core");
}
