//! DEBUG CLIENT-EVICTION: the clients that may be evicted, grouped by what they hold.

use crate::census::{Group, bounds_of_groups};
use crate::mailbox::letter::Answer;
use crate::session::Session;
use ringkey_core::resp::Reply;
use std::fmt::Write as _;

/// Writes the answer: the groups of all cores together.
pub fn write_groups(session: &mut Session, answers: Vec<(usize, Answer)>) {
    let bounds: Vec<(usize, Option<usize>)> = bounds_of_groups().collect();
    let mut sums = vec![Group::default(); bounds.len()];
    for (_, answer) in answers {
        if let Answer::ClientGroups(groups) = answer {
            for (sum, group) in sums.iter_mut().zip(groups) {
                sum.bytes += group.bytes;
                sum.clients += group.clients;
            }
        }
    }
    let mut text = String::new();
    for ((first, last), sum) in bounds.into_iter().zip(sums) {
        let range = match last {
            Some(last) => format!("{first:10} - {last:10}"),
            None => format!("{:<23}", format!("{first:10}+")),
        };
        let _ = writeln!(text, "bucket {range}: tot-mem: {:10}, clients: {}", sum.bytes, sum.clients);
    }
    Reply::new(&mut session.output.pending, session.protocol).verbatim("txt", text.as_bytes());
}
