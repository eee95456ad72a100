//! The answers about the cluster: CLUSTER INFO, NODES, SLOTS, SHARDS, field for field as Valkey gives them.

use crate::node::Serving;
use crate::slots::range_text;
use crate::view::{EndpointType, Member, View};
use ringkey_core::resp::Reply;
use std::fmt::Write as _;

/// Counters of what the nodes tell each other, which a node alone has none of.
const ZEROS: &[&str] = &[
    "cluster_stats_messages_sent",
    "cluster_stats_messages_received",
    "cluster_stats_bytes_sent",
    "cluster_stats_bytes_received",
    "cluster_stats_pubsub_bytes_sent",
    "cluster_stats_pubsub_bytes_received",
    "cluster_stats_module_bytes_sent",
    "cluster_stats_module_bytes_received",
    "total_cluster_links_buffer_limit_exceeded",
];

/// `CLUSTER INFO`
pub fn info(view: &View<'_>, serving: Serving) -> String {
    let node = view.node;
    let slots = node.slots.count();
    let (mut known, mut size) = (0, 0);
    for member in view.members() {
        known += 1;
        size += usize::from(!member.ranges.is_empty());
    }
    let state = if node.is_up(serving) { "ok" } else { "fail" };
    let mut text = format!("cluster_state:{state}\r\ncluster_slots_assigned:{slots}\r\ncluster_slots_ok:{slots}\r\n");
    let fields: [(&str, u64); 10] = [
        ("cluster_slots_pfail", 0),
        ("cluster_slots_fail", 0),
        ("cluster_nodes_pfail", 0),
        ("cluster_nodes_fail", 0),
        ("cluster_voting_nodes_pfail", 0),
        ("cluster_voting_nodes_fail", 0),
        ("cluster_known_nodes", known),
        ("cluster_size", size as u64),
        ("cluster_current_epoch", node.current_epoch),
        ("cluster_my_epoch", node.config_epoch),
    ];
    for (name, value) in fields.into_iter().chain(ZEROS.iter().map(|name| (*name, 0))) {
        let _ = write!(text, "{name}:{value}\r\n");
    }
    text
}

/// `CLUSTER NODES`
pub fn nodes(view: &View<'_>) -> String {
    let mut text = String::new();
    let hostname = &view.announced.hostname;
    for member in view.members() {
        let Member { id, port, bus_port, .. } = member;
        let _ = write!(text, "{id} {}:{port}@{bus_port}", view.ip());
        if !hostname.is_empty() {
            let _ = write!(text, ",{hostname}");
        }
        let flags = if member.is_myself { "myself,master" } else { "master" };
        let _ = write!(text, " {flags} - 0 0 {} connected", view.node.config_epoch);
        member.ranges.iter().for_each(|range| {
            let _ = write!(text, " {}", range_text(*range));
        });
        text.push('\n');
    }
    text
}

/// `CLUSTER SLOTS`
pub fn slots(view: &View<'_>, reply: &mut Reply<'_>) {
    let members: Vec<Member> = view.members().collect();
    reply.array(members.iter().map(|member| member.ranges.len()).sum());
    for member in &members {
        for (first, last) in &member.ranges {
            reply.array(3);
            reply.integer(i64::from(*first));
            reply.integer(i64::from(*last));
            reply.array(4);
            match view.announced.endpoint {
                EndpointType::Unknown => reply.null(),
                _ => reply.bulk(view.endpoint().as_bytes()),
            }
            reply.integer(i64::from(member.port));
            reply.bulk(member.id.as_str().as_bytes());
            let ip = (view.announced.endpoint != EndpointType::Ip).then(|| ("ip", view.ip()));
            let is_extra = view.announced.endpoint != EndpointType::Hostname && !view.announced.hostname.is_empty();
            let hostname = is_extra.then(|| ("hostname", view.announced.hostname.clone()));
            let facts: Vec<(&str, String)> = [ip, hostname].into_iter().flatten().collect();
            reply.map(facts.len());
            for (name, value) in &facts {
                reply.bulk(name.as_bytes());
                reply.bulk(value.as_bytes());
            }
        }
    }
}

/// `CLUSTER SHARDS`
pub fn shards(view: &View<'_>, reply: &mut Reply<'_>) {
    let members: Vec<Member> = view.members().collect();
    reply.array(members.len());
    for member in &members {
        reply.map(3);
        reply.bulk(b"slots");
        reply.array(2 * member.ranges.len());
        for (first, last) in &member.ranges {
            reply.integer(i64::from(*first));
            reply.integer(i64::from(*last));
        }
        reply.bulk(b"nodes");
        reply.array(1);
        shard_node(view, member, reply);
        reply.bulk(b"id");
        reply.bulk(member.shard_id.as_str().as_bytes());
    }
}

fn shard_node(view: &View<'_>, member: &Member, reply: &mut Reply<'_>) {
    let hostname = &view.announced.hostname;
    reply.map(if hostname.is_empty() { 7 } else { 8 });
    let text = |reply: &mut Reply<'_>, name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    text(reply, "id", member.id.as_str());
    reply.bulk(b"port");
    reply.integer(i64::from(member.port));
    text(reply, "ip", &view.ip());
    text(reply, "endpoint", &view.endpoint());
    if !hostname.is_empty() {
        text(reply, "hostname", hostname);
    }
    text(reply, "role", "master");
    reply.bulk(b"replication-offset");
    reply.integer(0);
    text(reply, "health", "online");
}

/// What `CLUSTER HELP` says besides its usage.
pub const HELP: &[&str] = &[
    "ADDSLOTS <slot> [<slot> ...]",
    "    Give free slots to this node.",
    "ADDSLOTSRANGE <first> <last> [<first> <last> ...]",
    "    Give ranges of free slots to this node.",
    "BUMPEPOCH",
    "    Raise the configuration epoch unless it is the highest.",
    "COUNT-FAILURE-REPORTS <node-id>",
    "    How many nodes hold the node to be failing.",
    "COUNTKEYSINSLOT <slot>",
    "    How many keys the slot has.",
    "DELSLOTS <slot> [<slot> ...]",
    "    Let go of slots.",
    "DELSLOTSRANGE <first> <last> [<first> <last> ...]",
    "    Let go of ranges of slots.",
    "FLUSHSLOTS",
    "    Let go of all slots.",
    "GETKEYSINSLOT <slot> <count>",
    "    Some keys of the slot.",
    "INFO",
    "    The state of the cluster as this node sees it.",
    "KEYSLOT <key>",
    "    The slot of the key.",
    "LINKS",
    "    The connections between this node and others.",
    "MYID",
    "    The id of this node.",
    "MYSHARDID",
    "    The id of the shard of this node.",
    "NODES",
    "    The nodes, one a line: id, address, flags, primary, ping, pong, epoch, link, slots.",
    "REPLICAS <node-id>",
    "    The replicas of the node.",
    "RESET [HARD|SOFT]",
    "    Let go of all slots; HARD also takes new ids and forgets the epochs.",
    "SAVECONFIG",
    "    Write the cluster's configuration file.",
    "SET-CONFIG-EPOCH <epoch>",
    "    Set the configuration epoch of a new node.",
    "SHARDS",
    "    The shards with their slots and nodes.",
    "SLOTS",
    "    The ranges of slots with the nodes that serve them.",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::node::{Change, Node};
    use crate::view::{Announced, Viewer};
    use ringkey_core::keyspace::ShardMap;
    use ringkey_core::resp::{Protocol, ReplyBuffer};
    use ringkey_core::settings::{Settings, parse_text};
    use ringkey_core::units::ShardId;

    const SERVING: Serving = Serving { full_coverage: true, reads_when_down: false, channels_when_down: true };

    fn with_view<R>(text: &str, node: &Node, core: Option<u16>, use_it: impl FnOnce(&View<'_>) -> R) -> R {
        let mut settings = Settings::new();
        parse_text(text.as_bytes()).unwrap().iter().for_each(|line| drop(settings.apply(line).unwrap()));
        let announced = Announced::new(&settings, 2);
        let viewer = Viewer { core: core.map(ShardId), local: Some([127, 0, 0, 1].into()) };
        use_it(&View { node, map: ShardMap::new(2), announced: &announced, viewer })
    }

    fn written(write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = ReplyBuffer::default();
        write(&mut Reply::new(&mut out, Protocol::Resp3));
        String::from_utf8(out.to_vec()).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn a_node_alone() {
        let node = Node::new([[0x11; 20], [0x22; 20]], false);
        let (node, _) = node.changed(&Change::Slots { ranges: vec![(0, 2), (7, 7)], take: true }).unwrap();
        let (id, shard) = ("1".repeat(40), "2".repeat(40));
        with_view("port 7000\ncluster-announce-hostname h", &node, None, |view| {
            assert_eq!(nodes(view), format!("{id} :7000@17000,h myself,master - 0 0 0 connected 0-2 7\n"));
            let text = info(view, SERVING);
            assert!(
                text.starts_with("cluster_state:fail\r\ncluster_slots_assigned:4\r\ncluster_slots_ok:4\r\n"),
                "{text}"
            );
            assert!(text.contains("cluster_known_nodes:1\r\ncluster_size:1\r\n"), "{text}");
            let host = "%1 $8 hostname $1 h ";
            let range = |first, last| format!("*3 :{first} :{last} *4 $0  :7000 $40 {id} {host}");
            assert_eq!(written(|reply| slots(view, reply)), format!("*2 {}{}", range(0, 2), range(7, 7)));
            let expected = format!(
                "*1 %3 $5 slots *4 :0 :2 :7 :7 $5 nodes *1 %8 $2 id $40 {id} $4 port :7000 $2 ip $0  $8 endpoint $0  $8 hostname \
                 $1 h $4 role $6 master $18 replication-offset :0 $6 health $6 online $2 id $40 {shard} "
            );
            assert_eq!(written(|reply| shards(view, reply)), expected);
        });
    }

    #[test]
    fn a_node_for_each_core() {
        let node = Node::new([[0x11; 20], [0x22; 20]], true);
        let (id, other) = (node.id, node.id.of_core(1));
        with_view("port 6379\ncore-ports 7000", &node, Some(1), |view| {
            let lines = format!(
                "{id} 127.0.0.1:7000@17000 master - 0 0 0 connected 0-8191\n\
                 {other} 127.0.0.1:7001@17001 myself,master - 0 0 0 connected 8192-16383\n"
            );
            assert_eq!(nodes(view), lines);
            assert!(info(view, SERVING).contains("cluster_known_nodes:2\r\ncluster_size:2\r\n"));
            let text = written(|reply| slots(view, reply));
            let second = format!("*3 :8192 :16383 *4 $9 127.0.0.1 :7001 $40 {other} %0 ");
            assert!(text.starts_with("*2 ") && text.ends_with(&second), "{text}");
        });
        with_view("core-ports 7000\ncluster-preferred-endpoint-type unknown-endpoint", &node, None, |view| {
            let text = written(|reply| slots(view, reply));
            assert!(text.starts_with("*2 *3 :0 :8191 *4 _ :7000 "), "{text}");
            assert!(text.contains("%1 $2 ip $9 127.0.0.1 "), "{text}");
        });
    }
}
