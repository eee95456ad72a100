//! LOLWUT: a rosette such as engravers put on banknotes and on the lids of watches, drawn in dots. It is a ring of threads
//! that sway around a circle, each a little behind the one before it; every call draws another one.
//!
//! A character of braille has two by four dots, which are about as far from each other across as down.

use crate::session::Session;
use crate::state::State;
use crate::{COMPATIBLE_VERSION, REDIS_VERSION, VERSION};
use ringkey_core::number::parse_integer;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::settings::Setting;
use std::f64::consts::TAU;

/// What is drawn.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Rosette {
    /// Width in characters.
    columns: usize,
    /// How often a thread sways on its way around.
    petals: usize,
    /// How many threads there are.
    threads: usize,
    /// How far it sways, in hundredths of the outer radius.
    sway: usize,
}

const COLUMNS_MAX: i64 = 200;
const PETALS_MAX: i64 = 99;
const THREADS_MAX: i64 = 36;

/// LOLWUT [VERSION version] [columns [petals [threads]]]
///
/// # Errors
/// A parameter is no number.
pub fn lolwut(state: &mut State, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
    let mut words: Vec<&[u8]> = args.iter_from(1).collect();
    let mut wrong = CommandError::text("Syntax error. Use: LOLWUT [columns [petals [threads]]]");
    if words.first().is_some_and(|word| word.eq_ignore_ascii_case(b"version")) && words.len() > 1 {
        // There is one picture as yet, whichever version is asked for.
        parse_integer(words[1]).ok_or(CommandError::NotAnInteger)?;
        words.drain(..2);
        wrong = CommandError::NotAnInteger;
    }
    if words.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let random = &mut state.random;
    let mut rosette =
        Rosette { columns: 60, petals: random.usize(5..24), threads: random.usize(3..9), sway: random.usize(20..42) };
    let places =
        [(&mut rosette.columns, COLUMNS_MAX), (&mut rosette.petals, PETALS_MAX), (&mut rosette.threads, THREADS_MAX)];
    for (word, (place, most)) in words.iter().zip(places) {
        *place = parse_integer(word).ok_or_else(|| wrong.clone())?.clamp(1, most) as usize;
    }
    let like = match state.settings.bool(Setting::ExtendedRedisCompatibility) {
        true => format!("Redis ver. {REDIS_VERSION}"),
        false => format!("Valkey {COMPATIBLE_VERSION}"),
    };
    let text = format!(
        "{}\nRosette of {} threads with {} petals each.\nRingkey ver. {VERSION} ({like})\n",
        rosette.draw(),
        rosette.threads,
        rosette.petals
    );
    Reply::new(&mut session.output.pending, session.protocol).verbatim("txt", text.as_bytes());
    Ok(())
}

impl Rosette {
    fn draw(&self) -> String {
        let size = self.columns * 2;
        let mut dots = vec![false; size * size];
        let centre = size as f64 / 2.0;
        let sway = self.sway as f64 / 100.0;
        // Enough that neighbouring points of a thread touch, whatever its way is.
        let steps = size * (4 + self.petals / 2);
        for thread in 0..self.threads {
            let behind = TAU * thread as f64 / self.threads as f64;
            for step in 0..steps {
                let angle = TAU * step as f64 / steps as f64;
                let swing = (self.petals as f64 * angle + behind).sin() + 0.25 * (2.0 * behind - angle).cos();
                let radius = centre * (1.0 - sway + sway * swing / 1.25).clamp(0.0, 0.999);
                let (x, y) = (centre + radius * angle.cos(), centre + radius * angle.sin());
                dots[(y as usize).min(size - 1) * size + (x as usize).min(size - 1)] = true;
            }
        }
        let is_dot = |x: usize, y: usize| dots.get(y * size + x).copied().unwrap_or(false);
        let mut text = String::new();
        for row in 0..size.div_ceil(4) {
            let line: String =
                (0..self.columns).map(|column| cell(|x, y| is_dot(column * 2 + x, row * 4 + y))).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The character of two by four dots.
fn cell(is_dot: impl Fn(usize, usize) -> bool) -> char {
    const BITS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
    let mut bits = 0;
    for (x, column) in BITS.iter().enumerate() {
        for (y, bit) in column.iter().enumerate() {
            if is_dot(x, y) {
                bits |= bit;
            }
        }
    }
    match bits {
        0 => ' ',
        bits => char::from_u32(0x2800 + bits).expect("braille has 256 characters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_with_a_hole() {
        let text = Rosette { columns: 40, petals: 9, threads: 4, sway: 25 }.draw();
        let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
        assert_eq!(lines.len(), 20, "as high as wide");
        assert!(lines.iter().all(|line| line.len() <= 40));
        assert!(lines[10][18..22].iter().all(|dots| *dots == ' '), "nothing is in the middle");
        assert!(text.chars().filter(|dots| !dots.is_whitespace()).count() > 100);
    }

    #[test]
    fn every_size_fits() {
        for columns in [1, 2, 3, 200] {
            for petals in [1, 99] {
                for threads in [1, 36] {
                    let text = Rosette { columns, petals, threads, sway: 41 }.draw();
                    assert_eq!(text.lines().count(), columns.div_ceil(2), "{columns} {petals} {threads}");
                }
            }
        }
    }
}
