//! Rounds one after the other until the first difference, or with `RINGKEY_KEEP_GOING` until time is up.

use crate::words::Words;
use ringkey_tests::reply::escaped;
use ringkey_tests::rng::Rng;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// What a difference says if the reference has closed the connection, and ours has not.
const REFERENCE_IS_GONE: &str = "\nthe reference:\n(closed)\n";

/// A difference: what is named by, and everything about it.
pub type Difference = (String, String);

/// Plays rounds for so long, and returns how many commands they have compared. A round is told when time is up; it tells how
/// many commands it has compared.
pub fn rounds(
    seed: u64,
    time: Duration,
    mut round: impl FnMut(&mut Words, Instant) -> (u64, Result<(), Difference>),
) -> u64 {
    let keep_going = std::env::var_os("RINGKEY_KEEP_GOING").is_some();
    let mut words = Words { rng: Rng::new(seed), millis: 1 };
    let end = Instant::now() + time;
    let mut compared = 0;
    let mut differences: BTreeMap<String, (usize, String)> = BTreeMap::new();
    while Instant::now() < end {
        let (count, found) = round(&mut words, end);
        compared += count;
        if let Err((name, text)) = found {
            if text.contains(REFERENCE_IS_GONE) {
                // It has crashed, which says nothing of ours; no command that closes a connection is among those compared.
                let _ = writeln!(std::io::stderr(), "seed {seed}: {text}\n");
                break;
            }
            if !keep_going {
                differences.insert(name, (1, text));
                break;
            }
            if !differences.contains_key(&name) {
                // Told at once: the run may be ended before its time.
                let _ = writeln!(std::io::stderr(), "seed {seed}: {text}\n");
            }
            differences.entry(name).or_insert((0, text)).0 += 1;
        }
    }
    let texts: Vec<String> = differences.values().map(|(times, text)| format!("{times} times: {text}")).collect();
    assert!(texts.is_empty(), "seed {seed}, after {compared} commands:\n{}", texts.join("\n\n"));
    compared
}

/// A command as it may be typed again.
pub fn shown(args: &[String]) -> String {
    let words = args.iter().map(|arg| match arg.len() {
        0..1000 => format!("\"{}\"", escaped(arg.as_bytes())),
        length => format!("\"{}..\" ({length} bytes)", escaped(&arg.as_bytes()[..20])),
    });
    words.collect::<Vec<_>>().join(" ")
}
