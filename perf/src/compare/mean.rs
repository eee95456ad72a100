//! Targets over several cases at once: the geometric mean of their ratios to the baseline.

use super::figure::Figure;
use super::suite::begins;
use super::summary::CaseSummary;
use crate::statistics::geometric_mean;
use crate::table::{Side, Table};
use serde::{Deserialize, Serialize};

/// What is hoped for of several cases together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    /// What tables call it.
    pub name: String,
    /// Whose names begin like this belong to it; `*` stands for any text.
    pub cases: String,
    /// Of what.
    pub figure: Figure,
    /// Upper bound of the geometric mean of the ratios to the baseline.
    pub ratio_at_most: f64,
}

/// A line for each mean and each server that is compared with a baseline; empty if there are none.
pub fn mean_table(means: &[Mean], cases: &[CaseSummary]) -> String {
    let columns = ["mean of", "server", "cases", "of", "ratio", "target"];
    let sides = columns.map(|name| (name, if matches!(name, "cases" | "ratio") { Side::Right } else { Side::Left }));
    let mut table = Table::new(sides);
    for mean in means {
        let belongs = |case: &&CaseSummary| begins(&case.case, &mean.cases);
        let mut servers: Vec<&str> = Vec::new();
        for server in cases.iter().filter(belongs).flat_map(|case| &case.servers) {
            if !server.ratios.is_empty() && !servers.contains(&server.server.as_str()) {
                servers.push(&server.server);
            }
        }
        for name in servers {
            let of_server = cases.iter().filter(belongs).flat_map(|case| &case.servers).filter(|s| s.server == name);
            let ratios: Vec<f64> = of_server.filter_map(|s| Some(s.ratios.get(&mean.figure)?.median)).collect();
            let Some(ratio) = geometric_mean(&ratios) else { continue };
            let word = if ratio <= mean.ratio_at_most { "reached" } else { "MISSED" };
            table.row([
                mean.name.clone(),
                name.to_owned(),
                ratios.len().to_string(),
                mean.figure.heading().to_owned(),
                format!("{ratio:.3}"),
                format!("≤ {} x: {word}", mean.ratio_at_most),
            ]);
        }
    }
    if table.is_empty() { String::new() } else { table.markdown() }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::example;
    use super::super::summary::sum_up;
    use super::*;

    #[test]
    fn ratios_are_multiplied() {
        let mut records = Vec::new();
        for (case, ratio) in [("basic-a-p16", 0.5), ("basic-b-p16", 2.0), ("basic-b-p1", 9.0)] {
            for (server, cpu) in [("ours", 8.0 * ratio), ("theirs", 8.0)] {
                let mut record = example(server, 1, &[(Figure::ServerCpu, cpu)]);
                case.clone_into(&mut record.case);
                records.push(record);
            }
        }
        let mean = |ratio_at_most| Mean {
            name: "P=16".to_owned(),
            cases: "basic-*-p16".to_owned(),
            figure: Figure::ServerCpu,
            ratio_at_most,
        };
        let text = mean_table(&[mean(1.0), mean(0.9)], &sum_up(&records, &|_| Vec::new()));
        assert!(text.contains("1.000 | ≤ 1 x: reached") && text.contains("1.000 | ≤ 0.9 x: MISSED"), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
