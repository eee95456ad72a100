//! Which core owns a key, computed from the protocol's own rule so that a test can choose keys that
//! live apart: CRC16 (XMODEM) of the key or its hash tag, 16,384 slots, contiguous ranges per core.

const SLOTS: usize = 16_384;

/// The hash slot of a key.
pub fn slot_of(key: &[u8]) -> usize {
    let mut crc: u16 = 0;
    for &byte in hashed_part(key) {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
        }
    }
    usize::from(crc) % SLOTS
}

/// The core that owns a key when `cores` of them share the slots.
pub fn core_of(key: &[u8], cores: usize) -> usize {
    slot_of(key) * cores / SLOTS
}

/// The first key of the form `prefix` + number, from `start` on, that lives on `core`.
pub fn key_on_core(prefix: &str, core: usize, cores: usize, start: usize) -> String {
    (start..)
        .map(|number| format!("{prefix}{number}"))
        .find(|key| core_of(key.as_bytes(), cores) == core)
        .expect("every core owns slots, so some number falls on it")
}

fn hashed_part(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        Some(close) if close > 0 => &rest[..close],
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_slots() {
        assert_eq!(slot_of(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"foo"), 12_182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"user1000"));
        assert_eq!(slot_of(b"foo{}{bar}"), 8_363);
    }

    #[test]
    fn a_key_for_every_core() {
        for core in 0..4 {
            assert_eq!(core_of(key_on_core("k", core, 4, 0).as_bytes(), 4), core);
        }
    }
}
