//! The compatibility table of README.md is made from the command table, so that it never promises more than there is.
//!
//! `RINGKEY_BLESS=1 cargo test -p ringkey-core --test compatibility` writes it anew.
#![allow(clippy::unwrap_used)]

use ringkey_core::command::{Command, table};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- compatibility: written by a test, do not edit -->\n";
const END: &str = "<!-- end of compatibility -->\n";

/// From this number of missing commands on, the table does not name them.
const NAMED_MAX: usize = 20;

/// Commands, with their subcommands in parentheses.
fn names(rows: &[&Command]) -> String {
    let mut commands: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows {
        let (parent, child) = row.name.split_once('|').unwrap_or((row.name, ""));
        let children = commands.entry(parent).or_default();
        if !child.is_empty() {
            children.push(child.to_ascii_uppercase());
        }
    }
    let text = commands.iter().map(|(name, children)| match children.as_slice() {
        [] => name.to_ascii_uppercase(),
        children => format!("{} ({})", name.to_ascii_uppercase(), children.join(" ")),
    });
    text.collect::<Vec<_>>().join(", ")
}

fn compatibility() -> String {
    let mut groups: BTreeMap<&str, Vec<&Command>> = BTreeMap::new();
    for row in table::all() {
        groups.entry(row.group.word()).or_default().push(row);
    }
    let existing = table::all().filter(|row| !row.is_missing()).count();
    let mut text = format!(
        "{existing} of the {} commands and subcommands of a Valkey 9.1 server exist (Sentinel's are not counted). What is \
         missing answers as an unknown command.\n\n| group | there | commands | not yet |\n|---|---|---|---|\n",
        table::ROW_COUNT
    );
    let mut absent = Vec::new();
    for (group, rows) in groups {
        let (missing, there): (Vec<&Command>, Vec<&Command>) = rows.iter().partition(|row| row.is_missing());
        if there.is_empty() {
            absent.push(format!("{group} ({})", rows.len()));
            continue;
        }
        let not_yet = match missing.len() {
            0 => "-".to_owned(),
            count if count > NAMED_MAX => format!("{count} others"),
            _ => names(&missing),
        };
        let _ = writeln!(text, "| {group} | {} of {} | {} | {not_yet} |", there.len(), rows.len(), names(&there));
    }
    if !absent.is_empty() {
        let _ = writeln!(text, "\nNothing yet of these groups: {}.", absent.join(", "));
    }
    text
}

#[test]
fn the_table_of_the_readme_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("README.md marks where the table begins");
    let (found, after) = rest.split_once(END).expect("README.md marks where the table ends");
    let wanted = compatibility();
    if std::env::var_os("RINGKEY_BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert!(
        found == wanted,
        "README.md tells other commands than there are; \
         run: RINGKEY_BLESS=1 cargo test -p ringkey-core --test compatibility"
    );
}

#[test]
fn the_table_tells_what_is_there_and_what_is_not() {
    let text = compatibility();
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(line("| string |").contains("SETRANGE"), "{text}");
    assert!(line("| connection |").contains(" GETNAME "), "{text}");
    assert!(text.contains(&format!("of the {} commands", table::ROW_COUNT)), "{text}");
}
