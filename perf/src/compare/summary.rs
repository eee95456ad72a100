//! From runs to what is said of them: medians with their spread, ratios to the baseline, verdicts on targets.

use super::figure::Figure;
use super::record::Record;
use super::suite::{Judged, Target};
use crate::servers::Kind;
use crate::statistics::{Spread, straight_line};
use crate::table::{Side, Table, short};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What is said of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseSummary {
    /// Its name.
    pub case: String,
    /// It in words.
    pub about: String,
    /// What was sent.
    pub load: String,
    /// The program that made the load.
    pub client: String,
    /// Whom the others are compared with.
    pub baseline: String,
    /// Its servers, the baseline first.
    pub servers: Vec<ServerSummary>,
}

/// What is said of one server in a case.
#[derive(Clone, Debug, Serialize)]
pub struct ServerSummary {
    /// Its name.
    pub server: String,
    /// Whose program.
    pub kind: Kind,
    /// Its threads.
    pub threads: usize,
    /// The figures over the rounds.
    pub figures: BTreeMap<Figure, Spread>,
    /// Their ratios to the baseline's, formed round by round.
    pub ratios: BTreeMap<Figure, Spread>,
    /// Their differences to the baseline's.
    pub differences: BTreeMap<Figure, Spread>,
    /// What was hoped for, and whether it came.
    pub verdicts: Vec<Verdict>,
    /// Error replies in all rounds.
    pub errors: u64,
    /// Time that the hypervisor took, over all rounds.
    pub stolen_s: f64,
}

/// A target and what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Of what.
    pub figure: Figure,
    /// The target in words.
    pub target: String,
    /// The median and its spread.
    pub found: Spread,
    /// Does the median reach it?
    pub reached: bool,
    /// Do all rounds agree on that?
    pub all_rounds_agree: bool,
}

/// Sums up the runs, in the order of their cases. `targets` gives what is hoped for of a case, if that is known.
pub fn sum_up(records: &[Record], targets: &dyn Fn(&str) -> Vec<Target>) -> Vec<CaseSummary> {
    let mut cases: Vec<&str> = Vec::new();
    for record in records {
        if !cases.contains(&record.case.as_str()) {
            cases.push(&record.case);
        }
    }
    let of_case = |name: &str| records.iter().filter(|record| record.case == name).collect::<Vec<_>>();
    cases.iter().filter_map(|name| case_summary(&of_case(name), &targets(name))).collect()
}

fn case_summary(records: &[&Record], targets: &[Target]) -> Option<CaseSummary> {
    let first = records.first()?;
    let mut names: Vec<&str> = records.iter().map(|record| record.server.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    // The baseline first, then the fewer threads first, then by name.
    let threads = |name: &str| records.iter().find(|record| record.server == name).map_or(0, |r| r.setup.threads);
    names.sort_by_key(|name| (*name != first.baseline, threads(name)));
    let of = |name: &str| records.iter().filter(|r| r.server == name).copied().collect::<Vec<_>>();
    let theirs = of(&first.baseline);
    let servers = names.iter().filter_map(|name| server_summary(&of(name), &theirs, targets, &of)).collect();
    Some(CaseSummary {
        case: first.case.clone(),
        about: first.about.clone(),
        load: first.load.clone(),
        client: first.client.clone(),
        baseline: first.baseline.clone(),
        servers,
    })
}

fn server_summary<'a>(
    ours: &[&'a Record],
    theirs: &[&'a Record],
    targets: &[Target],
    others: &dyn Fn(&str) -> Vec<&'a Record>,
) -> Option<ServerSummary> {
    let first = ours.first()?;
    let is_baseline = first.server == first.baseline;
    // Rounds are paired by their order, since a results file may hold several sessions that all count from 1.
    let pairs = |figure: Figure| {
        let wanted = !is_baseline && figure.is_compared();
        let both = ours.iter().zip(theirs).filter(move |(a, b)| wanted && a.round == b.round);
        both.filter_map(move |(a, b)| Some((*a.figures.get(&figure)?, *b.figures.get(&figure)?)))
    };
    let of = |spread: &dyn Fn(Figure) -> Option<Spread>| -> BTreeMap<Figure, Spread> {
        Figure::ALL.iter().filter_map(|figure| Some((*figure, spread(*figure)?))).collect()
    };
    let figures = of(&|figure| Spread::of(ours.iter().filter_map(|record| record.figures.get(&figure).copied())));
    let ratios = of(&|figure| Spread::of_ratios(pairs(figure)));
    let differences = of(&|figure| Spread::of_differences(pairs(figure)));
    let wanted = targets.iter().filter(|target| match &target.server {
        Some(name) => *name == first.server,
        None => first.setup.kind == Kind::Ringkey && (!is_baseline || target.at_most.is_some()),
    });
    let found = |target: &Target, judged: Judged| match judged {
        Judged::Ratio => ratios.get(&target.figure).copied(),
        Judged::Difference => differences.get(&target.figure).copied(),
        Judged::Value => figures.get(&target.figure).copied(),
        Judged::Change => change(target, ours, others),
    };
    Some(ServerSummary {
        server: first.server.clone(),
        kind: first.setup.kind,
        threads: first.setup.threads,
        verdicts: wanted.filter_map(|target| verdict(target, &found)).collect(),
        figures: figures.clone(),
        ratios: ratios.clone(),
        differences: differences.clone(),
        errors: ours.iter().map(|record| record.raw.errors).sum(),
        stolen_s: ours.iter().map(|record| record.raw.stolen_s).sum(),
    })
}

/// What our server takes of its other self, by what theirs takes of its own, round by round.
fn change<'a>(target: &Target, ours: &[&'a Record], others: &dyn Fn(&str) -> Vec<&'a Record>) -> Option<Spread> {
    let wanted = target.change_at_most.as_ref()?;
    let beside = [&wanted.from, &wanted.theirs, &wanted.theirs_from].map(|name| others(name));
    let in_round = |at: usize| {
        let round = ours[at].round;
        let figure = |record: &&Record| (record.round == round).then(|| record.figures.get(&target.figure).copied())?;
        let [from, theirs, theirs_from] = beside.each_ref().map(|records| records.get(at).and_then(figure));
        Some((figure(&ours[at])? / from?, theirs? / theirs_from?))
    };
    Spread::of_ratios((0..ours.len()).filter_map(in_round))
}

fn verdict(target: &Target, found: &dyn Fn(&Target, Judged) -> Option<Spread>) -> Option<Verdict> {
    let (judged, at_least, bound) = target.bounds().next()?;
    let found = found(target, judged)?;
    let holds = |value: f64| if at_least { value >= bound } else { value <= bound };
    let reached = holds(found.median);
    let sign = if at_least { "≥" } else { "≤" };
    let target_text = match judged {
        Judged::Ratio => format!("{sign} {bound} x"),
        Judged::Difference => format!("{sign} +{bound}"),
        Judged::Value => format!("{sign} {bound}"),
        Judged::Change => {
            let beside = target.change_at_most.as_ref();
            let named =
                beside.map(|beside| (beside.from.as_str(), beside.theirs.as_str(), beside.theirs_from.as_str()));
            let (from, theirs, theirs_from) = named.unwrap_or_default();
            format!("of that of {from}, by that of {theirs} of {theirs_from} {sign} {bound}")
        }
    };
    Some(Verdict {
        figure: target.figure,
        target: target_text,
        found,
        reached,
        all_rounds_agree: holds(found.min) == reached && holds(found.max) == reached,
    })
}

/// `7.21 (7.05 - 7.44)`; the figure alone where all rounds read the same.
fn with_spread(spread: Spread) -> String {
    let [median, min, max] = [spread.median, spread.min, spread.max].map(short);
    if min == max { median } else { format!("{median} ({min} - {max})") }
}

/// A case in full: a table of its figures, a row a server and one for its ratios.
pub fn case_text(case: &CaseSummary) -> String {
    let used = |figure: &&Figure| case.servers.iter().any(|server| server.figures.contains_key(*figure));
    let figures: Vec<Figure> = Figure::ALL.iter().filter(used).copied().collect();
    let columns = figures.iter().map(|figure| (figure.heading(), Side::Right));
    let mut table = Table::new([("server", Side::Left)].into_iter().chain(columns));
    let cells = |of: &BTreeMap<Figure, Spread>| -> Vec<String> {
        figures.iter().map(|figure| of.get(figure).map_or_else(|| "-".to_owned(), |s| with_spread(*s))).collect()
    };
    for server in &case.servers {
        table.row([vec![server.server.clone()], cells(&server.figures)].concat());
        if !server.ratios.is_empty() {
            table.row([vec![format!("= x {}", case.baseline)], cells(&server.ratios)].concat());
        }
    }
    let mut text = format!("### {}\n\n", case.case);
    let about = if case.about.is_empty() { String::new() } else { format!("{}: ", case.about) };
    let _ = writeln!(text, "{about}{} (client: {}).\n", case.load, case.client);
    text += &table.markdown();
    for server in case.servers.iter().filter(|server| server.errors > 0) {
        let _ =
            writeln!(text, "\n**{} sent {} error replies: its figures mean nothing.**", server.server, server.errors);
    }
    for server in case.servers.iter().filter(|server| server.stolen_s > 0.05) {
        let stolen = server.stolen_s;
        let _ = writeln!(text, "\nThe hypervisor took {stolen:.2} s of processor time while {} ran.", server.server);
    }
    text
}

/// One line a case and server: ratios to the baseline, and the verdicts.
pub fn ratio_table(cases: &[CaseSummary]) -> String {
    let columns = ["case", "server", "baseline", "throughput x", "server CPU us", "CPU x", "p50 x", "p99 x", "targets"];
    let sides = columns.iter().enumerate().map(|(at, name)| {
        let words = at < 3 || at + 1 == columns.len();
        (*name, if words { Side::Left } else { Side::Right })
    });
    let mut table = Table::new(sides);
    for case in cases {
        for server in &case.servers {
            if server.server == case.baseline && server.verdicts.is_empty() {
                continue;
            }
            let ratio = |figure| server.ratios.get(&figure).map_or_else(|| "-".to_owned(), |s| with_spread(*s));
            let cpu = server.figures.get(&Figure::ServerCpu).map_or_else(|| "-".to_owned(), |s| short(s.median));
            table.row([
                case.case.clone(),
                server.server.clone(),
                case.baseline.clone(),
                ratio(Figure::Throughput),
                cpu,
                ratio(Figure::ServerCpu),
                ratio(Figure::P50),
                ratio(Figure::P99),
                server.verdicts.iter().map(verdict_text).collect::<Vec<_>>().join("; "),
            ]);
        }
    }
    if table.is_empty() { String::new() } else { table.markdown() }
}

/// Four telling digits, so that a figure beside its target is not the target by rounding.
fn exact(value: f64) -> String {
    let whole_digits = value.abs().max(1e-6).log10().floor() as i32 + 1;
    let decimals = usize::try_from(4 - whole_digits).unwrap_or(0);
    format!("{value:.decimals$}")
}

fn verdict_text(verdict: &Verdict) -> String {
    let word = if verdict.reached { "reached" } else { "MISSED" };
    let doubt = if verdict.all_rounds_agree { "" } else { ", rounds disagree" };
    let found = exact(verdict.found.median);
    format!("{} {}: {found}, {word}{doubt}", verdict.figure.heading(), verdict.target)
}

/// Cases in which only the number of our cores differs: cost against share of hops, and what that foretells for
/// machines with more processors. Empty if there are none.
pub fn cores_text(cases: &[CaseSummary]) -> String {
    const FORETOLD: usize = 16;
    let mut table = Table::new([
        ("case", Side::Left),
        ("CPU us without hops", Side::Right),
        ("a hop costs us", Side::Right),
        ("at 16 cores: CPU us", Side::Right),
        ("requests/s on 16 busy cores", Side::Right),
    ]);
    for case in cases {
        let ours = case.servers.iter().filter(|server| server.kind == Kind::Ringkey);
        let point = |server: &ServerSummary| {
            let share = server.figures.get(&Figure::HopShare)?.median;
            Some((share, server.figures.get(&Figure::ServerCpu)?.median))
        };
        let points: Vec<(f64, f64)> = ours.filter_map(point).collect();
        if points.len() < 3 {
            continue;
        }
        if let Some((start, slope)) = straight_line(&points) {
            let share = 1.0 - 1.0 / FORETOLD as f64;
            let cost = start + slope * share;
            let cells = [start, slope, cost, FORETOLD as f64 * 1e6 / cost].map(short);
            table.row([vec![case.case.clone()], cells.to_vec()].concat());
        }
    }
    if table.is_empty() { String::new() } else { table.markdown() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::compare::record::tests::example;

    fn records() -> Vec<Record> {
        let run = |server: &str, round, cpu, throughput| {
            example(
                server,
                round,
                &[(Figure::ServerCpu, cpu), (Figure::Throughput, throughput), (Figure::HopShare, 0.5)],
            )
        };
        vec![
            run("ours", 1, 6.0, 110.0),
            run("theirs", 1, 8.0, 100.0),
            run("theirs", 2, 16.0, 50.0),
            run("ours", 2, 12.0, 60.0),
            run("ours", 3, 8.0, 90.0),
            run("theirs", 3, 8.0, 100.0),
        ]
    }

    fn target(bound: f64) -> Target {
        Target {
            figure: Figure::ServerCpu,
            server: None,
            pipeline: None,
            ratio_at_most: Some(bound),
            ratio_at_least: None,
            more_at_most: None,
            at_most: None,
            change_at_most: None,
        }
    }

    #[test]
    fn ratios_pair_the_rounds() {
        let summary = sum_up(&records(), &|_| vec![target(0.8)]);
        let case = &summary[0];
        assert_eq!(case.servers[0].server, "theirs", "the baseline first");
        assert!(case.servers[0].ratios.is_empty() && case.servers[0].verdicts.is_empty());
        let ours = &case.servers[1];
        assert_eq!(ours.ratios[&Figure::ServerCpu].median, 0.75);
        assert_eq!(ours.ratios[&Figure::ServerCpu].max, 1.0);
        assert_eq!(ours.differences[&Figure::ServerCpu].median, -2.0);
        assert!(!ours.ratios.contains_key(&Figure::HopShare));
        assert!(ours.verdicts[0].reached && !ours.verdicts[0].all_rounds_agree);
        assert!(!sum_up(&records(), &|_| vec![target(0.7)])[0].servers[1].verdicts[0].reached);
    }

    #[test]
    fn changes_are_beside_those_of_another() {
        let run = |server: &str, round, cpu| example(server, round, &[(Figure::ServerCpu, cpu)]);
        let mut records = Vec::new();
        for (round, ours_with) in [(1, 5.5), (2, 6.0), (3, 6.6)] {
            let figures = [("ours", 5.0), ("ours-with", ours_with), ("theirs", 10.0), ("theirs-with", 12.0)];
            records.extend(figures.map(|(server, cpu)| run(server, round, cpu)));
        }
        let named = |name: &str| name.to_owned();
        let change = super::super::suite::Change {
            from: named("ours"),
            theirs: named("theirs-with"),
            theirs_from: named("theirs"),
            bound: 1.0,
        };
        let server = Some(named("ours-with"));
        let wanted = Target { server, ratio_at_most: None, change_at_most: Some(change), ..target(0.0) };
        let summary = sum_up(&records, &|_| vec![wanted.clone()]);
        let ours = summary[0].servers.iter().find(|server| server.server == "ours-with").unwrap();
        let [verdict] = &ours.verdicts[..] else { panic!("{:?}", ours.verdicts) };
        assert!((verdict.found.median - 1.0).abs() < 1e-9 && !verdict.all_rounds_agree, "{verdict:?}");
        assert!((verdict.found.max - 1.1).abs() < 1e-9, "{verdict:?}");
        assert!(verdict.target.contains("by that of theirs-with of theirs"), "{verdict:?}");
    }

    #[test]
    fn texts_are_markdown() {
        let summary = sum_up(&records(), &|_| vec![target(0.8)]);
        let text = case_text(&summary[0]);
        assert!(text.contains("| = x theirs |"), "{text}");
        assert!(text.contains("0.75 (0.75 - 1.00)"), "{text}");
        let ratios = ratio_table(&summary);
        assert!(ratios.contains("server CPU us ≤ 0.8 x: 0.7500, reached, rounds disagree"), "{ratios}");
        assert_eq!(ratios.lines().count(), 3);
    }

    #[test]
    fn verdicts_are_exact() {
        assert_eq!([106.34, 0.876_54, 12_345.6, 0.0412].map(exact), ["106.3", "0.8765", "12346", "0.04120"]);
    }

    #[test]
    fn errors_are_shouted() {
        let mut records = records();
        records[0].raw.errors = 5;
        assert!(case_text(&sum_up(&records, &|_| Vec::new())[0]).contains("ours sent 5 error replies"));
    }

    #[test]
    fn more_cores_are_foretold() {
        let run = |server: &str, share, cpu| example(server, 1, &[(Figure::HopShare, share), (Figure::ServerCpu, cpu)]);
        let records = [run("one", 0.0, 6.0), run("two", 0.5, 7.0), run("four", 0.75, 7.5)];
        let text = cores_text(&sum_up(&records, &|_| Vec::new()));
        assert!(text.contains(" 6.00 |") && text.contains("2.00") && text.contains("7.88"), "{text}");
        assert!(cores_text(&sum_up(&records[..2], &|_| Vec::new())).is_empty());
    }
}
