//! Patterns that somebody listens to, found by the channels that they may fit.
//!
//! A pattern begins with some bytes that stand for themselves; only patterns whose beginning is that of the channel are tried. So thousands
//! of patterns such as `user:17:*` cost a look for each length of such a beginning, not a match each.

use ringkey_core::glob::glob_match;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Who listens to one pattern.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Clients of this core, by their places in its table, in ascending order.
    pub here: Vec<u32>,
    /// Other cores with such clients, in ascending order.
    pub cores: SmallVec<[u16; 4]>,
}

/// One pattern.
#[derive(Debug)]
pub struct Pattern {
    /// Its text.
    pub text: Arc<[u8]>,
    /// Who listens to it.
    pub listeners: Listeners,
}

/// All patterns.
#[derive(Debug, Default)]
pub struct Patterns {
    by_prefix: HashMap<Box<[u8]>, Vec<Pattern>>,
    /// The place of each pattern among those with its prefix: these may be many.
    places: HashMap<Arc<[u8]>, usize>,
    /// How many of the prefixes have which length.
    lengths: BTreeMap<usize, usize>,
}

/// The bytes at the beginning of a pattern that stand for themselves.
pub fn prefix_of(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    &pattern[..end.unwrap_or(pattern.len())]
}

impl Patterns {
    /// How many different patterns there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Who listens to a pattern, if anybody does.
    pub fn find(&self, text: &[u8]) -> Option<&Pattern> {
        let place = *self.places.get(text)?;
        self.by_prefix.get(prefix_of(text))?.get(place)
    }

    /// Changes who listens to a pattern; one to which nobody listens any more is forgotten.
    pub fn change(&mut self, text: &Arc<[u8]>, change: impl FnOnce(&mut Listeners)) {
        let prefix = prefix_of(text);
        if !self.by_prefix.contains_key(prefix) {
            self.by_prefix.insert(prefix.into(), Vec::new());
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        let Some(group) = self.by_prefix.get_mut(prefix) else { return };
        let at = *self.places.entry(Arc::clone(text)).or_insert_with(|| {
            group.push(Pattern { text: Arc::clone(text), listeners: Listeners::default() });
            group.len() - 1
        });
        let listeners = &mut group[at].listeners;
        change(listeners);
        if listeners.here.is_empty() && listeners.cores.is_empty() {
            group.swap_remove(at);
            self.places.remove(text);
            if let Some(moved) = group.get(at) {
                self.places.insert(Arc::clone(&moved.text), at);
            }
            if group.len() < group.capacity() / 8 {
                group.shrink_to(2 * group.len());
            }
            if self.places.len() < self.places.capacity() / 8 {
                self.places.shrink_to(2 * self.places.len());
            }
        }
        if group.is_empty() {
            self.by_prefix.remove(prefix);
            if self.by_prefix.len() < self.by_prefix.capacity() / 8 {
                self.by_prefix.shrink_to(2 * self.by_prefix.len());
            }
            if let Some(count) = self.lengths.get_mut(&prefix.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&prefix.len());
                }
            }
        }
    }

    /// The patterns that a channel fits.
    pub fn matching<'a>(&'a self, channel: &'a [u8]) -> impl Iterator<Item = &'a Pattern> {
        let prefixes = self.lengths.range(..=channel.len()).map(|(len, _)| &channel[..*len]);
        let candidates = prefixes.filter_map(|prefix| self.by_prefix.get(prefix)).flatten();
        candidates.filter(|pattern| glob_match(&pattern.text, channel, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_stand_for_themselves() {
        for (pattern, prefix) in
            [("a*b", "a"), ("*", ""), ("abc", "abc"), ("a?c", "a"), ("a[b]", "a"), ("a\\*", "a"), ("", "")]
        {
            assert_eq!(prefix_of(pattern.as_bytes()), prefix.as_bytes(), "{pattern}");
        }
    }

    #[test]
    fn what_is_found_is_what_matches() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut word = |letters: &[u8]| -> Vec<u8> {
            (0..random.usize(0..5)).map(|_| letters[random.usize(0..letters.len())]).collect()
        };
        let mut patterns = Patterns::default();
        let texts: Vec<Arc<[u8]>> = (0..200).map(|_| word(b"ab*?").into()).collect();
        texts.iter().enumerate().for_each(|(at, text)| patterns.change(text, |who| who.here.push(at as u32)));
        let distinct: std::collections::HashSet<_> = texts.iter().collect();
        assert_eq!(patterns.len(), distinct.len());
        let mut found_any = 0;
        for _ in 0..300 {
            let channel = word(b"abc");
            let mut found: Vec<_> = patterns.matching(&channel).map(|pattern| Arc::clone(&pattern.text)).collect();
            let mut expected: Vec<_> =
                distinct.iter().filter(|text| glob_match(text, &channel, false)).map(|text| Arc::clone(text)).collect();
            found.sort();
            expected.sort();
            found_any += found.len();
            assert_eq!(found, expected, "{channel:?}");
        }
        assert!(found_any > 100);
        let distinct: Vec<&Arc<[u8]>> = distinct.into_iter().collect();
        for (at, text) in distinct.iter().enumerate() {
            patterns.change(text, |who| who.here.clear());
            assert!(patterns.find(text).is_none());
            let is_there = |other: &&Arc<[u8]>| patterns.find(other).is_some_and(|found| found.text == **other);
            assert!(distinct[at + 1..].iter().all(is_there), "the others are where they are looked for");
        }
        assert!(patterns.is_empty() && patterns.by_prefix.is_empty() && patterns.lengths.is_empty());
    }
}
