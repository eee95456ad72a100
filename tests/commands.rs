//! COMMAND beside a real valkey-server, for every command that ours has: the same description, the same documentation apart
//! from prose, and the same keys in calls of all of them.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::rng::Rng;
use ringkey_tests::server::{Kind, Setup, peer, skip};
use ringkey_tests::{Client, Reply, Server};
use std::collections::BTreeMap;

/// Calls that are made up for each command.
const CALLS_EACH: usize = 120;

fn pair() -> Option<(Server, Server)> {
    if peer("valkey-server").is_none() {
        skip("no valkey-server: fetch the peers");
        return None;
    }
    Some((Setup::of(Kind::Ringkey).start(), Setup::of(Kind::Reference).start()))
}

/// Sets in one order; remarks, which are prose, only as being there; everything else as it is.
fn ordered(reply: &Reply) -> Reply {
    match reply {
        Reply::Set(elements) => {
            let mut elements: Vec<Reply> = elements.iter().map(ordered).collect();
            elements.sort_by_key(Reply::lines);
            Reply::Set(elements)
        }
        Reply::Array(elements) => Reply::Array(elements.iter().map(ordered).collect()),
        Reply::Map(pairs) => {
            let is_prose = |name: &Reply| matches!(name.text().as_str(), "notes" | "summary");
            let told = |(name, value): &(Reply, Reply)| {
                let value = if is_prose(name) { Reply::Simple(b"prose".to_vec()) } else { ordered(value) };
                (name.clone(), value)
            };
            Reply::Map(pairs.iter().map(told).collect())
        }
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
            let mut fields = ordered(&reply.elements()[0]).elements().to_vec();
            assert_eq!(fields.len(), 10, "{name}: {reply}");
            // Subcommands are commands of this list themselves.
            let children = fields.pop().unwrap();
            let mut children: Vec<String> =
                children.elements().iter().map(|child| child.elements()[0].text()).collect();
            children.retain(|child| names.contains(child));
            children.sort();
            (fields, children)
        });
        if told[0] != told[1] {
            differing.push(format!("{name}\n  ours: {:?}\n  reference: {:?}", told[0], told[1]));
        }
    }
    report("COMMAND INFO", names.len(), &differing);
}

/// Documentation without prose: summaries, complexities, and the words of the history. Subcommands that we do not have are
/// left out.
fn without_prose(docs: &Reply, names: &[String]) -> BTreeMap<String, Reply> {
    let Reply::Map(fields) = docs else { panic!("no documentation: {docs}") };
    let mut kept = BTreeMap::new();
    for (name, value) in fields {
        let value = match (name.text().as_str(), value) {
            ("summary" | "complexity", text) => {
                assert!(!text.text().is_empty());
                continue;
            }
            ("history", Reply::Set(changes)) => {
                let mut versions: Vec<Reply> = changes.iter().map(|change| change.elements()[0].clone()).collect();
                versions.sort_by_key(Reply::lines);
                versions.dedup();
                Reply::Array(versions)
            }
            ("subcommands", Reply::Map(children)) => {
                let mut children: Vec<Reply> =
                    children.iter().map(|(name, _)| name.clone()).filter(|name| names.contains(&name.text())).collect();
                children.sort_by_key(Reply::lines);
                Reply::Array(children)
            }
            (_, value) => ordered(value),
        };
        kept.insert(name.text(), value);
    }
    kept
}

#[test]
fn documentation_is_alike_but_for_prose() {
    let Some(servers) = pair() else { return };
    let (names, mut clients) = both(&servers);
    let mut differing = Vec::new();
    for name in &names {
        let told = clients.each_mut().map(|client| {
            let reply = client.command(&["COMMAND", "DOCS", name]);
            let Reply::Map(found) = &reply else { panic!("{name}: {reply}") };
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].0.text(), *name);
            without_prose(&found[0].1, &names)
        });
        let fields = told[0].keys().chain(told[1].keys()).collect::<std::collections::BTreeSet<_>>();
        for field in fields.into_iter().filter(|field| told[0].get(*field) != told[1].get(*field)) {
            let [ours, theirs] = told.each_ref().map(|told| told.get(field).map(Reply::to_string));
            differing.push(format!("{name} {field}\n  ours: {ours:?}\n  reference: {theirs:?}"));
        }
    }
    report("COMMAND DOCS", names.len(), &differing);
}

/// Words that tell commands where their keys are, and words that do not.
const WORDS: [&str; 34] = [
    "k1",
    "k2",
    "k3",
    "k4",
    "",
    "0",
    "1",
    "2",
    "3",
    "4",
    "-1",
    "9999999999999999999",
    "01",
    "2x",
    "STORE",
    "store",
    "STOREDIST",
    "GET",
    "BY",
    "LIMIT",
    "KEYS",
    "AUTH",
    "AUTH2",
    "STREAMS",
    "WEIGHTS",
    "AGGREGATE",
    "EX",
    "NX",
    "KEEPTTL",
    "overflow",
    "set",
    "incrby",
    "COUNT",
    "DB",
];

#[test]
fn keys_are_found_alike() {
    let Some(servers) = pair() else { return };
    let (names, mut clients) = both(&servers);
    let mut rng = Rng::new(11);
    let (mut compared, mut with_keys, mut differing) = (0, 0, Vec::new());
    for name in &names {
        for round in 0..CALLS_EACH {
            let mut call = vec!["COMMAND", if round % 2 == 0 { "GETKEYS" } else { "GETKEYSANDFLAGS" }];
            call.extend(name.split('|'));
            call.extend((0..rng.below(9)).map(|_| *rng.pick(&WORDS)));
            let answers = clients.each_mut().map(|client| ordered(&client.command(&call)));
            compared += 1;
            with_keys += usize::from(answers[0].error().is_none());
            if answers[0] != answers[1] {
                differing.push(format!("{call:?}\n  ours: {}\n  reference: {}", answers[0], answers[1]));
            }
        }
    }
    assert!(with_keys * 10 > compared, "{with_keys} of {compared} calls have keys");
    report("COMMAND GETKEYS", compared, &differing);
}

#[test]
fn lists_are_alike() {
    let Some(servers) = pair() else { return };
    let (names, mut clients) = both(&servers);
    let categories: Vec<String> = [
        "keyspace",
        "read",
        "write",
        "set",
        "sortedset",
        "list",
        "hash",
        "string",
        "bitmap",
        "hyperloglog",
        "geo",
        "stream",
        "pubsub",
        "admin",
        "fast",
        "slow",
        "blocking",
        "dangerous",
        "connection",
        "transaction",
        "scripting",
        "SLOW",
        "nosuch",
        "@slow",
        "",
    ]
    .map(|category| format!("ACLCAT {category}"))
    .to_vec();
    let patterns =
        ["*", "get*", "CONFIG|*", "*|help", "[a-c]*", "nosuch", "???", "\\*", ""].map(|text| format!("PATTERN {text}"));
    let others = ["MODULE lua", "MODULE", "NOSUCH x", "PATTERN a b"].map(str::to_owned);
    for filter in categories.iter().chain(&patterns).chain(&others) {
        let (kind, what) = filter.split_once(' ').unwrap_or((filter, ""));
        let answers = clients.each_mut().map(|client| {
            let mut call = vec!["COMMAND", "LIST", "FILTERBY", kind];
            call.extend(
                (!what.is_empty() || filter.ends_with(' '))
                    .then_some(what)
                    .into_iter()
                    .flat_map(|what| what.split(' ')),
            );
            let reply = client.command(&call);
            match reply.error() {
                Some(error) => vec![error],
                None => {
                    let mut told: Vec<String> = reply.elements().iter().map(Reply::text).collect();
                    told.retain(|name| names.contains(name));
                    told.sort();
                    told
                }
            }
        });
        assert_eq!(answers[0], answers[1], "FILTERBY {filter}");
    }
    for call in ["COMMAND COUNT x", "COMMAND NOSUCH", "COMMAND INFO nosuch", "COMMAND DOCS nosuch", "COMMAND HELP x"] {
        let answers = clients.each_mut().map(|client| client.run(call));
        assert_eq!(answers[0], answers[1], "{call}");
    }
    let count = clients[0].run("COMMAND COUNT").integer();
    let all = clients[0].run("COMMAND").elements().len();
    let whole = names.iter().filter(|name| !name.contains('|')).count();
    assert_eq!((count, all), (i64::try_from(whole).unwrap(), whole));
}

#[test]
fn names_that_were_changed() {
    let renames = "rename-command GET Fetch\nrename-command SET \"\"\nrename-command config CFG\n\
        rename-command incr decrease\nrename-command decr incr\nrename-command LPUSH lpush\n";
    let refuse_twice = |config: &str| {
        let text = |kind| Setup::of(kind).config(config).start_refused();
        [Kind::Ringkey, Kind::Reference].map(text)
    };
    if peer("valkey-server").is_none() {
        return skip("no valkey-server: fetch the peers");
    }
    for (config, reason) in [
        ("rename-command nosuch x\n", "No such command in rename-command"),
        ("rename-command get SET\n", "Target command name already exists"),
        ("rename-command get\n", "Bad directive or wrong number of arguments"),
        ("rename-command get x\nrename-command get y\n", "No such command in rename-command"),
    ] {
        for log in refuse_twice(config) {
            assert!(log.contains(reason), "{log}");
        }
    }
    let servers = [Kind::Ringkey, Kind::Reference].map(|kind| Setup::of(kind).config(renames).start());
    let mut clients = servers.each_ref().map(Server::client);
    for call in [
        "GET x",
        "get",
        "FETCH x",
        "fetch",
        "SET a b",
        "CFG",
        "CFG nosuch",
        "cfg get",
        "cfg get timeout",
        "CONFIG GET timeout",
        "incr n",
        "decrease n",
        "decrease n",
        "decr n",
        "incr n",
        "fetch n",
        "COMMAND INFO get",
        "COMMAND INFO fetch",
        "COMMAND INFO set",
        "COMMAND INFO cfg|get",
        "COMMAND INFO config|get",
        "COMMAND DOCS get",
        "COMMAND DOCS set",
        "COMMAND GETKEYS get a",
        "COMMAND GETKEYS fetch a",
        "COMMAND GETKEYS set a b",
        "COMMAND LIST FILTERBY PATTERN get",
        "COMMAND LIST FILTERBY PATTERN fetch",
        "COMMAND LIST FILTERBY PATTERN set",
        "cfg set hash-max-listpack-entries 7",
        "cfg rewrite",
    ] {
        let answers = clients.each_mut().map(|client| client.run(call));
        assert_eq!(answers[0], answers[1], "{call}");
    }
    let docs = clients[0].run("COMMAND DOCS fetch");
    assert_eq!(docs.elements()[0].text(), "get");
    for server in &servers {
        let file = std::fs::read_to_string(server.dir().join("test.conf")).unwrap();
        assert!(file.starts_with(renames) && file.contains("\nhash-max-listpack-entries 7\n"), "{file}");
    }
}
