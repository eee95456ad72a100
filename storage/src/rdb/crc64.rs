//! The checksum of payloads and files: the CRC-64 of Jones (polynomial ad93d23594c935a9, reflected, beginning with zero).

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of some bytes.
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Redis, bytes)
}

/// The checksum of bytes that come in pieces.
#[derive(Debug, Clone)]
pub struct Crc64 {
    digest: Digest,
}

impl Default for Crc64 {
    fn default() -> Self {
        Self { digest: Digest::new(CrcAlgorithm::Crc64Redis) }
    }
}

impl Crc64 {
    /// The next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The checksum of all pieces so far.
    pub fn value(&self) -> u64 {
        self.digest.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum by its definition, bit by bit.
    fn naive(bytes: &[u8]) -> u64 {
        let polynomial = 0xad93_d235_94c9_35a9_u64.reverse_bits();
        bytes.iter().fold(0, |crc, byte| {
            (0..8).fold(crc ^ u64::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { polynomial } else { 0 })
        })
    }

    #[test]
    fn the_check_value_is_known() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(b""), 0);
    }

    #[test]
    fn lengths_at_which_the_way_changes() {
        let bytes: Vec<u8> = (0..3000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        for len in (0..600).chain([1023, 1024, 1025, 2047, 3000]) {
            assert_eq!(crc64(&bytes[..len]), naive(&bytes[..len]), "{len}");
        }
    }

    #[test]
    fn pieces_are_one() {
        let bytes: Vec<u8> = (0..=255).cycle().take(2000).collect();
        for cut in [0, 1, 7, 128, 255, 256, 257, 1999, 2000] {
            let mut crc = Crc64::default();
            crc.update(&bytes[..cut]);
            crc.update(&bytes[cut..]);
            assert_eq!(crc.value(), crc64(&bytes), "{cut}");
        }
    }
}
