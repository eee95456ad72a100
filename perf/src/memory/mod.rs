//! `ringkey-perf memory`: bytes an element of each kind of data, on any server that speaks RESP.
//!
//! `used_memory` is read before and after, with the loader's connection closed both times, after it has come to rest
//! and no table is being rehashed. Beside it stands the resident memory of the process, which only a server that was
//! started here tells.

mod rows;

pub use rows::{ROWS, Row};

use crate::client::{Client, Reply};
use crate::error::PerfError;
use crate::machine::Machine;
use crate::servers::{Kind, Programs, Server, Setup, settled_used_memory};
use crate::table::{Side, Table};
use serde::Serialize;
use std::net::SocketAddr;

/// Elements sent before their replies are read.
const BATCH: u64 = 1000;

/// Weighs data: bytes of used_memory and of resident memory an element, several servers side by side.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    programs: Programs,
    /// Servers to start, each afresh for each row.
    #[arg(long, value_enum, value_name = "KINDS", value_delimiter = ',')]
    servers: Vec<Kind>,
    /// A server that runs; it must be empty and is emptied after each row. May be given more than once.
    #[arg(long, value_name = "HOST:PORT")]
    address: Vec<SocketAddr>,
    /// Cores of ours.
    #[arg(long, value_name = "N", default_value_t = 1)]
    cores: usize,
    /// Elements of each row.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    count: u64,
    /// Only these rows.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    rows: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was found for one row on one server.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Bytes an element.
    Weighed {
        /// Of `used_memory`.
        used: f64,
        /// Of resident memory, if the process is ours to look at.
        resident: Option<f64>,
    },
    /// The server does not know the command.
    NotSupported,
}

/// A server that is weighed.
enum Source {
    Started(Kind),
    Running(SocketAddr),
}

/// Weighs and returns what is to be printed. `say` is told what goes on meanwhile.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> Result<String, PerfError> {
    let rows = chosen_rows(&options.rows)?;
    let mut sources: Vec<Source> = options.servers.iter().copied().map(Source::Started).collect();
    sources.extend(options.address.iter().copied().map(Source::Running));
    if sources.is_empty() {
        sources = vec![Source::Started(Kind::Ringkey), Source::Started(Kind::Valkey)];
    }
    let mut names = vec![String::new(); sources.len()];
    let mut results = Vec::new();
    for row in &rows {
        let mut weights = Vec::new();
        for (source, name) in sources.iter().zip(&mut names) {
            let (version, weight) = weigh_on(options, source, row)?;
            say(&format!("{}: {version}: {}", row.about, weight_text(&weight)));
            *name = version;
            weights.push(weight);
        }
        results.push(weights);
    }
    Ok(if options.json { json(options, &rows, &names, &results) } else { text(options, &rows, &names, &results) })
}

fn chosen_rows(names: &[String]) -> Result<Vec<&'static Row>, PerfError> {
    for name in names {
        if !ROWS.iter().any(|row| row.name == name) {
            let known = ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
            return Err(PerfError::Usage(format!("no row is called {name}; there are {known}")));
        }
    }
    Ok(ROWS.iter().filter(|row| names.is_empty() || names.iter().any(|name| row.name == name)).collect())
}

fn weigh_on(options: &Options, source: &Source, row: &Row) -> Result<(String, Weight), PerfError> {
    match source {
        Source::Started(kind) => {
            let threads = if *kind == Kind::Ringkey { options.cores } else { 1 };
            let server = Server::start(&options.programs, &Setup { threads, ..Setup::plain(*kind) })?;
            let version = server.info()?.version();
            let resident = || server.resident_bytes().map(Some);
            Ok((version, weigh(server.address(), row, options.count, &resident)?))
        }
        Source::Running(address) => {
            let mut client = Client::connect(*address)?;
            let version = format!("{} at {address}", client.info()?.version());
            if client.command(&["DBSIZE"])? != Reply::Integer(0) {
                return Err(PerfError::Usage(format!("{address} holds keys: only an empty server is weighed")));
            }
            drop(client);
            let weight = weigh(*address, row, options.count, &|| Ok(None));
            // What is there now was put there by us, the server was empty.
            Client::connect(*address)?.command(&["FLUSHALL"])?;
            Ok((version, weight?))
        }
    }
}

fn weigh(
    address: SocketAddr,
    row: &Row,
    count: u64,
    resident: &dyn Fn() -> Result<Option<u64>, PerfError>,
) -> Result<Weight, PerfError> {
    let used_before = settled_used_memory(&mut Client::connect(address)?)?;
    let resident_before = resident()?;
    if !fill(address, row, count)? {
        return Ok(Weight::NotSupported);
    }
    let used = settled_used_memory(&mut Client::connect(address)?)?;
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / count.max(1) as f64;
    let resident = resident()?.zip(resident_before).map(|(after, before)| each(after, before));
    Ok(Weight::Weighed { used: each(used, used_before), resident })
}

/// Adds the elements; false if the server does not know the command.
fn fill(address: SocketAddr, row: &Row, count: u64) -> Result<bool, PerfError> {
    let mut client = Client::connect(address)?;
    let mut first = 0;
    while first < count {
        let batch = BATCH.min(count - first);
        (row.queue)(&mut client, first, batch);
        for reply in client.flush()? {
            match reply {
                Reply::Error(text) if text.to_ascii_lowercase().contains("unknown command") => return Ok(false),
                Reply::Error(text) => return Err(PerfError::Other(format!("{}: {text}", row.about))),
                _ => {}
            }
        }
        first += batch;
    }
    Ok(true)
}

fn weight_text(weight: &Weight) -> String {
    match weight {
        Weight::NotSupported => "not supported".to_owned(),
        Weight::Weighed { used, resident: None } => format!("{used:.1}"),
        Weight::Weighed { used, resident: Some(resident) } => format!("{used:.1} (RSS {resident:.1})"),
    }
}

fn text(options: &Options, rows: &[&Row], names: &[String], results: &[Vec<Weight>]) -> String {
    let fixed = [("data", Side::Left), ("target", Side::Right), ("stretch", Side::Right)];
    let columns = fixed.map(|(name, side)| (name.to_owned(), side)).into_iter();
    let mut table = Table::new(columns.chain(names.iter().map(|name| (name.clone(), Side::Right))));
    for (row, weights) in rows.iter().zip(results) {
        let head = [row.about.to_owned(), row.target.to_string(), row.stretch.to_string()];
        table.row(head.into_iter().chain(weights.iter().map(weight_text)));
    }
    format!(
        "## Bytes of used_memory an element, {} elements\n\n{}. In parentheses resident memory. Targets are Ringkey's.\n\n{}",
        options.count,
        Machine::here().describe(),
        table.markdown()
    )
}

fn json(options: &Options, rows: &[&Row], names: &[String], results: &[Vec<Weight>]) -> String {
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .zip(results)
        .map(|(row, weights)| {
            let of_servers: Vec<_> = names.iter().zip(weights).collect();
            serde_json::json!({
                "row": row.name, "about": row.about, "target": row.target, "stretch": row.stretch, "servers": of_servers,
            })
        })
        .collect();
    let all = serde_json::json!({ "machine": Machine::here(), "count": options.count, "rows": rows });
    serde_json::to_string_pretty(&all).expect("all keys are strings and all numbers are numbers") + "\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn tables_stand_side_by_side() {
        let options = Line::parse_from(["memory", "--count", "1000"]).options;
        let rows = chosen_rows(&["string".to_owned(), "zset".to_owned()]).unwrap();
        let names = ["a 1".to_owned(), "b 2".to_owned()];
        let weighed = |used| Weight::Weighed { used, resident: Some(used + 1.0) };
        let results = [
            vec![weighed(106.5), weighed(113.5)],
            vec![Weight::NotSupported, Weight::Weighed { used: 80.0, resident: None }],
        ];
        let table = text(&options, &rows, &names, &results);
        assert!(table.contains("| string, 16-byte key, 64-byte value |    106 |      98 |"), "{table}");
        assert!(table.contains("106.5 (RSS 107.5)") && table.contains("not supported |"), "{table}");
        let json: serde_json::Value = serde_json::from_str(&json(&options, &rows, &names, &results)).unwrap();
        assert_eq!(json["rows"][0]["servers"][1][1]["weighed"]["used"], 113.5);
        assert_eq!(json["rows"][1]["servers"][0][1], "not_supported");
    }

    #[test]
    fn unknown_rows_are_refused() {
        assert!(chosen_rows(&["strings".to_owned()]).is_err());
        assert_eq!(chosen_rows(&[]).unwrap().len(), ROWS.len());
    }
}
