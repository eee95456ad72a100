//! Bytes of which a range can be replaced: what packed collections are written in, be it an entry or a plain vector.

use std::ops::Range;

/// Bytes of which a range can be replaced by other bytes of any length.
pub trait Splice {
    /// The bytes.
    fn bytes(&self) -> &[u8];

    /// The bytes, to be changed where they are.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Replaces the bytes at `at`, a range within them, by `with`.
    fn splice(&mut self, at: Range<usize>, with: &[u8]);
}

impl Splice for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn splice(&mut self, at: Range<usize>, with: &[u8]) {
        let (from, old) = (at.start, at.len());
        match with.len().checked_sub(old) {
            Some(more) => {
                let end = self.len();
                self.resize(end + more, 0);
                self.copy_within(at.end..end, at.end + more);
            }
            None => {
                self.copy_within(at.end.., from + with.len());
                self.truncate(self.len() - (old - with.len()));
            }
        }
        self[from..from + with.len()].copy_from_slice(with);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_replaced() {
        let mut bytes = b"abcdef".to_vec();
        Splice::splice(&mut bytes, 1..3, b"12345");
        assert_eq!(bytes, b"a12345def");
        Splice::splice(&mut bytes, 0..6, b"");
        assert_eq!(bytes, b"def");
        Splice::splice(&mut bytes, 3..3, b"g");
        assert_eq!(bytes, b"defg");
        Splice::splice(&mut bytes, 0..0, b"c");
        assert_eq!(bytes, b"cdefg");
    }
}
