//! Keyspace events: what becomes of keys, noted as it happens, for those who subscribe to it (`notify-keyspace-events`).
//!
//! A handler tells each event where Valkey tells it. What is not asked for costs one look at a mask.

use crate::units::DbIndex;

/// Classes of events, as the letters of `notify-keyspace-events` name them, and where they are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EventClass(pub u16);

impl EventClass {
    /// `K`: on channels that are named after keys.
    pub const KEYSPACE: Self = Self(1 << 0);
    /// `E`: on channels that are named after events.
    pub const KEYEVENT: Self = Self(1 << 1);
    /// `g`: what has no type.
    pub const GENERIC: Self = Self(1 << 2);
    /// `$`: strings.
    pub const STRING: Self = Self(1 << 3);
    /// `l`: lists.
    pub const LIST: Self = Self(1 << 4);
    /// `s`: sets.
    pub const SET: Self = Self(1 << 5);
    /// `h`: hashes.
    pub const HASH: Self = Self(1 << 6);
    /// `z`: sorted sets.
    pub const ZSET: Self = Self(1 << 7);
    /// `x`: keys whose time is past, when they are removed.
    pub const EXPIRED: Self = Self(1 << 8);
    /// `e`: keys that are removed for want of memory.
    pub const EVICTED: Self = Self(1 << 9);
    /// `t`: streams.
    pub const STREAM: Self = Self(1 << 10);
    /// `m`: keys that were read and are not there. Not among `A`.
    pub const KEY_MISS: Self = Self(1 << 11);
    /// `d`: types of modules.
    pub const MODULE: Self = Self(1 << 12);
    /// `n`: new keys. Not among `A`.
    pub const NEW: Self = Self(1 << 13);

    /// Any of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Have both something in common?
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The classes that a text of letters asks for; none if a letter is none of them.
    pub fn parse(text: &[u8]) -> Option<Self> {
        const ALL: EventClass = EventClass(0b01_0111_1111_1100);
        text.iter().try_fold(Self::default(), |all, letter| {
            let class = match letter {
                b'A' => ALL,
                b'K' => Self::KEYSPACE,
                b'E' => Self::KEYEVENT,
                b'g' => Self::GENERIC,
                b'$' => Self::STRING,
                b'l' => Self::LIST,
                b's' => Self::SET,
                b'h' => Self::HASH,
                b'z' => Self::ZSET,
                b'x' => Self::EXPIRED,
                b'e' => Self::EVICTED,
                b't' => Self::STREAM,
                b'm' => Self::KEY_MISS,
                b'd' => Self::MODULE,
                b'n' => Self::NEW,
                _ => return None,
            };
            Some(all.with(class))
        })
    }
}

/// What has become of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The database.
    pub db: DbIndex,
    /// The name of the event.
    pub name: &'static str,
    /// The key.
    pub key: Box<[u8]>,
}

/// The events of a shard that nobody has been told of yet.
#[derive(Debug, Default)]
pub struct Events {
    /// What is asked for; empty while nobody could hear of anything.
    pub wanted: EventClass,
    noted: Vec<Event>,
}

impl Events {
    /// Something has become of a key.
    #[inline]
    pub fn note(&mut self, class: EventClass, name: &'static str, db: DbIndex, key: &[u8]) {
        if self.wanted.has(class) {
            self.push(Event { db, name, key: key.into() });
        }
    }

    #[cold]
    fn push(&mut self, event: Event) {
        self.noted.push(event);
    }

    /// Adds what was noted elsewhere, behind what is here.
    pub fn extend(&mut self, events: impl IntoIterator<Item = Event>) {
        self.noted.extend(events);
    }

    /// Is there nothing to be told?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    /// How much is to be told.
    #[inline]
    pub fn len(&self) -> usize {
        self.noted.len()
    }

    /// Takes back what was noted since there were `len` events.
    pub fn take_from(&mut self, len: usize) -> Vec<Event> {
        self.noted.split_off(len.min(self.noted.len()))
    }

    /// What was noted last.
    pub fn last(&self) -> Option<&Event> {
        self.noted.last()
    }

    /// Takes what is to be told, in its order.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.noted)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn letters_name_classes() {
        let all = EventClass::parse(b"A").unwrap();
        for letter in "g$lshzxetd".bytes() {
            assert!(all.has(EventClass::parse(&[letter]).unwrap()), "{}", char::from(letter));
        }
        for letter in "KEmn".bytes() {
            assert!(!all.has(EventClass::parse(&[letter]).unwrap()), "{}", char::from(letter));
        }
        assert_eq!(EventClass::parse(b"q"), None);
        assert_eq!(EventClass::parse(b""), Some(EventClass::default()));
    }

    #[test]
    fn only_what_is_wanted_is_noted() {
        let mut events = Events { wanted: EventClass::parse(b"KE$").unwrap(), ..Events::default() };
        events.note(EventClass::STRING, "set", DbIndex(1), b"a");
        events.note(EventClass::LIST, "lpush", DbIndex(1), b"a");
        assert_eq!(events.take(), [Event { db: DbIndex(1), name: "set", key: b"a"[..].into() }]);
        assert!(events.is_empty());
    }
}
