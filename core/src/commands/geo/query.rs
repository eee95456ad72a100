//! What a search asks for: the arguments of GEOSEARCH and its older fellows.
//!
//! The sorted set is looked up first, because whether it is there decides which arguments are looked at.

use super::{position, unit};
use crate::command::options::{integer, is};
use crate::double::parse_double;
use crate::number::parse_integer;
use crate::resp::{Args, CommandError};
use crate::value::geohash::{Outline, Position, Shape};
use crate::value::zset::SortedSetRef;

/// Which of the commands it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// GEORADIUS
    Radius {
        /// May it store?
        stores: bool,
    },
    /// GEORADIUSBYMEMBER
    RadiusByMember {
        /// May it store?
        stores: bool,
    },
    /// GEOSEARCH
    Search,
    /// GEOSEARCHSTORE
    SearchStore,
}

/// By which distance the places are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// Where the middle is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Centre {
    Unsaid,
    /// That of a member, if the set is there.
    Member(Option<Position>),
    Place(Position),
}

/// The call, as it was given.
#[derive(Debug)]
pub(super) struct Query {
    centre: Centre,
    /// The outline and the metres of its unit.
    outline: Option<(Outline, f64)>,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_position: bool,
    pub(super) order: Option<Order>,
    /// At most so many.
    pub(super) count: Option<usize>,
    /// Any of them will do.
    pub(super) any: bool,
    /// The argument that is the key to store to.
    pub(super) target: Option<usize>,
    pub(super) stores_distance: bool,
}

impl Form {
    /// The argument that is the key.
    pub(super) fn source(self) -> usize {
        if self == Self::SearchStore { 2 } else { 1 }
    }

    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore)
    }

    fn names_target(self) -> bool {
        matches!(self, Self::Radius { stores: true } | Self::RadiusByMember { stores: true })
    }
}

/// The place of a member that must be there.
fn of_member(set: SortedSetRef<'_>, member: &[u8]) -> Result<Position, CommandError> {
    let score = set.score(member).ok_or_else(|| {
        // The name is a text of C in Valkey and ends at a zero.
        let name = member.split(|byte| *byte == 0).next().unwrap_or_default();
        CommandError::owned(format!("member {} does not exist", String::from_utf8_lossy(name)))
    })?;
    Ok(Position::of_score(score.value()))
}

/// A radius and its unit.
fn circle(args: &Args<'_>, at: usize) -> Result<(Outline, f64), CommandError> {
    let radius = parse_double(args.get(at)).ok_or(CommandError::text("need numeric radius"))?;
    if radius < 0.0 {
        return Err(CommandError::text("radius cannot be negative"));
    }
    Ok((Outline::Circle { radius }, unit(args.get(at + 1))?))
}

/// Width and height and their unit.
fn rectangle(args: &Args<'_>, at: usize) -> Result<(Outline, f64), CommandError> {
    let width = parse_double(args.get(at)).ok_or(CommandError::text("need numeric width"))?;
    let height = parse_double(args.get(at + 1)).ok_or(CommandError::text("need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::text("height or width cannot be negative"));
    }
    Ok((Outline::Rectangle { width, height }, unit(args.get(at + 2))?))
}

/// A number of corners and the corners.
fn polygon(args: &Args<'_>, at: usize) -> Result<(Outline, f64), CommandError> {
    let count = parse_integer(args.get(at)).and_then(|count| i32::try_from(count).ok());
    let count = count.ok_or(CommandError::text("invalid number of vertices"))?;
    let room = (args.len() - at - 1) / 2;
    match usize::try_from(count) {
        Ok(count) if (3..=room).contains(&count) => {
            let corners = (0..count).map(|index| position(args, at + 1 + 2 * index)).collect::<Result<_, _>>()?;
            Ok((Outline::Polygon { corners }, 1.0))
        }
        _ => Err(CommandError::text("GEOSEARCH BYPOLYGON must have at least 3 vertices")),
    }
}

impl Query {
    /// Reads a call; `set` is what its key holds.
    pub(super) fn parse(args: &Args<'_>, form: Form, set: Option<SortedSetRef<'_>>) -> Result<Self, CommandError> {
        let mut query = Self {
            centre: Centre::Unsaid,
            outline: None,
            with_distance: false,
            with_hash: false,
            with_position: false,
            order: None,
            count: None,
            any: false,
            target: (form == Form::SearchStore).then_some(1),
            stores_distance: false,
        };
        let mut at = match form {
            Form::Radius { .. } => {
                query.centre = Centre::Place(position(args, 2)?);
                query.outline = Some(circle(args, 4)?);
                6
            }
            Form::RadiusByMember { .. } => {
                if let Some(set) = set {
                    query.centre = Centre::Member(Some(of_member(set, args.get(2))?));
                    query.outline = Some(circle(args, 3)?);
                }
                5
            }
            Form::Search => 2,
            Form::SearchStore => 3,
        };
        while at < args.len() {
            let taken = match query.take_flag(args.get(at)) {
                true => 0,
                false => match query.take_option(args, at, form)? {
                    Some(taken) => taken,
                    None if form.is_search() => query.take_area(args, at, set)?,
                    None => return Err(CommandError::Syntax),
                },
            };
            at += 1 + taken;
        }
        query.check(args, form)?;
        Ok(query)
    }

    /// Takes up a word that stands alone, if it is one.
    fn take_flag(&mut self, word: &[u8]) -> bool {
        match word {
            _ if is(word, "WITHDIST") => self.with_distance = true,
            _ if is(word, "WITHHASH") => self.with_hash = true,
            _ if is(word, "WITHCOORD") => self.with_position = true,
            _ if is(word, "ANY") => self.any = true,
            _ if is(word, "ASC") => self.order = Some(Order::Ascending),
            _ if is(word, "DESC") => self.order = Some(Order::Descending),
            _ => return false,
        }
        true
    }

    /// Takes up how many, and where to store; the answer is how many words belong to the option.
    fn take_option(&mut self, args: &Args<'_>, at: usize, form: Form) -> Result<Option<usize>, CommandError> {
        let (word, left) = (args.get(at), args.len() - at - 1);
        if left >= 1 && is(word, "COUNT") {
            let count = integer(args.get(at + 1))?;
            if count <= 0 {
                return Err(CommandError::text("COUNT must be > 0"));
            }
            self.count = Some(count as usize);
            return Ok(Some(1));
        }
        let by_distance = is(word, "STOREDIST");
        if form.names_target() && left >= 1 && (by_distance || is(word, "STORE")) {
            (self.target, self.stores_distance) = (Some(at + 1), by_distance);
            return Ok(Some(1));
        }
        if form == Form::SearchStore && by_distance {
            self.stores_distance = true;
            return Ok(Some(0));
        }
        Ok(None)
    }

    /// Takes up the middle or the outline; the answer is how many words belong to it.
    fn take_area(&mut self, args: &Args<'_>, at: usize, set: Option<SortedSetRef<'_>>) -> Result<usize, CommandError> {
        let (word, left) = (args.get(at), args.len() - at - 1);
        let outline = self.outline.as_ref().map(|(outline, _)| outline);
        let is_polygon = matches!(outline, Some(Outline::Polygon { .. }));
        let may_be_circle = matches!(outline, None | Some(Outline::Circle { .. }));
        let may_be_rectangle = matches!(outline, None | Some(Outline::Rectangle { .. }));
        if left >= 1 && is(word, "FROMMEMBER") && !matches!(self.centre, Centre::Place(_)) && !is_polygon {
            self.centre = Centre::Member(set.map(|set| of_member(set, args.get(at + 1))).transpose()?);
            Ok(1)
        } else if left >= 2 && is(word, "FROMLONLAT") && !matches!(self.centre, Centre::Member(_)) && !is_polygon {
            self.centre = Centre::Place(position(args, at + 1)?);
            Ok(2)
        } else if left >= 2 && is(word, "BYRADIUS") && may_be_circle {
            self.outline = Some(circle(args, at + 1)?);
            Ok(2)
        } else if left >= 3 && is(word, "BYBOX") && may_be_rectangle {
            self.outline = Some(rectangle(args, at + 1)?);
            Ok(3)
        } else if left >= 2
            && is(word, "BYPOLYGON")
            && self.centre == Centre::Unsaid
            && (outline.is_none() || is_polygon)
        {
            let polygon = polygon(args, at + 1)?;
            let Outline::Polygon { corners } = &polygon.0 else { return Err(CommandError::Syntax) };
            let taken = 1 + 2 * corners.len();
            self.outline = Some(polygon);
            Ok(taken)
        } else {
            Err(CommandError::Syntax)
        }
    }

    /// Does all that was said fit together?
    fn check(&self, args: &Args<'_>, form: Form) -> Result<(), CommandError> {
        if self.target.is_some() && (self.with_distance || self.with_hash || self.with_position) {
            let what = if form == Form::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            let text = format!("{what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
            return Err(CommandError::owned(text));
        }
        let name = || String::from_utf8_lossy(args.get(0));
        if form.is_search() {
            let is_polygon = matches!(self.outline, Some((Outline::Polygon { .. }, _)));
            if self.centre == Centre::Unsaid && !is_polygon {
                let text = format!("exactly one of FROMMEMBER or FROMLONLAT can be specified for {}", name());
                return Err(CommandError::owned(text));
            }
            if self.outline.is_none() {
                let text = format!("exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for {}", name());
                return Err(CommandError::owned(text));
            }
        }
        if self.any && self.count.is_none() {
            return Err(CommandError::text("the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The shape; none if the set is not there whose member is its middle.
    pub(super) fn take_shape(&mut self) -> Option<Shape> {
        let (outline, unit) = self.outline.take()?;
        match (outline, self.centre) {
            (Outline::Polygon { corners }, _) => Some(Shape::polygon(corners)),
            (outline, Centre::Place(centre) | Centre::Member(Some(centre))) => {
                Some(Shape::around(centre, outline, unit))
            }
            _ => None,
        }
    }
}
