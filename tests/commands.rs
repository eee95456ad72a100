//! COMMAND beside a real valkey-server, for every command that ours has: the same description, the same documentation apart
//! from prose, and the same keys in calls of all of them.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::server::{Kind, Setup, peer, skip};
use ringkey_tests::{Client, Reply, Server};
use std::collections::BTreeMap;

fn pair() -> Option<(Server, Server)> {
    if peer("valkey-server").is_none() {
        skip("no valkey-server: fetch the peers");
        return None;
    }
    Some((Setup::of(Kind::Ringkey).start(), Setup::of(Kind::Reference).start()))
}

/// Sets, and arrays that are sets in the other protocol, in one order; everything else as it is.
fn ordered(reply: &Reply) -> Reply {
    match reply {
        Reply::Set(elements) => {
            let mut elements: Vec<Reply> = elements.iter().map(ordered).collect();
            elements.sort_by_key(Reply::lines);
            Reply::Set(elements)
        }
        Reply::Array(elements) => Reply::Array(elements.iter().map(ordered).collect()),
        Reply::Map(pairs) => Reply::Map(pairs.iter().map(|(name, value)| (name.clone(), ordered(value))).collect()),
        other => other.clone(),
    }
}

fn names_of(client: &mut Client) -> Vec<String> {
    let mut names: Vec<String> = client.run("COMMAND LIST").elements().iter().map(Reply::text).collect();
    names.sort();
    names
}

/// The names that ours has, clients of both that speak RESP3.
fn both(servers: &(Server, Server)) -> (Vec<String>, [Client; 2]) {
    let mut clients = [servers.0.client(), servers.1.client()];
    clients.iter_mut().for_each(|client| drop(client.run("HELLO 3")));
    let (ours, theirs) = (names_of(&mut clients[0]), names_of(&mut clients[1]));
    let unknown: Vec<&String> = ours.iter().filter(|name| !theirs.contains(name)).collect();
    assert!(unknown.is_empty(), "the reference has no such commands: {unknown:?}");
    assert!(ours.len() > 80, "{} commands", ours.len());
    (ours, clients)
}

fn report(kind: &str, compared: usize, differing: &[String]) {
    let count = differing.len();
    assert!(count == 0, "{kind}: {count} of {compared} differ:\n{}", differing.join("\n"));
}

#[test]
fn descriptions_are_alike() {
    let Some(servers) = pair() else { return };
    let (names, mut clients) = both(&servers);
    let mut differing = Vec::new();
    for name in &names {
        let told = clients.each_mut().map(|client| {
            let reply = client.command(&["COMMAND", "INFO", name]);
            let Reply::Array(mut fields) = ordered(&reply.elements()[0]) else { panic!("{name}: {reply}") };
            // Subcommands are commands of this list themselves.
            let last = fields.pop().unwrap();
            assert_eq!(last.elements().iter().any(|child| !names.contains(&child.elements()[0].text())), false
                || servers.1.kind() == Kind::Reference && fields.is_empty(), "{name}")
                .then_some(())
                .unwrap_or(());
            fields
        });
        if told[0] != told[1] {
            differing.push(format!("{name}\n  ours: {:?}\n  reference: {:?}", told[0], told[1]));
        }
    }
    report("COMMAND INFO", names.len(), &differing);
}
