//! How a node shows itself to cluster clients. Without `core-ports` it is one node. With them each core is a node of
//! its own, with a port, a name and its part of the slots, so that a client goes to the core that owns a key.
//!
//! The view depends on who looks: on a core's port that core is `myself`, on the common port the first core is, whose
//! name is that of the node.

use crate::id::NodeId;
use crate::node::Node;
use crate::slots::SlotRange;
// Addresses as plain values: no socket comes with them.
use core::net::IpAddr;
use ringkey_core::keyspace::ShardMap;
use ringkey_core::resp::CommandError;
use ringkey_core::settings::{Setting, Settings};
use ringkey_core::units::{SLOT_COUNT, ShardId, Slot};

/// How far the port of the cluster bus is from the port of clients.
const BUS_DISTANCE: u16 = 10_000;

/// `cluster-preferred-endpoint-type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndpointType {
    /// The address.
    Ip,
    /// The name of the host.
    Hostname,
    /// Nothing: clients stay with the name they know.
    Unknown,
}

/// What the settings say of how clients reach this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announced {
    /// `cluster-announce-ip`, or nothing.
    pub ip: String,
    /// `cluster-announce-client-ipv4`, or nothing.
    pub client_ipv4: String,
    /// `cluster-announce-client-ipv6`, or nothing.
    pub client_ipv6: String,
    /// `cluster-announce-hostname`, or nothing.
    pub hostname: String,
    /// `cluster-announce-human-nodename`, or nothing.
    pub human_name: String,
    /// `cluster-announce-client-port`, 0: none.
    pub client_port: u16,
    /// `cluster-preferred-endpoint-type`.
    pub endpoint: EndpointType,
    announced_port: u16,
    announced_bus_port: u16,
    /// The port on which clients are served: the common one.
    port: u16,
    /// The port of the first core, 0: cores have no ports of their own.
    core_port: u16,
    cores: u16,
}

impl Announced {
    /// What `settings` say of a server with so many cores.
    pub fn new(settings: &Settings, cores: u16) -> Self {
        let text = |setting| String::from_utf8_lossy(settings.text(setting)).into_owned();
        let port = |setting| settings.int(setting) as u16;
        let or = |first: u16, second: u16| if first != 0 { first } else { second };
        Self {
            ip: text(Setting::ClusterAnnounceIp),
            client_ipv4: text(Setting::ClusterAnnounceClientIpv4),
            client_ipv6: text(Setting::ClusterAnnounceClientIpv6),
            hostname: text(Setting::ClusterAnnounceHostname),
            human_name: text(Setting::ClusterAnnounceHumanNodename),
            client_port: port(Setting::ClusterAnnounceClientPort),
            endpoint: match settings.choice(Setting::ClusterPreferredEndpointType) {
                "hostname" => EndpointType::Hostname,
                "unknown-endpoint" => EndpointType::Unknown,
                _ => EndpointType::Ip,
            },
            announced_port: port(Setting::ClusterAnnouncePort),
            announced_bus_port: or(port(Setting::ClusterAnnounceBusPort), port(Setting::ClusterPort)),
            port: port(Setting::Port),
            core_port: port(Setting::CorePorts),
            cores,
        }
    }

    /// The port that other nodes are told, which is that of the first core if cores have ports.
    pub fn node_port(&self) -> u16 {
        let own = if self.core_port != 0 { self.core_port } else { self.port };
        if self.announced_port != 0 { self.announced_port } else { own }
    }

    /// The port that clients are told of a core, or of the node. An announced port is that of the first core; the others
    /// follow it, as the true ones do.
    pub fn port_of(&self, core: u16) -> u16 {
        let first = if self.client_port != 0 { self.client_port } else { self.node_port() };
        first.saturating_add(core)
    }

    /// The port of the bus as it is told. Nobody listens there yet.
    pub fn bus_port(&self, core: u16) -> u16 {
        match self.announced_bus_port {
            0 => self.node_port().saturating_add(core).checked_add(BUS_DISTANCE).unwrap_or(0),
            port => port.saturating_add(core),
        }
    }

    /// Have the cores ports of their own?
    pub fn has_core_ports(&self) -> bool {
        self.core_port != 0
    }
}

/// Can cores have the ports that the settings ask for?
///
/// # Errors
/// Why not, in one line.
pub fn check_core_ports(settings: &Settings, cores: u16) -> Result<(), String> {
    let first = settings.int(Setting::CorePorts);
    if first == 0 {
        return Ok(());
    }
    if !settings.bool(Setting::ClusterEnabled) {
        return Err("core-ports shows each core as a node of a cluster and needs 'cluster-enabled yes'".to_owned());
    }
    let last = first + i64::from(cores) - 1;
    if last > i64::from(u16::MAX) {
        return Err(format!(
            "core-ports {first} with {cores} cores would take the ports up to {last}; 65535 is the last"
        ));
    }
    let common = settings.int(Setting::Port);
    if (first..=last).contains(&common) {
        return Err(format!(
            "core-ports {first} with {cores} cores takes the ports {first} to {last}, and {common} is the common port"
        ));
    }
    Ok(())
}

/// Who looks.
#[derive(Clone, Copy, Debug)]
pub struct Viewer {
    /// The core on whose port the client is; none on the common port.
    pub core: Option<ShardId>,
    /// The address at our end of the connection, if it has one.
    pub local: Option<IpAddr>,
}

/// One of the nodes that clients see.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub id: NodeId,
    /// The name of its shard.
    pub shard_id: NodeId,
    /// Its port.
    pub port: u16,
    /// Its port for other nodes.
    pub bus_port: u16,
    /// Is it the one that answers?
    pub is_myself: bool,
    /// Its slots.
    pub ranges: Vec<SlotRange>,
}

/// What a client sees of the node.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The node.
    pub node: &'a Node,
    /// Which core owns which slot.
    pub map: ShardMap,
    /// What is announced.
    pub announced: &'a Announced,
    /// Who looks.
    pub viewer: Viewer,
}

impl View<'_> {
    /// The nodes, in ascending order of slots.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        let cores = if self.announced.has_core_ports() { self.announced.cores } else { 1 };
        (0..cores).map(move |core| {
            let owned = match self.announced.has_core_ports() {
                true => self.map.slots_of(ShardId(core)),
                false => 0..SLOT_COUNT,
            };
            Member {
                id: self.node.id.of_core(core),
                shard_id: self.node.shard_id.of_core(core),
                port: self.announced.port_of(core),
                bus_port: self.announced.bus_port(core),
                is_myself: core == self.my_core(),
                ranges: self.node.slots.ranges(owned),
            }
        })
    }

    fn my_core(&self) -> u16 {
        self.viewer.core.map_or(0, |core| core.0)
    }

    /// The name of the node that answers.
    pub fn my_id(&self) -> NodeId {
        self.node.id.of_core(self.my_core())
    }

    /// The name of its shard.
    pub fn my_shard_id(&self) -> NodeId {
        self.node.shard_id.of_core(self.my_core())
    }

    /// Is there a member of this name?
    pub fn knows(&self, name: &[u8]) -> bool {
        NodeId::parse(name).is_some_and(|id| self.members().any(|member| member.id == id))
    }

    /// The address of the members. A node alone does not know its own until somebody tells it, and says nothing: clients
    /// stay with the host they asked. Redirections name a host, though, so with ports of cores the address that the
    /// client has reached stands in.
    pub fn ip(&self) -> String {
        let local = self.viewer.local.map(|ip| ip.to_canonical());
        let for_clients = match local {
            Some(IpAddr::V4(_)) => &self.announced.client_ipv4,
            Some(IpAddr::V6(_)) => &self.announced.client_ipv6,
            None => "",
        };
        match local {
            _ if !for_clients.is_empty() => for_clients.to_owned(),
            _ if !self.announced.ip.is_empty() => self.announced.ip.clone(),
            Some(local) if self.announced.has_core_ports() => local.to_string(),
            _ => String::new(),
        }
    }

    /// The host that clients are to use, empty if they are to stay with the one they know.
    pub fn endpoint(&self) -> String {
        match self.announced.endpoint {
            EndpointType::Ip => self.ip(),
            EndpointType::Hostname if self.announced.hostname.is_empty() => "?".to_owned(),
            EndpointType::Hostname => self.announced.hostname.clone(),
            EndpointType::Unknown => String::new(),
        }
    }

    /// The redirection to the core that owns a slot.
    pub fn moved(&self, slot: Slot) -> CommandError {
        let port = self.announced.port_of(self.map.shard_of(slot).0);
        CommandError::Coded("MOVED", format!("{} {}:{port}", slot.0, self.endpoint()).into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::node::Change;
    use proptest::prelude::*;
    use ringkey_core::settings::parse_text;

    fn settings(text: &str) -> Settings {
        let mut settings = Settings::new();
        for directive in parse_text(text.as_bytes()).unwrap() {
            settings.apply(&directive).unwrap();
        }
        settings
    }

    fn node() -> Node {
        Node::new([[1; 20], [2; 20]], true)
    }

    fn on_core(core: u16) -> Viewer {
        Viewer { core: Some(ShardId(core)), local: Some([127, 0, 0, 1].into()) }
    }

    const ON_COMMON: Viewer = Viewer { core: None, local: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)) };

    proptest! {
        #[test]
        fn every_slot_belongs_to_one_member(cores in 1u16..=64, gone in 0u16..SLOT_COUNT, viewer in 0u16..64) {
            let announced = Announced::new(&settings("core-ports 7000"), cores);
            let (node, _) = node().changed(&Change::Slots { ranges: vec![(gone, gone)], take: false }).unwrap();
            let map = ShardMap::new(cores);
            let view = View { node: &node, map, announced: &announced, viewer: on_core(viewer % cores) };
            let mut owners = vec![None; usize::from(SLOT_COUNT)];
            for member in view.members() {
                for slot in member.ranges.iter().flat_map(|(first, last)| *first..=*last) {
                    prop_assert_eq!(owners[usize::from(slot)].replace(member.port), None);
                    prop_assert_eq!(map.shard_of(Slot(slot)).0 + 7000, member.port);
                }
            }
            prop_assert_eq!(owners.iter().filter(|owner| owner.is_none()).count(), 1);
            prop_assert_eq!(owners[usize::from(gone)], None);
            prop_assert_eq!(view.members().filter(|member| member.is_myself).count(), 1);
            let names: std::collections::HashSet<_> = view.members().map(|member| member.id).collect();
            prop_assert_eq!(names.len(), usize::from(cores));
        }
    }

    #[test]
    fn all_slots_are_covered_with_every_number_of_cores() {
        for cores in 1..=64 {
            let announced = Announced::new(&settings("core-ports 7000"), cores);
            let (node, map) = (node(), ShardMap::new(cores));
            let view = View { node: &node, map, announced: &announced, viewer: on_core(0) };
            let mut next = 0;
            for member in view.members() {
                let [(first, last)] = member.ranges[..] else { panic!("a core has one range") };
                assert_eq!(first, next);
                next = last + 1;
            }
            assert_eq!(next, SLOT_COUNT);
        }
    }

    #[test]
    fn who_answers() {
        let node = node();
        let map = ShardMap::new(4);
        let announced = Announced::new(&settings("core-ports 7000"), 4);
        let view = |viewer| View { node: &node, map, announced: &announced, viewer };
        assert_eq!(view(ON_COMMON).my_id(), node.id);
        assert_eq!(view(on_core(0)).my_id(), node.id);
        assert_eq!(view(on_core(3)).my_id(), node.id.of_core(3));
        assert_eq!(view(on_core(3)).my_shard_id(), node.shard_id.of_core(3));
        assert!(view(ON_COMMON).knows(node.id.of_core(3).as_str().as_bytes()));
        assert!(!view(ON_COMMON).knows(node.id.of_core(4).as_str().as_bytes()));
        let alone = Announced::new(&settings("port 7000"), 4);
        let view = View { node: &node, map, announced: &alone, viewer: ON_COMMON };
        assert_eq!(view.members().map(|member| (member.port, member.bus_port)).collect::<Vec<_>>(), [(7000, 17_000)]);
        assert_eq!(view.ip(), "", "a node alone does not know its address");
    }

    #[test]
    fn where_clients_are_sent() {
        let node = node();
        let map = ShardMap::new(4);
        let line = |text: &str, viewer: Viewer| {
            let announced = Announced::new(&settings(&format!("core-ports 7000\n{text}")), 4);
            let error = View { node: &node, map, announced: &announced, viewer }.moved(Slot(12_182));
            format!("{} {error}", error.code())
        };
        let v6 = Viewer { core: Some(ShardId(0)), local: Some("2001:db8::1".parse().unwrap()) };
        assert_eq!(line("", on_core(0)), "MOVED 12182 127.0.0.1:7002");
        assert_eq!(line("", v6), "MOVED 12182 2001:db8::1:7002");
        assert_eq!(line("", Viewer { core: None, local: None }), "MOVED 12182 :7002");
        assert_eq!(line("cluster-announce-ip 10.1.2.3", on_core(0)), "MOVED 12182 10.1.2.3:7002");
        assert_eq!(line("cluster-announce-port 9000", on_core(0)), "MOVED 12182 127.0.0.1:9002");
        let two =
            "cluster-announce-ip 10.1.2.3\ncluster-announce-client-ipv6 2001:db8::2\ncluster-announce-client-port 80";
        assert_eq!(line(two, on_core(0)), "MOVED 12182 10.1.2.3:82");
        assert_eq!(line(two, v6), "MOVED 12182 2001:db8::2:82");
        let named = "cluster-preferred-endpoint-type hostname";
        assert_eq!(line(named, on_core(0)), "MOVED 12182 ?:7002");
        assert_eq!(line(&format!("{named}\ncluster-announce-hostname h"), on_core(0)), "MOVED 12182 h:7002");
        assert_eq!(line("cluster-preferred-endpoint-type unknown-endpoint", on_core(0)), "MOVED 12182 :7002");
    }

    #[test]
    fn ports_that_cores_cannot_have() {
        let check = |text: &str, cores| check_core_ports(&settings(text), cores);
        assert_eq!(check("", 4), Ok(()));
        assert_eq!(check("core-ports no", 4), Ok(()));
        assert_eq!(check("cluster-enabled yes\ncore-ports 7000", 4), Ok(()));
        assert_eq!(check("cluster-enabled yes\ncore-ports 65532", 4), Ok(()));
        assert!(check("core-ports 7000", 4).unwrap_err().contains("cluster-enabled yes"));
        let beyond = check("cluster-enabled yes\ncore-ports 65533", 4).unwrap_err();
        assert_eq!(beyond, "core-ports 65533 with 4 cores would take the ports up to 65536; 65535 is the last");
        let clash = check("cluster-enabled yes\nport 7003\ncore-ports 7000", 4).unwrap_err();
        assert_eq!(clash, "core-ports 7000 with 4 cores takes the ports 7000 to 7003, and 7003 is the common port");
        assert_eq!(check("cluster-enabled yes\nport 7004\ncore-ports 7000", 4), Ok(()));
    }
}
