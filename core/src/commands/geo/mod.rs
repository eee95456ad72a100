//! Commands for places: sorted sets whose scores are positions on the globe.

pub mod rows;

mod add;
mod look;
mod order;
mod query;
mod scan;
mod search;
#[cfg(test)]
mod tests;
mod text;

pub use add::geoadd;
pub use look::{geodist, geohash, geopos};
pub use search::{georadius, georadius_ro, georadiusbymember, georadiusbymember_ro, geosearch, geosearchstore};

use crate::command::options::is;
use crate::double::parse_double;
use crate::resp::{Args, CommandError};
use crate::value::geohash::Position;

/// A longitude and a latitude, which begin at an argument.
fn position(args: &Args<'_>, at: usize) -> Result<Position, CommandError> {
    let degrees = |index| parse_double(args.get(index)).ok_or(CommandError::NotAFloat);
    let (longitude, latitude) = (degrees(at)?, degrees(at + 1)?);
    Position::new(longitude, latitude)
        .ok_or_else(|| CommandError::owned(format!("invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// How many metres a unit is.
fn unit(word: &[u8]) -> Result<f64, CommandError> {
    match word {
        _ if is(word, "M") => Ok(1.0),
        _ if is(word, "KM") => Ok(1000.0),
        _ if is(word, "FT") => Ok(0.3048),
        _ if is(word, "MI") => Ok(1609.34),
        _ => Err(CommandError::text("unsupported unit provided. please use M, KM, FT, MI")),
    }
}
