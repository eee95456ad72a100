//! Names of nodes and shards: 40 hexadecimal digits, as Valkey has them.

use sha1::{Digest, Sha1};
use std::fmt;

/// How many digits a name has.
const DIGITS: usize = 40;

/// The name of a node or of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId([u8; DIGITS]);

impl NodeId {
    /// A name made of chance.
    pub fn from_entropy(bytes: [u8; DIGITS / 2]) -> Self {
        let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
        let mut digits = [0; DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
        }
        Self(digits)
    }

    /// The name that a text is.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; DIGITS] = text.try_into().ok()?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(Self(digits))
    }

    /// The name of a core that shows itself as a node: the same after every start, whatever the number of cores. The
    /// first core bears the name itself, so that the node of the configuration file is among those that clients see.
    pub fn of_core(self, core: u16) -> Self {
        if core == 0 {
            return self;
        }
        let mut hash = Sha1::new();
        hash.update(self.0);
        hash.update(format!(" core {core}"));
        Self::from_entropy(hash.finalize().into())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("names are made of hexadecimal digits alone")
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_forty_digits() {
        let id = NodeId::from_entropy(std::array::from_fn(|at| (at * 13) as u8));
        assert_eq!(id.as_str(), "000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7");
        assert_eq!(NodeId::parse(id.as_str().as_bytes()), Some(id));
        assert_eq!(NodeId::parse(b"000d1a27"), None);
        assert_eq!(NodeId::parse(&[b'g'; DIGITS]), None);
    }

    #[test]
    fn cores_have_names_of_their_own_that_stay() {
        let id = NodeId::from_entropy([7; 20]);
        let names: HashSet<NodeId> = (0..256).map(|core| id.of_core(core)).collect();
        assert_eq!(names.len(), 256);
        assert_eq!(id.of_core(0), id);
        // Stored by clients and tools: it must never change.
        assert_eq!(id.of_core(1).as_str(), "c0d5e59d64be489501ebc22756d6dc0f1baf8f23");
    }
}
