//! Which cells of a grid are searched for a shape.
//!
//! A grid is chosen that is about as coarse as the shape is large, and the cell of the shape's middle and those around it
//! are searched. Clients see in which order, if they ask for no other; and for very large shapes
//! nine cells are not enough, which Valkey accepts. So this follows it step by step.

use super::shape::{Bounds, Shape};
use super::{Cell, LATITUDES, LONGITUDES, Position, STEPS_MAX};
use smallvec::SmallVec;

/// Half the length of the equator on Mercator's map, in metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

/// How often the map is halved for a search that reaches so far, in metres.
fn steps_for(reach: f64, latitude: f64) -> u32 {
    if reach == 0.0 {
        return STEPS_MAX;
    }
    // The more metres, the fewer steps; two less, because the middle may be near the edge of its cell.
    let (mut steps, mut reach) = (-1, reach);
    while reach < MERCATOR_MAX {
        reach *= 2.0;
        steps += 1;
    }
    // Towards the poles a degree of longitude is short.
    steps -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, STEPS_MAX as i32) as u32
}

/// A cell and where its neighbours are.
#[derive(Clone, Copy)]
struct Around {
    middle: Cell,
}

impl Around {
    /// The neighbour so many columns and rows away; the map is round in both directions here.
    fn neighbour(self, columns: i32, rows: i32) -> Cell {
        let mask = (1_u32 << self.middle.steps) - 1;
        let moved = |index: u32, by: i32| if by == 0 { index } else { index.wrapping_add_signed(by) & mask };
        let Cell { column, row, steps } = self.middle;
        Cell { column: moved(column, columns), row: moved(row, rows), steps }
    }

    /// Is the shape beyond one of the neighbours?
    fn falls_short(self, bounds: &Bounds) -> bool {
        let steps = self.middle.steps;
        LATITUDES.start(self.neighbour(0, 1).row + 1, steps) < bounds.north
            || LATITUDES.start(self.neighbour(0, -1).row, steps) > bounds.south
            || LONGITUDES.start(self.neighbour(1, 0).column + 1, steps) < bounds.east
            || LONGITUDES.start(self.neighbour(-1, 0).column, steps) > bounds.west
    }
}

/// The order in which neighbours are searched: columns to the east and rows to the north.
const NEIGHBOURS: [(i32, i32); 8] = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// The cells to be searched, in their order.
pub fn cover(shape: &Shape) -> SmallVec<[Cell; 9]> {
    let (bounds, centre) = (shape.bounds(), shape.centre());
    let on_map = Position::new(centre.longitude, centre.latitude);
    let around = match on_map {
        Some(centre) => {
            let steps = steps_for(shape.reach(), centre.latitude);
            let around = Around { middle: centre.cell(steps) };
            if steps > 1 && around.falls_short(&bounds) { Around { middle: centre.cell(steps - 1) } } else { around }
        }
        // The middle of a polygon may be a pole. All of the map is searched then.
        None => Around { middle: Cell { column: 0, row: 0, steps: 1 } },
    };
    let Cell { column, row, steps } = around.middle;
    // Neighbours on a side where the shape does not leave the cell in the middle have nothing to give.
    let skips = |columns: i32, rows: i32| {
        steps >= 2
            && (rows < 0 && LATITUDES.start(row, steps) < bounds.south
                || rows > 0 && LATITUDES.start(row + 1, steps) > bounds.north
                || columns < 0 && LONGITUDES.start(column, steps) < bounds.west
                || columns > 0 && LONGITUDES.start(column + 1, steps) > bounds.east)
    };
    let mut cells: SmallVec<[Cell; 9]> = SmallVec::new();
    cells.push(around.middle);
    for (columns, rows) in NEIGHBOURS {
        let cell = around.neighbour(columns, rows);
        // In the coarsest grid two neighbours are the same cell.
        if !skips(columns, rows) && cells.last() != Some(&cell) {
            cells.push(cell);
        }
    }
    cells
}
