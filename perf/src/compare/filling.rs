//! What must be there before a case runs: elements of collections, added in a few large commands.
//!
//! Cases of strings need none of this, for them every key is set once (`measure`). A collection wants so many elements
//! with known names, so that the load finds them, and in an order that is no help to anybody: elements come in strides
//! through their numbers.

use crate::client::{Client, Reply};
use crate::error::PerfError;
use crate::servers::Server;
use serde::{Deserialize, Serialize};

/// Elements in a command if the filling does not say, and bytes of requests that are sent before their replies are read.
const ELEMENTS_A_COMMAND: u64 = 100;
const BATCH_BYTES: u64 = 128 * 1024;

/// How far apart elements that are added one after the other lie: this part of all, in thousandths, or a bit more.
const STRIDE_PERMILLE: u64 = 618;

/// Elements that are added to each of some keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FillStep {
    /// How each command begins, the key included; `{number}` stands for the number of the key, in twelve digits. What
    /// may be in `each` may be here, too, for the first element of a command.
    pub command: String,
    /// What each element adds to a command; `{element}` stands for its number in twelve digits, `{value}` for a value,
    /// `{digits:4}` for four digits that follow from the number without a pattern.
    #[serde(default)]
    pub each: String,
    /// How many keys.
    #[serde(default = "one")]
    pub keys: u64,
    /// How many elements each gets.
    #[serde(default = "one")]
    pub elements: u64,
    /// Elements in a command.
    #[serde(default = "hundred")]
    pub batch: u64,
    /// Do elements come in the order of their numbers?
    #[serde(default)]
    pub in_order: bool,
    /// The number of the first element.
    #[serde(default)]
    pub first: u64,
    /// From the number of one element to the next: 2 leaves every second one out.
    #[serde(default = "one")]
    pub step: u64,
}

fn one() -> u64 {
    1
}

fn hundred() -> u64 {
    ELEMENTS_A_COMMAND
}

impl FillStep {
    /// Says what is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), String> {
        if self.elements == 0 || self.keys == 0 || self.step == 0 || self.batch == 0 {
            return Err("a fill without keys, elements, steps or elements in a command".to_owned());
        }
        if self.keys > 1 && !self.command.contains("{number}") {
            return Err(format!("{}: several keys, but no {{number}} in their name", self.command));
        }
        Ok(())
    }

    /// Runs it; values are of that many bytes.
    pub fn run(&self, server: &Server, value_bytes: usize) -> Result<(), PerfError> {
        let mut client = server.client()?;
        let value = "v".repeat(value_bytes);
        let each_bytes =
            (self.each.len() + self.command.len() + value_bytes + 32) as u64 * self.batch.min(self.elements);
        let batch = (BATCH_BYTES / each_bytes).clamp(1, 1000);
        let mut waiting = 0;
        for key in 0..self.keys {
            let head = self.command.replace("{number}", &format!("{key:012}"));
            for start in (0..self.elements).step_by(self.batch as usize) {
                client.queue(&self.words(&head, start, &value));
                waiting += 1;
                if waiting == batch {
                    settle(&mut client, &self.command)?;
                    waiting = 0;
                }
            }
        }
        settle(&mut client, &self.command)
    }

    /// The command that adds the elements that come `start`-th and next.
    fn words(&self, head: &str, start: u64, value: &str) -> Vec<String> {
        let fill = |words: &str, place: u64| {
            let words = words.split(' ').filter(|word| !word.is_empty()).enumerate();
            words.map(|(index, word)| filled(word, self.element(place), index as u64, value)).collect::<Vec<_>>()
        };
        let mut words = fill(head, start);
        for place in start..(start + self.batch).min(self.elements) {
            words.extend(fill(&self.each, place));
        }
        words
    }

    /// The number of the element that comes at this place.
    fn element(&self, place: u64) -> u64 {
        let stride = if self.in_order { 1 } else { stride(self.elements) };
        let place = (u128::from(place) * u128::from(stride) % u128::from(self.elements)) as u64;
        self.first + place * self.step
    }
}

/// The word of an element that stands at `index`.
fn filled(word: &str, element: u64, index: u64, value: &str) -> String {
    let mut text = word.replace("{element}", &format!("{element:012}")).replace("{value}", value);
    let mut mixed = element << 8 | index;
    while let Some((at, digits, len)) = digits_in(&text) {
        // A step of SplitMix64 for each.
        mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let number = mixed % 10_u64.pow(digits);
        text.replace_range(at..at + len, &format!("{number:0width$}", width = digits as usize));
    }
    text
}

/// The first `{digits:4}`: where it is, how many digits, and how long it is.
fn digits_in(text: &str) -> Option<(usize, u32, usize)> {
    const HEAD: &str = "{digits:";
    let at = text.find(HEAD)?;
    let argument = &text[at + HEAD.len()..];
    let argument = &argument[..argument.find('}')?];
    let digits = argument.parse().ok().filter(|digits| (1..=12).contains(digits))?;
    Some((at, digits, HEAD.len() + argument.len() + 1))
}

fn settle(client: &mut Client, command: &str) -> Result<(), PerfError> {
    for reply in client.flush()? {
        if let Reply::Error(text) = reply {
            return Err(PerfError::Other(format!("filling with {command}: {text}")));
        }
    }
    Ok(())
}

/// A stride that comes to every one of the elements once.
fn stride(elements: u64) -> u64 {
    let mut stride = (elements * STRIDE_PERMILLE / 1000).max(1);
    while greatest_common_divisor(stride, elements) != 1 {
        stride += 1;
    }
    stride
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn step(elements: u64) -> FillStep {
        FillStep {
            command: "ZADD z:{number}".to_owned(),
            each: "{element} m:{element}:{value}".to_owned(),
            keys: 3,
            elements,
            first: 5,
            step: 2,
            batch: ELEMENTS_A_COMMAND,
            in_order: false,
        }
    }

    #[test]
    fn every_element_comes_once_and_not_in_order() {
        for elements in [1, 2, 100, 7919, 7919 * 2, 10_000] {
            let fill = step(elements);
            let mut seen = Vec::new();
            for start in (0..elements).step_by(ELEMENTS_A_COMMAND as usize) {
                let words = fill.words("ZADD z:1", start, "v");
                assert_eq!(words[..2], ["ZADD", "z:1"]);
                seen.extend(words[2..].chunks(2).map(|pair| pair[0].clone()));
            }
            let all: BTreeSet<String> = (0..elements).map(|at| format!("{:012}", 5 + at * 2)).collect();
            assert_eq!(seen.len(), all.len());
            assert!(elements < 100 || !seen.is_sorted());
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all);
        }
        assert_eq!(step(1).words("Z", 0, "xx")[1..], ["000000000005", "m:000000000005:xx"]);
    }

    #[test]
    fn one_element_a_command() {
        let fill = FillStep {
            command: "XADD s 1{element}-0 a {digits:3}.{digits:2}".to_owned(),
            each: String::new(),
            batch: 1,
            in_order: true,
            ..step(30)
        };
        let words = |start| fill.words(&fill.command, start, "v");
        assert_eq!(words(0)[..4], ["XADD", "s", "1000000000005-0", "a"]);
        assert_eq!(words(1)[2], "1000000000007-0");
        let drawn: BTreeSet<String> = (0..30).map(|start| words(start)[4].clone()).collect();
        assert!(drawn.len() > 25 && drawn.iter().all(|text| text.len() == 6 && text.parse::<f64>().is_ok()));
        assert_eq!(words(3), words(3));
        assert!(FillStep { batch: 0, ..step(1) }.check().is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(step(9).check().is_ok());
        assert!(step(0).check().is_err());
        assert!(FillStep { step: 0, ..step(1) }.check().is_err());
        assert!(FillStep { command: "ZADD z".to_owned(), ..step(1) }.check().is_err());
    }
}
