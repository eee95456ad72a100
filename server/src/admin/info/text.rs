//! How INFO writes its fields.

use super::Sample;

/// Writes `name:value` lines.
macro_rules! fields {
    ($text:expr, $($name:literal: $value:expr),+ $(,)?) => {
        $( let _ = std::fmt::Write::write_fmt($text, format_args!(concat!($name, ":{}\r\n"), $value)); )+
    };
}
pub(super) use fields;

/// Fields that are zero here: what they count does not exist.
pub fn zeros(text: &mut String, names: &[&str]) {
    names.iter().for_each(|name| {
        text.push_str(name);
        text.push_str(":0\r\n");
    });
}

/// A number of bytes for people: `965.78K`.
pub fn human(bytes: u64) -> String {
    const UNITS: &[(u64, &str)] = &[(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.2}{unit}", bytes as f64 / *size as f64),
        None => format!("{bytes}B"),
    }
}

/// The sum of a counter over all cores.
pub fn total(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> u64 {
    samples.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(988_960), "965.78K");
        assert_eq!(human(25_276_514_304), "23.54G");
    }
}
