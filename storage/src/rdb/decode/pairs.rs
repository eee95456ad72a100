//! Fields with values, and members with scores, in whichever of the older and newer forms they come.

use crate::rdb::read::{Read, Reader};
use crate::rdb::{listpack, ziplist};
use ringkey_core::value::Element;

/// Pairs that can be walked over, again if need be.
pub trait Pairs {
    /// No more pairs than that.
    fn bound(&self) -> usize;

    /// Shows all pairs, until `visit` says to stop. Did it not?
    ///
    /// # Errors
    /// Something is damaged, or `visit` finds it so.
    fn each(&mut self, visit: impl FnMut(Element<'_>, Element<'_>) -> Read<bool>) -> Read<bool>;
}

/// The bytes of a listpack.
#[derive(Debug)]
pub struct Listpack<'a>(pub &'a [u8]);

impl Pairs for Listpack<'_> {
    fn bound(&self) -> usize {
        listpack::Elements::new(self.0).map_or(0, |elements| elements.bound() / 2)
    }

    fn each(&mut self, mut visit: impl FnMut(Element<'_>, Element<'_>) -> Read<bool>) -> Read<bool> {
        let mut elements = listpack::Elements::new(self.0)?;
        while let Some((first, second)) = elements.pair()? {
            if !visit(first, second)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The bytes of a ziplist.
#[derive(Debug)]
pub struct Ziplist<'a>(pub &'a [u8]);

impl Pairs for Ziplist<'_> {
    fn bound(&self) -> usize {
        ziplist::Elements::new(self.0).map_or(0, |elements| elements.bound() / 2)
    }

    fn each(&mut self, mut visit: impl FnMut(Element<'_>, Element<'_>) -> Read<bool>) -> Read<bool> {
        let mut elements = ziplist::Elements::new(self.0)?;
        while let Some((first, second)) = elements.pair()? {
            if !visit(first, second)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The bytes of a zipmap.
#[derive(Debug)]
pub struct Zipmap<'a>(pub &'a [u8]);

impl Pairs for Zipmap<'_> {
    fn bound(&self) -> usize {
        ziplist::Fields::new(self.0).map_or(0, |fields| fields.bound())
    }

    fn each(&mut self, mut visit: impl FnMut(Element<'_>, Element<'_>) -> Read<bool>) -> Read<bool> {
        let mut fields = ziplist::Fields::new(self.0)?;
        while let Some((field, value)) = fields.take()? {
            if !visit(Element::Bytes(field), Element::Bytes(value))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// So many pairs of strings.
#[derive(Debug)]
pub struct Strings<'r, 'a> {
    /// Stands behind the pairs after a walk over all of them.
    pub reader: &'r mut Reader<'a>,
    /// How many there are.
    pub count: usize,
}

impl Pairs for Strings<'_, '_> {
    fn bound(&self) -> usize {
        self.count
    }

    fn each(&mut self, mut visit: impl FnMut(Element<'_>, Element<'_>) -> Read<bool>) -> Read<bool> {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let mut reader = *self.reader;
        for _ in 0..self.count {
            let field = reader.string(&mut first)?;
            let value = reader.string(&mut second)?;
            if !visit(field, value)? {
                return Ok(false);
            }
        }
        *self.reader = reader;
        Ok(true)
    }
}
