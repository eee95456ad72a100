//! Tables that read well on a terminal and paste into Markdown: the same text serves both.

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with a heading.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = (S, Side)>) -> Self {
        Self { columns: columns.into_iter().map(|(name, side)| (name.into(), side)).collect(), rows: Vec::new() }
    }

    /// Adds a row; what is missing at its end stays empty, what is too much is a fault of the caller.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut cells: Vec<String> = cells.into_iter().map(|cell| cell.into().replace('|', "\\|")).collect();
        assert!(cells.len() <= self.columns.len(), "more cells than columns");
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// True if it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table in Markdown, its columns aligned.
    pub fn markdown(&self) -> String {
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| name.chars().count().max(3)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        let names: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        self.line(&mut text, &names, &widths);
        for ((_, side), width) in self.columns.iter().zip(&widths) {
            let rule = "-".repeat(width - usize::from(*side == Side::Right));
            text.push_str("| ");
            text.push_str(&rule);
            text.push_str(if *side == Side::Right { ": " } else { " " });
        }
        text.push_str("|\n");
        for row in &self.rows {
            self.line(&mut text, row, &widths);
        }
        text
    }

    fn line(&self, text: &mut String, cells: &[String], widths: &[usize]) {
        for ((cell, width), (_, side)) in cells.iter().zip(widths).zip(&self.columns) {
            let blanks = " ".repeat(width - cell.chars().count());
            text.push_str("| ");
            match side {
                Side::Left => text.push_str(&format!("{cell}{blanks}")),
                Side::Right => text.push_str(&format!("{blanks}{cell}")),
            }
            text.push(' ');
        }
        text.push_str("|\n");
    }
}

/// A number with about three telling digits: `0.0412`, `7.21`, `103`, `98.4 k`, `1.21 M`.
pub fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "-".to_owned(),
        _ if size >= 1e6 => format!("{:.2} M", value / 1e6),
        _ if size >= 1e4 => format!("{:.1} k", value / 1e3),
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// [`short`], or a dash for what was not measured.
pub fn short_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new([("what", Side::Left), ("us", Side::Right)]);
        table.row(["get", "7.10"]);
        table.row(["a|b"]);
        let expected = "| what |   us |\n| ---- | ---: |\n| get  | 7.10 |\n| a\\|b |      |\n";
        assert_eq!(table.markdown(), expected);
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.04123, 0.5, 7.214, 45.67, 103.4, 1234.0, 98_400.0, 1_210_000.0, f64::NAN];
        let texts = ["0.00", "0.0412", "0.50", "7.21", "45.7", "103", "1234", "98.4 k", "1.21 M", "-"];
        assert_eq!(numbers.map(short).to_vec(), texts);
    }
}
