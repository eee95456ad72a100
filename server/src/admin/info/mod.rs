//! INFO: every core gives a sample of its counters, and the sections are written from their sum.
//!
//! Sections and fields stand in Valkey's order, those without a meaning here as zeros, so that tools find what they look
//! for. What is our own (`scripts`, `cores`, `ringkey`) comes last.

pub mod commands;
mod data;
mod memory;
mod own;
mod process;
mod sample;
mod stats;
mod text;

pub use sample::{Sample, expiry_bytes};

use super::Then;
use crate::mailbox::letter::{Answer, Question};
use crate::session::Session;
use crate::state::State;
use commands::Details;
use ringkey_core::resp::{Args, CommandError, Reply};
use std::fmt::Write as _;

/// Writes the fields of a section.
type Write = fn(&mut String, &State, &[Sample]);

/// In which groups a section is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Group {
    /// In all.
    Default,
    /// In `all` and `everything` alone.
    All,
    /// In none: only who names it sees it.
    Named,
}

/// The sections in their order: the words that ask for it, its title, its group.
const SECTIONS: &[(&[&str], &str, Group, Write)] = &[
    (&["server"], "Server", Group::Default, process::server),
    (&["tls"], "TLS", Group::All, process::tls),
    (&["clients"], "Clients", Group::Default, process::clients),
    (&["memory"], "Memory", Group::Default, memory::memory),
    (&["persistence"], "Persistence", Group::Default, data::persistence),
    (&["stats"], "Stats", Group::Default, stats::stats),
    (&["replication"], "Replication", Group::Default, data::replication),
    (&["cpu"], "CPU", Group::Default, process::cpu),
    (&["modules", "module_list"], "Modules", Group::Default, process::modules),
    (&["commandstats"], "Commandstats", Group::All, commands::counts),
    (&["errorstats"], "Errorstats", Group::Default, stats::errors),
    (&["latencystats"], "Latencystats", Group::All, commands::percentiles),
    (&["commandpaths"], "Commandpaths", Group::All, commands::paths),
    (&["cluster"], "Cluster", Group::Default, process::cluster),
    (&["cluster_info"], "Cluster Info", Group::All, process::cluster_info),
    (&["scriptingengines"], "Scripting Engines", Group::All, process::scripting_engines),
    (&["keyspace"], "Keyspace", Group::Default, data::keyspace),
    (&["scripts"], "Scripts", Group::All, own::scripts),
    (&["cores"], "Cores", Group::All, own::cores),
    (&["ringkey"], "Ringkey", Group::Default, own::ringkey),
    (&["debug"], "Debug", Group::Named, stats::debug),
];

/// The sections that a call of INFO asks for, as indexes.
pub type Sections = Vec<usize>;

fn parse_sections(words: &[&[u8]]) -> Sections {
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let mut widest = words.is_empty().then_some(Group::Default);
    for word in words {
        if is(word, "all") || is(word, "everything") {
            widest = Some(Group::All);
        } else if is(word, "default") {
            widest = widest.max(Some(Group::Default));
        }
    }
    let wants = |(names, _, group, _): &(&[&str], &str, Group, Write)| {
        widest.is_some_and(|widest| *group <= widest)
            || words.iter().any(|word| names.iter().any(|name| is(word, name)))
    };
    (0..SECTIONS.len()).filter(|index| wants(&SECTIONS[*index])).collect()
}

/// INFO
///
/// # Errors
/// None: unknown sections are empty.
pub fn info(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let sections = parse_sections(&args.iter_from(1).collect::<Vec<_>>());
    let wants = |name: &str| sections.iter().any(|index| SECTIONS[*index].0.contains(&name));
    let details =
        Details { commands: wants("commandstats"), durations: wants("latencystats"), paths: wants("commandpaths") };
    state.gather_from_all(session, &Question::Sample(details), Then::Info(sections));
    Ok(())
}

/// The samples among answers, in the order of the cores.
pub fn samples(answers: Vec<(usize, Answer)>) -> Vec<Sample> {
    let sample = |(_, answer)| if let Answer::Sample(sample) = answer { Some(*sample) } else { None };
    answers.into_iter().filter_map(sample).collect()
}

/// Writes the answer of INFO.
pub fn write(state: &State, session: &mut Session, sections: &Sections, answers: Vec<(usize, Answer)>) {
    let samples = samples(answers);
    let mut text = String::new();
    for index in sections {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let (_, title, _, section) = SECTIONS[*index];
        let _ = write!(text, "# {title}\r\n");
        section(&mut text, state, &samples);
    }
    Reply::new(&mut session.output.pending, session.protocol).verbatim("txt", text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(words: &str) -> Vec<&'static str> {
        let words: Vec<&[u8]> = words.split_whitespace().map(str::as_bytes).collect();
        parse_sections(&words).into_iter().map(|index| SECTIONS[index].1).collect()
    }

    #[test]
    fn groups_grow() {
        assert_eq!(titles(""), titles("default"));
        assert_eq!(titles("all"), titles("cpu EVERYTHING default"));
        let is_in = |small: &[&str], large: &[&str]| small.iter().all(|title| large.contains(title));
        assert!(is_in(&titles(""), &titles("all")) && !is_in(&titles("all"), &titles("")));
        assert!(!titles("all").contains(&"Debug"), "shown only to who names it");
    }

    #[test]
    fn sections_come_once_and_in_order() {
        assert_eq!(titles("Keyspace CPU cpu none"), ["CPU", "Keyspace"]);
        assert_eq!(titles("none"), Vec::<&str>::new());
        assert_eq!(titles("debug tls default").len(), titles("").len() + 2);
    }
}
