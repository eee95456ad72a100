//! DEBUG HTSTATS and STRUCTSIZE: how the tables of keys are filled, and what they are made of.

use crate::mailbox::letter::Answer;
use crate::session::Session;
use ringkey_core::commands::key::TableStats;
use ringkey_core::keyspace::sizes as keyspace_sizes;
use ringkey_core::resp::Reply;

/// Writes the answer of DEBUG HTSTATS.
pub fn write_tables(session: &mut Session, is_full: bool, answers: Vec<(usize, Answer)>) {
    let mut sum = TableStats::default();
    for (_, answer) in answers {
        if let Answer::Tables(part) = answer {
            sum.add(&part);
        }
    }
    Reply::new(&mut session.output.pending, session.protocol).verbatim("txt", text(&sum, is_full).as_bytes());
}

fn text(sum: &TableStats, is_full: bool) -> String {
    let mut text = "[Dictionary HT]\n".to_owned();
    if sum.keys > 0 {
        text.push_str(&format!(
            "Hash table 0 stats (main hash table):\n table size: {}\n number of entries: {}\n rehashing index: -1\n \
             segments: {}\n memory: {}\n",
            sum.room, sum.keys, sum.segments, sum.bytes
        ));
        if is_full {
            text.push_str(" segments by how full they are (of what one may hold):\n");
            for (eighth, count) in sum.fill.iter().enumerate() {
                text.push_str(&format!("  up to {}/8: {count}\n", eighth + 1));
            }
        }
    }
    text.push_str("[Expires HT]\n");
    if sum.volatile > 0 {
        text.push_str(&format!(" none: expiry times stand in the entries, in {} of those above\n", sum.volatile));
    }
    text
}

/// The text of DEBUG STRUCTSIZE.
pub fn sizes() -> String {
    let parts: Vec<String> = keyspace_sizes().iter().map(|(name, size)| format!("{name}:{size}")).collect();
    format!("bits:{} {} session:{}", usize::BITS, parts.join(" "), size_of::<Session>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_database_has_empty_headings() {
        assert_eq!(text(&TableStats::default(), true), "[Dictionary HT]\n[Expires HT]\n");
    }

    #[test]
    fn cores_are_added_up() {
        let mut sum = TableStats { keys: 3, volatile: 1, room: 8, segments: 1, bytes: 128, fill: [1; 8] };
        sum.add(&sum.clone());
        let text = text(&sum, true);
        assert!(text.contains(" table size: 16\n number of entries: 6\n"), "{text}");
        assert!(text.contains("up to 8/8: 2") && text.contains("in 2 of those above"), "{text}");
    }
}
