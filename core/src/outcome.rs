//! What a command leaves behind besides its reply: effects as data, for the journal and for waiting clients.
//!
//! Handlers never touch AOF, replicas or other clients. They return an [`Outcome`] and the core loop carries it
//! out in one place and one order.

use smallvec::SmallVec;

/// The result of a command that was carried out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many changes the command made to the data set (what INFO calls changes since the last save).
    pub changes: u32,
    /// What the journal is to hold for this command.
    pub propagate: Propagate,
}

/// The canonical effect of a command.
#[derive(Debug, Default)]
pub enum Propagate {
    /// Nothing was changed.
    #[default]
    Nothing,
    /// The call as the client gave it has the same effect at any time on any replica.
    AsGiven,
    /// These calls stand for it: absolute times, final values. On the heap, because every handler returns an outcome by value
    /// and few have calls.
    Calls(Vec<EffectCall>),
}

/// One call of a canonical effect: the words of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectCall {
    /// The words, the command's name first.
    pub words: SmallVec<[Box<[u8]>; 5]>,
}

impl EffectCall {
    /// A call of these words.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self { words: words.into_iter().map(Box::from).collect() }
    }
}

impl Outcome {
    /// Nothing changed.
    #[inline]
    pub const fn unchanged() -> Self {
        Self { changes: 0, propagate: Propagate::Nothing }
    }

    /// `changes` changes; the journal takes the call as given.
    #[inline]
    pub const fn changed(changes: u32) -> Self {
        match changes {
            0 => Self::unchanged(),
            _ => Self { changes, propagate: Propagate::AsGiven },
        }
    }

    /// `changes` changes; the journal takes `calls` in place of the call.
    pub fn rewritten(changes: u32, calls: impl IntoIterator<Item = EffectCall>) -> Self {
        Self { changes, propagate: Propagate::Calls(calls.into_iter().collect()) }
    }
}
