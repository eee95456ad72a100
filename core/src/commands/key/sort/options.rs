//! The options of SORT, and its patterns.

use crate::command::options::{Options as Words, integer, is};
use crate::keyspace::slot::slot_of;
use crate::resp::{Args, CommandError};
use crate::units::Slot;
use smallvec::SmallVec;
use std::ops::Range;

const BY_DENIED: CommandError = CommandError::text(
    "BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.",
);

const GET_DENIED: CommandError = CommandError::text(
    "GET option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.",
);

/// What a call asks for.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// DESC.
    pub is_descending: bool,
    /// ALPHA: by text, not by number.
    pub is_alpha: bool,
    /// A BY pattern without `*`: the order is that of the collection.
    pub is_unsorted: bool,
    /// BY with a `*`.
    pub by: Option<Pattern<'a>>,
    /// GET, each time it was said.
    pub gets: SmallVec<[Pattern<'a>; 4]>,
    /// LIMIT: offset and count.
    limit: (i64, i64),
    /// The argument that names the key to store under.
    pub store: Option<usize>,
}

impl<'a> Options<'a> {
    /// Reads the words behind the key. STORE is an option only of a call that `may_store`; in a cluster all keys that
    /// patterns name must be of the slot of the key.
    pub fn parse(args: &Args<'a>, may_store: bool, is_clustered: bool) -> Result<Self, CommandError> {
        let mut options = Self {
            is_descending: false,
            is_alpha: false,
            is_unsorted: false,
            by: None,
            gets: SmallVec::new(),
            limit: (0, -1),
            store: None,
        };
        let is_elsewhere = |pattern: &[u8]| is_clustered && slot_of_pattern(pattern) != Some(slot_of(args.get(1)));
        let mut words = Words::new(args, 2);
        while let Some(word) = words.word() {
            if is(word, "ASC") {
                options.is_descending = false;
            } else if is(word, "DESC") {
                options.is_descending = true;
            } else if is(word, "ALPHA") {
                options.is_alpha = true;
            } else if is(word, "LIMIT") {
                let (offset, count) = (words.value()?, words.value()?);
                options.limit = (integer(offset)?, integer(count)?);
            } else if is(word, "STORE") && may_store {
                options.store = Some(words.value_index()?);
            } else if is(word, "BY") {
                let text = words.value()?;
                match Pattern::of(text) {
                    Pattern::Element | Pattern::Nothing => options.is_unsorted = true,
                    Pattern::Key { .. } if is_elsewhere(text) => return Err(BY_DENIED),
                    pattern => options.by = Some(pattern),
                }
            } else if is(word, "GET") {
                let text = words.value()?;
                let pattern = Pattern::of(text);
                if !matches!(pattern, Pattern::Element) && is_elsewhere(text) {
                    return Err(GET_DENIED);
                }
                options.gets.push(pattern);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Which of so many elements, in their order, are wanted.
    pub fn range(&self, len: usize) -> Range<usize> {
        let within = |number: i64| usize::try_from(number).unwrap_or(0).min(len);
        let start = within(self.limit.0);
        let end = if self.limit.1 < 0 { len } else { (start + within(self.limit.1)).min(len) };
        start..end
    }

    /// The pattern by which is sorted.
    pub fn sorts_by(&self) -> Option<Pattern<'a>> {
        self.by.filter(|_| !self.is_unsorted)
    }
}

/// May a call touch keys that may be on other shards than its own? In doubt, as where it will be refused, it does not.
pub fn may_touch_any_key(args: &Args<'_>) -> bool {
    let Ok(options) = Options::parse(args, true, false) else { return false };
    let slot = slot_of(args.get(1));
    // Whatever may be taken for a key to store under: if one is elsewhere, the call does not run where its own key is.
    let is_store = |index: &usize| is(args.get(index - 1), "STORE");
    let has_target_elsewhere = (3..args.len()).filter(is_store).any(|index| slot_of(args.get(index)) != slot);
    let names_keys = |pattern: &Pattern<'_>| match pattern {
        Pattern::Key { text, .. } => has_target_elsewhere || slot_of_pattern(text) != Some(slot),
        Pattern::Element | Pattern::Nothing => false,
    };
    options.sorts_by().iter().any(names_keys) || options.gets.iter().any(names_keys)
}

/// The argument with the key that a call of SORT stores under; none if it will be refused.
pub fn target(args: &Args<'_>) -> Option<usize> {
    Options::parse(args, true, false).ok()?.store
}

/// What BY and GET name, given an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// A text without `*`: nothing.
    Nothing,
    /// The value of a key, or of a field of a hash.
    Key {
        /// The whole pattern.
        text: &'a [u8],
        /// What stands before the element in the key's name.
        before: &'a [u8],
        /// What stands behind it.
        behind: &'a [u8],
        /// The field.
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    /// The pattern that a text is. Only what comes before a zero byte is searched, as in C.
    fn of(text: &'a [u8]) -> Self {
        let searched = up_to_zero(text);
        if searched == b"#" {
            return Self::Element;
        }
        let Some(star) = searched.iter().position(|byte| *byte == b'*') else { return Self::Nothing };
        let (before, rest) = (&text[..star], star + 1);
        let arrow = searched[rest..].windows(2).position(|pair| pair == b"->").map(|at| rest + at);
        match arrow.filter(|arrow| arrow + 2 < searched.len()) {
            Some(arrow) => Self::Key { text, before, behind: &text[rest..arrow], field: Some(&text[arrow + 2..]) },
            None => Self::Key { text, before, behind: &text[rest..], field: None },
        }
    }
}

/// A text as C sees it.
pub fn up_to_zero(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == 0);
    end.map_or(text, |end| &text[..end])
}

/// The slot of every key that a pattern can name, if that can be told: from a hash tag that stands before anything that a
/// pattern of KEYS could read as more than itself.
fn slot_of_pattern(text: &[u8]) -> Option<Slot> {
    let Some(special) = text.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')) else {
        return Some(slot_of(text));
    };
    let plain = &text[..special];
    let open = plain.iter().position(|byte| *byte == b'{')?;
    let tag = plain[open + 1..].iter().position(|byte| *byte == b'}').filter(|len| *len > 0)?;
    Some(slot_of(&plain[open..open + tag + 2]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::resp::Request;

    fn key<'a>(text: &'a str, before: &'a str, behind: &'a str, field: Option<&'a str>) -> Pattern<'a> {
        let (text, before, behind) = (text.as_bytes(), before.as_bytes(), behind.as_bytes());
        Pattern::Key { text, before, behind, field: field.map(str::as_bytes) }
    }

    #[test]
    fn patterns_are_read_as_in_valkey() {
        assert_eq!(Pattern::of(b"#"), Pattern::Element);
        assert_eq!(Pattern::of(b"#\0*"), Pattern::Element);
        for text in ["", "##", "nosort", "a\0*"] {
            assert_eq!(Pattern::of(text.as_bytes()), Pattern::Nothing, "{text:?}");
        }
        for (text, before, behind, field) in [
            ("*", "", "", None),
            ("w_*_x*", "w_", "_x*", None),
            ("w_*->f", "w_", "", Some("f")),
            ("w_*:x->f->g", "w_", ":x", Some("f->g")),
            ("w_*->", "w_", "->", None),
            ("a->b_*", "a->b_", "", None),
            ("a*\0->f", "a", "\0->f", None),
            ("a*->f\0g", "a", "", Some("f\0g")),
            ("a*->\0g", "a", "->\0g", None),
        ] {
            assert_eq!(Pattern::of(text.as_bytes()), key(text, before, behind, field), "{text:?}");
        }
    }

    #[test]
    fn the_slot_of_a_pattern_is_that_of_its_tag() {
        let tag = Some(slot_of(b"tag"));
        for (text, slot) in [
            ("{tag}*", tag),
            ("w_{tag}_*->f", tag),
            ("plain", Some(slot_of(b"plain"))),
            ("*{tag}", None),
            ("{t*ag}", None),
            ("{}*{tag}", None),
            ("?{tag}*", None),
            ("{tag*", None),
            ("w_*", None),
        ] {
            assert_eq!(slot_of_pattern(text.as_bytes()), slot, "{text}");
        }
    }

    #[test]
    fn only_calls_that_need_all_shards_take_them() {
        for (line, expected) in [
            ("SORT list", false),
            ("SORT list BY nosort GET # GET fixed STORE x", false),
            ("SORT list BY w_*", true),
            ("SORT list BY w_* BY nosort", false),
            ("SORT list BY {list}*", false),
            ("SORT list BY {other}*", true),
            ("SORT {list}:1 BY {list}_* GET o_*->f", true),
            ("SORT list BY nosort GET w_*", true),
            ("SORT list BY {list}* STORE {list}", false),
            ("SORT list BY {list}* STORE other", true),
            ("SORT list GET {list}* STORE other STORE list", true),
            ("SORT list GET # STORE other", false),
            ("SORT list BY w_* LIMIT 1", false),
            ("SORT list STORE limit STORE other BY w_*", true),
        ] {
            let request = Request::new(line.split(' ').map(str::as_bytes));
            assert_eq!(may_touch_any_key(&request.args()), expected, "{line}");
        }
    }
}
