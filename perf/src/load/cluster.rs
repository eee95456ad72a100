//! Which node owns which slots, and whose keys a connection may send.

use super::Target;
use super::dial::{Dialled, Value};
use super::template::Program;
use crate::PerfError;
use crate::workload::{Distribution, Workload};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};

const SLOTS: usize = 16_384;

/// A node and its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Where it listens.
    pub address: SocketAddr,
    /// First and last slot of its ranges.
    pub ranges: Vec<(u16, u16)>,
}

/// The nodes to load: those of `CLUSTER SLOTS`, or the target alone.
pub(super) fn nodes(target: &Target) -> Result<Vec<Node>, PerfError> {
    if !target.cluster {
        return Ok(vec![Node { address: target.address, ranges: vec![(0, SLOTS as u16 - 1)] }]);
    }
    let reply = Dialled::new(target, target.address)?.ask(&["CLUSTER", "SLOTS"])?;
    let nodes = read_slots(&reply, target.address)?;
    if nodes.is_empty() {
        return Err(PerfError::Cluster(format!("{} knows of no node that owns slots", target.address)));
    }
    Ok(nodes)
}

fn read_slots(reply: &Value, from: SocketAddr) -> Result<Vec<Node>, PerfError> {
    let strange = || PerfError::Cluster(format!("the answer to CLUSTER SLOTS is strange: {reply:?}"));
    let mut nodes: Vec<Node> = Vec::new();
    for range in reply.members().ok_or_else(strange)? {
        let [Value::Number(first), Value::Number(last), Value::Many(primary), ..] =
            range.members().ok_or_else(strange)?
        else {
            return Err(strange());
        };
        let (Some(host), Some(Value::Number(port))) = (primary.first(), primary.get(1)) else { return Err(strange()) };
        let range = match (u16::try_from(*first), u16::try_from(*last)) {
            (Ok(first), Ok(last)) if first <= last && usize::from(last) < SLOTS => (first, last),
            _ => return Err(strange()),
        };
        let address = resolve(host, *port, from).ok_or_else(strange)?;
        match nodes.iter_mut().find(|node| node.address == address) {
            Some(node) => node.ranges.push(range),
            None => nodes.push(Node { address, ranges: vec![range] }),
        }
    }
    Ok(nodes)
}

/// An empty host is the one that was asked.
fn resolve(host: &Value, port: i64, from: SocketAddr) -> Option<SocketAddr> {
    let port = u16::try_from(port).ok()?;
    match host {
        Value::Text(host) if !host.is_empty() && host != "?" => {
            let mut found: Vec<_> = (host.as_str(), port).to_socket_addrs().ok()?.collect();
            found.sort_by_key(|address| address.is_ipv4() != from.is_ipv4());
            found.into_iter().next()
        }
        _ => Some(SocketAddr::new(from.ip(), port)),
    }
}

/// Says which node a key belongs to.
#[derive(Debug)]
pub(super) struct Router {
    /// Node by slot; empty if there is one node, which owns everything.
    owners: Vec<u16>,
    /// Where the walk of sequential keys stands, for each node.
    orders: Vec<AtomicU64>,
}

impl Router {
    /// Sequential keys begin with `first`.
    ///
    /// # Errors
    /// If a node would have nothing to do, because no key of the workload belongs to it.
    pub(super) fn new(nodes: &[Node], workload: &Workload, program: &Program, first: u64) -> Result<Self, PerfError> {
        let orders = (0..nodes.len().max(1)).map(|_| AtomicU64::new(first)).collect();
        let mut router = Self { owners: Vec::new(), orders };
        if nodes.len() < 2 {
            return Ok(router);
        }
        router.owners = vec![u16::MAX; SLOTS];
        for (index, node) in nodes.iter().enumerate() {
            for (first, last) in &node.ranges {
                router.owners[usize::from(*first)..=usize::from(*last)].fill(index as u16);
            }
        }
        for (index, node) in nodes.iter().enumerate() {
            router.check(index as u16, node, workload, program)?;
        }
        Ok(router)
    }

    /// A connection draws until a key is its node's; that must come to an end.
    fn check(&self, index: u16, node: &Node, workload: &Workload, program: &Program) -> Result<(), PerfError> {
        /// So many keys are tried.
        const TRIES: u64 = 100_000;
        let nothing = |what: &str| {
            let address = node.address;
            Err(PerfError::Cluster(format!("no key of {what} belongs to {address}: use more keys (-r) or fewer nodes")))
        };
        let mut usable = false;
        for template in &program.templates {
            usable |= template.fixed_key.as_ref().is_none_or(|key| self.owns(index, key));
            for (chunk, hole) in template.keys_with_holes() {
                let mut bytes = chunk.bytes.clone();
                // A hot set or Zipf's law may want keys that are rare in a sample: all keys that can come are tried.
                let tried = workload.keys.count.min(TRIES);
                let found = (0..tried).any(|number| {
                    super::batch::write_digits(&mut bytes[hole.digits.clone()], number);
                    hole.key.as_ref().is_none_or(|key| self.owns(index, &bytes[key.clone()]))
                });
                if !found {
                    return nothing(&format!("{:?}", workload.name));
                }
            }
        }
        let hot = matches!(workload.keys.distribution, Distribution::HotSet { requests_fraction, .. } if requests_fraction >= 1.0);
        if !usable || hot && self.hot_misses(index, workload, program) {
            return nothing(&format!("{:?}", workload.name));
        }
        Ok(())
    }

    /// Does no key of the hot set, which is all that is drawn, belong to the node?
    fn hot_misses(&self, index: u16, workload: &Workload, program: &Program) -> bool {
        let Distribution::HotSet { keys_fraction, .. } = workload.keys.distribution else { return false };
        let hot = ((workload.keys.count as f64 * keys_fraction).round() as u64).max(1);
        program.templates.iter().flat_map(super::template::Template::keys_with_holes).any(|(chunk, hole)| {
            let mut bytes = chunk.bytes.clone();
            !(0..hot).any(|number| {
                super::batch::write_digits(&mut bytes[hole.digits.clone()], number);
                hole.key.as_ref().is_none_or(|key| self.owns(index, &bytes[key.clone()]))
            })
        })
    }

    /// Does the node own the key?
    pub(super) fn owns(&self, node: u16, key: &[u8]) -> bool {
        self.owners.is_empty() || self.owners[usize::from(slot(key))] == node
    }

    /// Where the walk of sequential keys of this node stands.
    pub(super) fn order(&self, node: u16) -> &AtomicU64 {
        &self.orders[usize::from(node)]
    }

    /// The sequential key that comes next, on the node that is farthest.
    pub(super) fn next_key(&self) -> u64 {
        self.orders.iter().map(|order| order.load(Ordering::Relaxed)).max().unwrap_or(0)
    }
}

/// The slot of a key; if it has a hash tag, the tag's.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then_some(&rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS as u16
}

/// CRC-16/XMODEM: polynomial 0x1021, from 0, nothing reflected.
fn crc16(bytes: &[u8]) -> u16 {
    const TABLE: [u16; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let mut crc = (at as u16) << 8;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
                bit += 1;
            }
            table[at] = crc;
            at += 1;
        }
        table
    };
    bytes.iter().fold(0, |crc, byte| crc << 8 ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::workload::{Keys, WeightedCommand};

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"{foo}bar"), slot(b"foo"));
        assert_eq!(slot(b"{}bar"), crc16(b"{}bar") % 16_384);
        assert_eq!(slot(b"a{{b}c"), slot(b"{b"));
        assert_ne!(slot(b"{foo"), slot(b"foo"));
    }

    fn halves() -> Vec<Node> {
        let node = |port, range| Node { address: SocketAddr::from(([127, 0, 0, 1], port)), ranges: vec![range] };
        vec![node(1, (0, 8191)), node(2, (8192, 16_383))]
    }

    fn router(workload: &Workload) -> Result<Router, PerfError> {
        Router::new(&halves(), workload, &Program::compile(workload, 0)?, 0)
    }

    #[test]
    fn nodes_without_keys_are_refused() {
        let many = Workload { keys: Keys { count: 1000, ..Keys::default() }, ..Workload::default() };
        let good = router(&many).unwrap();
        assert_ne!(good.owns(0, b"foo"), good.owns(1, b"foo"));
        assert!(router(&Workload::default()).is_err());
        let fixed = Workload { commands: vec![WeightedCommand::new("LPUSH mylist x")], ..many.clone() };
        assert!(router(&fixed).is_err());
        let distribution = Distribution::HotSet { keys_fraction: 0.001, requests_fraction: 1.0 };
        let hot = Workload { keys: Keys { distribution, ..many.keys.clone() }, ..many };
        assert!(router(&hot).is_err());
    }

    #[test]
    fn the_answer_of_cluster_slots_is_understood() {
        let number = Value::Number;
        let node =
            |host: &str, port| Value::Many(vec![Value::Text(host.into()), number(port), Value::Text("id".into())]);
        let range = |first, last, node| Value::Many(vec![number(first), number(last), node]);
        let reply = Value::Many(vec![
            range(0, 99, node("", 7001)),
            range(100, 199, node("127.0.0.9", 7002)),
            range(200, 299, node("", 7001)),
        ]);
        let from = SocketAddr::from(([127, 0, 0, 1], 7000));
        let nodes = read_slots(&reply, from).unwrap();
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[0], Node { address: "127.0.0.1:7001".parse().unwrap(), ranges: vec![(0, 99), (200, 299)] });
        assert_eq!(nodes[1].address.to_string(), "127.0.0.9:7002");
        assert!(read_slots(&Value::Many(vec![range(0, 20_000, node("", 1))]), from).is_err());
    }
}
