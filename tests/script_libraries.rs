//! The libraries of scripts (`cjson`, `cmsgpack`, `struct`, `bit`): snippets whose outcome was recorded from a real Valkey give
//! the same on our server.
//!
//! `RINGKEY_BLESS=1 cargo test -p ringkey-tests --test script_libraries reference` records them anew.

#![allow(clippy::unwrap_used, missing_docs)]

use ringkey_tests::Client;
use ringkey_tests::server::{Kind, Setup, peer, repository, skip};
use std::fmt::Write;

const FOLDER: &str = "server/src/script/std";

fn read(name: &str) -> String {
    std::fs::read_to_string(repository().join(FOLDER).join(name)).unwrap()
}

fn outcome(client: &mut Client, show: &str, snippet: &str) -> String {
    let reply = client.command(&["EVAL", &show.replace("--SNIPPET", snippet), "0"]);
    match reply.error() {
        Some(error) => format!("refused: {error}"),
        None => String::from_utf8(reply.bytes().to_vec()).unwrap(),
    }
}

/// Plays all snippets in their order on one connection; gives the table as it is there, and where that differs.
fn play(kind: Kind) -> (String, Vec<String>) {
    let server = Setup::of(kind).cores(1).start();
    let (mut client, show, table) = (server.client(), read("show.lua"), read("recorded.txt"));
    let (mut recorded, mut wrong) = (String::new(), Vec::new());
    let mut lines = table.lines().peekable();
    while let Some(line) = lines.next() {
        writeln!(recorded, "{line}").unwrap();
        let Some(snippet) = line.strip_prefix("> ") else { continue };
        let expected = lines.next_if(|line| !line.starts_with("> ")).unwrap_or_default();
        let given = outcome(&mut client, &show, snippet);
        writeln!(recorded, "{given}").unwrap();
        if given != expected {
            wrong.push(format!("{snippet}\n  gives {given}\n  not   {expected}"));
        }
    }
    (recorded, wrong)
}

#[test]
fn ours() {
    let (_, wrong) = play(Kind::Ringkey);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn reference() {
    if peer("valkey-server").is_none() {
        skip("no valkey-server to check the recorded snippets with");
        return;
    }
    let (recorded, wrong) = play(Kind::Reference);
    if std::env::var_os("RINGKEY_BLESS").is_some() {
        std::fs::write(repository().join(FOLDER).join("recorded.txt"), recorded).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
