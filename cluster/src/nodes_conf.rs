//! The text of `cluster-config-file`, in Valkey's form: a line for each node, then the epochs.
//!
//! A node alone has one line, its own. A file with more (this server took part in a cluster of several, under another
//! program) is refused: to forget the others would serve slots that are theirs.

use crate::id::NodeId;
use crate::node::Node;
use crate::slots::{SlotSet, range_text};
use crate::view::Announced;
use ringkey_core::units::{SLOT_COUNT, Slot};
use std::fmt;

/// Words of a node's line before its slots.
const FIXED_WORDS: usize = 8;

/// Why a file cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// The line with this number, from 1 on, is not what it has to be.
    Corrupt(usize),
    /// There is no line of the node itself.
    NoSelf,
    /// The line with this number asks for something that this version lacks.
    Unsupported(usize, &'static str),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(line) => write!(f, "line {line} is corrupt"),
            Self::NoSelf => f.write_str("no line is marked 'myself'"),
            Self::Unsupported(line, what) => write!(f, "line {line} {what}, which this version does not support"),
        }
    }
}

/// Reads a file. Nothing for an empty one; `shard_id` is for a file that is too old to name the shard.
///
/// # Errors
/// Why it cannot be read.
pub fn parse(text: &str, shard_id: NodeId) -> Result<Option<Node>, Unreadable> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut node: Option<Node> = None;
    let (mut current_epoch, mut last_vote_epoch) = (0, 0);
    for (at, line) in text.lines().enumerate() {
        let corrupt = Unreadable::Corrupt(at + 1);
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => {}
            ["vars", pairs @ ..] => {
                for pair in pairs.chunks(2) {
                    let number = pair.get(1).and_then(|number| number.parse().ok()).ok_or(corrupt)?;
                    match pair[0] {
                        "currentEpoch" => current_epoch = number,
                        "lastVoteEpoch" => last_vote_epoch = number,
                        _ => {}
                    }
                }
            }
            words if words.len() < FIXED_WORDS => return Err(corrupt),
            words if !words[2].split(',').any(|flag| flag == "myself") => {
                return Err(Unreadable::Unsupported(at + 1, "names another node"));
            }
            _ if node.is_some() => return Err(corrupt),
            words => node = Some(parse_node(words, at + 1, shard_id)?),
        }
    }
    let mut node = node.ok_or(Unreadable::NoSelf)?;
    node.current_epoch = node.config_epoch.max(current_epoch);
    node.last_vote_epoch = last_vote_epoch;
    Ok(Some(node))
}

/// The line of the node itself.
fn parse_node(words: &[&str], line: usize, shard_id: NodeId) -> Result<Node, Unreadable> {
    let corrupt = Unreadable::Corrupt(line);
    let flags = words[2];
    if flags.split(',').any(|flag| flag == "slave" || flag == "replica") {
        return Err(Unreadable::Unsupported(line, "makes this node a replica"));
    }
    let named = words[1].split(',').find_map(|part| part.strip_prefix("shard-id="));
    let shard_id = match named {
        Some(name) => NodeId::parse(name.as_bytes()).ok_or(corrupt)?,
        None => shard_id,
    };
    let mut slots = SlotSet::default();
    for word in &words[FIXED_WORDS..] {
        if word.starts_with('[') {
            return Err(Unreadable::Unsupported(line, "has a slot under way to or from another node"));
        }
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let number = |text: &str| text.parse().ok().filter(|slot| *slot < SLOT_COUNT).ok_or(corrupt);
        (number(first)?..=number(last)?).for_each(|slot| slots.set(Slot(slot), true));
    }
    Ok(Node {
        id: NodeId::parse(words[0].as_bytes()).ok_or(corrupt)?,
        shard_id,
        slots,
        current_epoch: 0,
        config_epoch: words[6].parse().map_err(|_| corrupt)?,
        last_vote_epoch: 0,
    })
}

/// The text that Valkey would write for this node.
pub fn render(node: &Node, announced: &Announced) -> String {
    let mut line = format!("{} {}:{}@{}", node.id, announced.ip, announced.node_port(), announced.bus_port(0));
    line.push_str(&format!(",{}", announced.hostname));
    if announced.client_port != 0 {
        line.push_str(&format!(",client-tcp-port={}", announced.client_port));
    }
    for (name, text) in [("client-ipv4", &announced.client_ipv4), ("client-ipv6", &announced.client_ipv6)] {
        if !text.is_empty() {
            line.push_str(&format!(",{name}={text}"));
        }
    }
    line.push_str(",tls-port=0");
    if !announced.human_name.is_empty() {
        line.push_str(&format!(",nodename={}", announced.human_name));
    }
    line.push_str(&format!(",shard-id={} myself,master - 0 0 {} connected", node.shard_id, node.config_epoch));
    for range in node.slots.ranges(0..SLOT_COUNT) {
        line.push_str(&format!(" {}", range_text(range)));
    }
    format!("{line}\nvars currentEpoch {} lastVoteEpoch {}\n", node.current_epoch, node.last_vote_epoch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::node::Change;
    use ringkey_core::settings::{Caller, Settings};

    const ID: &str = "c919cd3e157f5246d0542f2219cb1bd5b95047ca";
    const SHARD: &str = "eb9beb5fd7ba52a5a68d470446d8ed37e1f07560";

    fn spare() -> NodeId {
        NodeId::from_entropy([9; 20])
    }

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::new();
        settings.set_many(pairs, Caller::default()).unwrap();
        settings
    }

    #[test]
    fn files_of_valkey_are_read_and_written() {
        // As valkey-server 9.1.2 wrote them.
        let plain = format!(
            "{ID} :23001@33001,,tls-port=0,shard-id={SHARD} myself,master - 0 0 3 connected 0-99 200\nvars currentEpoch 4 \
             lastVoteEpoch 2\n"
        );
        let announcing = format!(
            "{ID} 10.1.2.3:7777@8888,,client-tcp-port=99,client-ipv4=1.2.3.4,tls-port=0,nodename=human,shard-id={SHARD} \
             myself,master - 0 0 1 connected 3\nvars currentEpoch 1 lastVoteEpoch 0\n"
        );
        let announced = Announced::new(&settings(&[("port", "23001")]), 4);
        let node = parse(&plain, spare()).unwrap().unwrap();
        assert_eq!((node.id.as_str(), node.shard_id.as_str()), (ID, SHARD));
        assert_eq!((node.config_epoch, node.current_epoch, node.last_vote_epoch), (3, 4, 2));
        assert_eq!(render(&node, &announced), plain);
        let announced = Announced::new(
            &settings(&[
                ("port", "23001"),
                ("cluster-announce-ip", "10.1.2.3"),
                ("cluster-announce-port", "7777"),
                ("cluster-announce-bus-port", "8888"),
                ("cluster-announce-client-port", "99"),
                ("cluster-announce-client-ipv4", "1.2.3.4"),
                ("cluster-announce-human-nodename", "human"),
            ]),
            4,
        );
        assert_eq!(render(&parse(&announcing, spare()).unwrap().unwrap(), &announced), announcing);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let announced = Announced::new(&Settings::new(), 1);
        let mut node = Node::new([[1; 20], [2; 20]], true);
        node =
            node.changed(&Change::Slots { ranges: vec![(0, 0), (77, 99), (16_383, 16_383)], take: false }).unwrap().0;
        node = node.changed(&Change::BumpEpoch).unwrap().0;
        assert_eq!(parse(&render(&node, &announced), spare()).unwrap().unwrap(), node);
        assert_eq!(parse("", spare()), Ok(None));
        let old = format!("{ID} :1@2 myself,master - 0 0 0 connected\n");
        assert_eq!(parse(&old, spare()).unwrap().unwrap().shard_id, spare());
    }

    #[test]
    fn files_that_cannot_be_read() {
        let other = format!("{SHARD} 10.0.0.1:1@2 master - 0 0 0 connected 5\n");
        let me = format!("{ID} :1@2 myself,master - 0 0 0 connected");
        for (text, why) in [
            ("garbage\n".to_owned(), "line 1 is corrupt"),
            (format!("{me}\n{me}\n"), "line 2 is corrupt"),
            (format!("{me} 16384\n"), "line 1 is corrupt"),
            (format!("{me} 1-x\n"), "line 1 is corrupt"),
            (format!("{me}\nvars currentEpoch\n"), "line 2 is corrupt"),
            (me.replace(ID, "abc"), "line 1 is corrupt"),
            ("vars currentEpoch 1\n".to_owned(), "no line is marked 'myself'"),
            (format!("{me}\n{other}"), "line 2 names another node, which this version does not support"),
            (me.replace("master", "slave"), "line 1 makes this node a replica, which this version does not support"),
            (
                format!("{me} [5->-{SHARD}]"),
                "line 1 has a slot under way to or from another node, which this version does not support",
            ),
        ] {
            assert_eq!(parse(&text, spare()).unwrap_err().to_string(), why, "{text}");
        }
    }
}
