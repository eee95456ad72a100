//! The mesh between cores: a ring for each ordered pair, and a wake-up only for a core that sleeps.

pub mod letter;
pub mod mesh;
pub mod ring;
