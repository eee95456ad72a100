//! A comparison at work: rounds, groups, servers in turn.
//!
//! What differs between two servers must be the servers and not the hour. So in each round all servers of a group of
//! cases are started afresh and filled, and then every case runs on one after the other, in an order that moves on with
//! each case and each round. A server that is not being measured is stopped (SIGSTOP), so it takes nothing.

use super::measure;
use super::record::{Raw, Record, Results};
use super::suite::{Case, ClientKind, Measure, Suite};
use crate::error::PerfError;
use crate::machine::{Machine, commit_of, today};
use crate::servers::{Kind, Programs, Server, raise_open_files};
use std::collections::BTreeMap;

/// A comparison.
pub struct Session<'a> {
    /// What is compared.
    pub suite: &'a Suite,
    /// Where the servers' programs are.
    pub programs: &'a Programs,
    /// How often.
    pub rounds: usize,
    /// Where the lines go.
    pub results: &'a mut Results,
    /// Told what is going on, a line at a time.
    pub say: &'a mut dyn FnMut(&str),
}

/// What came of a comparison.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Every run.
    pub records: Vec<Record>,
    /// What could not be run, and why.
    pub failures: Vec<String>,
}

/// A server under way in a round.
struct Contestant {
    name: String,
    server: Server,
    version: String,
    commit: String,
    filled: measure::Figures,
}

impl Session<'_> {
    /// Runs all rounds and returns every run. A server that does not start, or fails in a case, does not end the rest:
    /// it is told at the end. Only where nothing at all could be run is that an error.
    pub fn run(mut self) -> Result<Outcome, PerfError> {
        let machine = Machine::here();
        let mut outcome = Outcome::default();
        for round in 1..=self.rounds {
            let cases = &self.suite.cases;
            for group in cases.chunk_by(Case::shares_servers_with) {
                self.group(round, group, &machine, &mut outcome)?;
            }
        }
        match outcome.failures.first() {
            Some(failure) if outcome.records.is_empty() => Err(PerfError::Other(failure.clone())),
            _ => Ok(outcome),
        }
    }

    fn fail(&mut self, outcome: &mut Outcome, what: &str, error: &PerfError) {
        let failure = format!("{what}: {error}");
        (self.say)(&failure);
        if !outcome.failures.contains(&failure) {
            outcome.failures.push(failure);
        }
    }

    fn group(
        &mut self,
        round: usize,
        group: &[Case],
        machine: &Machine,
        outcome: &mut Outcome,
    ) -> Result<(), PerfError> {
        let Some(first) = group.first() else { return Ok(()) };
        if first.measure == Measure::Connections {
            // Servers inherit the limit, so it must stand before they start.
            raise_open_files(first.connections as u64 + measure::FILES_BESIDE)?;
        }
        let mut contestants = BTreeMap::new();
        for name in rotated(&first.servers, round) {
            match self.start(round, &name, first) {
                Ok(contestant) => drop(contestants.insert(name, contestant)),
                Err(error) => self.fail(outcome, &format!("{}: {name}", first.name), &error),
            }
        }
        for (index, case) in group.iter().enumerate() {
            for name in rotated(&case.servers, round + index) {
                let Some(contestant) = contestants.get(&name) else { continue };
                contestant.server.resume();
                let measured = measure::run(self.programs, &contestant.server, case, round);
                contestant.server.pause();
                match measured {
                    Ok(found) => {
                        let record = self.record(round, case, contestant, found, machine);
                        self.results.add(&record)?;
                        (self.say)(&one_line(&record, self.rounds));
                        outcome.records.push(record);
                    }
                    Err(error) => self.fail(outcome, &format!("{}: {name}", case.name), &error),
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, round: usize, name: &str, case: &Case) -> Result<Contestant, PerfError> {
        let setup = self.suite.servers.get(name);
        let setup = setup.ok_or_else(|| PerfError::Usage(format!("no server is called {name}")))?;
        if case.prefill {
            let keys = case.workload.keys.count;
            (self.say)(&format!("round {round} of {}: {name}: {keys} keys are being set", self.rounds));
        } else if !case.fill.is_empty() && !case.refill {
            let elements: u64 = case.fill.iter().map(|step| step.keys * step.elements).sum();
            (self.say)(&format!("round {round} of {}: {name}: {elements} elements are being added", self.rounds));
        }
        let server = Server::start(self.programs, setup)?;
        let version = server.info()?.version();
        let commit = match setup.kind {
            Kind::Ringkey => commit_of(&self.programs.of(setup.kind)?),
            Kind::Valkey | Kind::Redis => String::new(),
        };
        let filled = measure::fill(self.programs, &server, case)?;
        server.pause();
        Ok(Contestant { name: name.to_owned(), server, version, commit, filled })
    }

    fn record(
        &self,
        round: usize,
        case: &Case,
        contestant: &Contestant,
        (mut figures, raw): (measure::Figures, Raw),
        machine: &Machine,
    ) -> Record {
        figures.extend(contestant.filled.iter().map(|(figure, value)| (*figure, *value)));
        Record {
            date: today(),
            suite: self.suite.name.clone(),
            case: case.name.clone(),
            about: case.about.clone(),
            load: case.describe(),
            client: match case.client {
                ClientKind::Ringkey => "ringkey-perf".to_owned(),
                ClientKind::ValkeyBenchmark => "valkey-benchmark".to_owned(),
            },
            client_cpus: case.client_cpus.clone(),
            round,
            server: contestant.name.clone(),
            baseline: case.baseline.clone(),
            setup: contestant.server.setup().clone(),
            version: contestant.version.clone(),
            commit: contestant.commit.clone(),
            machine: machine.clone(),
            figures,
            raw,
        }
    }
}

/// The names, starting with another one each time.
fn rotated(names: &[String], turn: usize) -> Vec<String> {
    let mut names = names.to_vec();
    let by = turn % names.len().max(1);
    names.rotate_left(by);
    names
}

fn one_line(record: &Record, rounds: usize) -> String {
    use super::figure::Figure;
    use crate::table::short;
    let shown = [
        Figure::Throughput,
        Figure::Delivered,
        Figure::ServerCpu,
        Figure::P50,
        Figure::P99,
        Figure::IdleCpu,
        Figure::UsedPerConnection,
        Figure::ResidentPerConnection,
    ];
    let figure = |figure: &Figure| Some(format!("{} {}", short(*record.figures.get(figure)?), figure.heading()));
    let figures: Vec<String> = shown.iter().filter_map(figure).collect();
    let doubt = match &record.raw.first_error {
        Some(error) => format!(" ({} ERROR REPLIES, the first: {error})", record.raw.errors),
        None => String::new(),
    };
    let head = format!("round {} of {rounds}: {}: {}", record.round, record.case, record.server);
    format!("{head}: {}{doubt}", figures.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_starts_with_another_server() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let turns: Vec<String> = (0..4).map(|turn| rotated(&names, turn).concat()).collect();
        assert_eq!(turns, ["abc", "bca", "cab", "abc"]);
        assert!(rotated(&[], 3).is_empty());
    }
}
