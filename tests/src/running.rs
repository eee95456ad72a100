//! What tests ask of servers that run: numbers of INFO, waiting until something is so, and both kinds of servers.

use crate::client::{Client, PATIENCE};
use crate::server::{Server, Setup};
use std::time::{Duration, Instant};

/// How often [`wait_until`] looks.
const LOOKS_EVERY: Duration = Duration::from_millis(2);

/// A number of INFO.
pub fn info(client: &mut Client, field: &str) -> u64 {
    let text = client.run("INFO everything").text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = line.unwrap_or_else(|| panic!("no {field} in INFO")).trim();
    number.parse().unwrap_or_else(|_| panic!("{field} is no number: {number}"))
}

/// Waits until something is so; fails the test if it is not within [`PATIENCE`].
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(LOOKS_EVERY);
    }
}

/// Runs the test on a server with one core, where nothing has to travel, and on one with four.
pub fn on_one_and_four_cores(setup: &Setup, test: impl Fn(&Server)) {
    for cores in [1, 4] {
        let server = setup.clone().cores(cores).start();
        test(&server);
        server.assert_alive();
    }
}
