//! How much a node of a list holds: `list-max-listpack-size`, and what follows from it.
//!
//! Valkey measures a listpack with its head and end, which our nodes lack ([`FRAME_BYTES`]), and takes an element that is
//! about to come for its text and eight bytes ([`ENTRY_BYTES`]). Clients see by OBJECT ENCODING where a list becomes
//! large, so we count as it does.

/// What a listpack has besides its elements: six bytes in front, one behind.
pub(super) const FRAME_BYTES: usize = 7;

/// What an element is taken to need besides its text.
pub(super) const ENTRY_BYTES: usize = 8;

/// Most bytes of a node that is limited by its elements.
const COUNTED_BYTES_MAX: usize = 8192;

/// Most bytes of a node of a list that is to be one node.
const WHOLE_BYTES_MAX: usize = 1 << 30;

/// Largest number of elements that a list remembers as its limit.
const LIST_ENTRIES_MAX: i32 = 32_767;

/// The setting: a number of elements, or -1 to -5 for 4 KiB to 64 KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fill(i32);

impl Fill {
    /// No limit: what a list has that is large for us and a listpack for Valkey.
    pub const WHOLE: Self = Self(i32::MIN);

    /// The value of the setting.
    #[inline]
    pub fn of_setting(setting: i64) -> Self {
        Self(setting.clamp(-5, i64::from(i32::MAX)) as i32)
    }

    /// The same as a list remembers it.
    pub fn of_list(self) -> Self {
        Self(self.0.min(LIST_ENTRIES_MAX))
    }

    /// Would a node of so many bytes (with its frame) and elements be too large?
    #[inline]
    pub fn is_exceeded(self, framed_bytes: usize, entries: usize) -> bool {
        match self.0 {
            0.. => framed_bytes > COUNTED_BYTES_MAX || entries > self.0.max(1) as usize,
            _ => framed_bytes > self.bytes_max(),
        }
    }

    /// Is a node of so many bytes and elements at most half of what it may be? Only then a list that shrinks becomes small
    /// again, so that one on the border does not go back and forth.
    pub fn is_half(self, framed_bytes: usize, entries: usize) -> bool {
        match self.0 {
            0.. => entries <= self.0.max(1) as usize / 2,
            _ => framed_bytes <= self.bytes_max() / 2,
        }
    }

    /// Does a text of this length get a node of its own? `large_from` tells from which length on, 0: the limit does.
    #[inline]
    pub fn is_large(self, len: usize, large_from: usize) -> bool {
        match large_from {
            _ if self == Self::WHOLE => len > WHOLE_BYTES_MAX,
            0 => len > self.bytes_max(),
            _ => len >= large_from,
        }
    }

    /// Most bytes of a node, with its frame, as far as bytes limit it.
    #[inline]
    pub fn bytes_max(self) -> usize {
        match self.0 {
            0.. => COUNTED_BYTES_MAX,
            i32::MIN => WHOLE_BYTES_MAX,
            negative => 4096 << (-1 - negative),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_settings_are_bytes() {
        for (setting, bytes) in [(-1, 4096), (-2, 8192), (-3, 16384), (-4, 32768), (-5, 65536), (i64::MIN, 65536)] {
            let fill = Fill::of_setting(setting);
            assert!(!fill.is_exceeded(bytes, usize::MAX), "{setting}");
            assert!(fill.is_exceeded(bytes + 1, 1), "{setting}");
            assert!(fill.is_half(bytes / 2, usize::MAX) && !fill.is_half(bytes / 2 + 1, 1), "{setting}");
            assert!(fill.is_large(bytes + 1, 0) && !fill.is_large(bytes, 0), "{setting}");
        }
    }

    #[test]
    fn others_are_elements() {
        for (setting, entries) in [(0, 1), (1, 1), (5, 5), (i64::from(i32::MAX), i32::MAX as usize)] {
            let fill = Fill::of_setting(setting);
            assert!(!fill.is_exceeded(8192, entries) && fill.is_exceeded(8193, 1), "{setting}");
            assert!(fill.is_exceeded(1, entries + 1), "{setting}");
            assert!(fill.is_half(usize::MAX, entries / 2) && !fill.is_half(0, entries / 2 + 1), "{setting}");
        }
        assert_eq!(Fill::of_setting(40_000).of_list(), Fill::of_setting(32_767));
        assert!(Fill::of_setting(-2).is_large(100, 100) && !Fill::of_setting(-2).is_large(99, 100));
    }

    #[test]
    fn one_node_has_room_for_all() {
        assert!(!Fill::WHOLE.is_exceeded(1 << 20, 1 << 20));
        assert!(!Fill::WHOLE.is_large(100_000, 10));
    }
}
