//! Large lists beside a vector.
#![allow(clippy::unwrap_used)]

use super::limit::Fill;
use super::*;
use crate::prng::Prng;

fn texts(items: Items<'_>) -> Vec<Vec<u8>> {
    items.map(|item| item.text(&mut itoa::Buffer::new()).to_vec()).collect()
}

/// A text of any shape: short, an integer, long, larger than a node.
fn any_text(prng: &mut Prng) -> Vec<u8> {
    match prng.below(20) {
        0..8 => prng.below(40).to_string().into_bytes(),
        8..10 => (prng.next_u64() as i64 >> prng.below(64)).to_string().into_bytes(),
        10..17 => vec![b'a' + prng.below(3) as u8; prng.below(6) as usize],
        17..19 => vec![b'y'; 60 + prng.below(70) as usize],
        _ => vec![b'z'; 300 + prng.below(500) as usize],
    }
}

/// Indices as clients give them are resolved by the callers: these are within or just beyond the list.
fn any_index(prng: &mut Prng, len: usize) -> usize {
    prng.below(len as u64 + 2) as usize
}

struct Pair {
    list: List,
    model: Vec<Vec<u8>>,
    large_from: usize,
}

impl Pair {
    fn new(setting: i64, large_from: usize) -> Self {
        Self { list: List::new(Fill::of_setting(setting)), model: Vec::new(), large_from }
    }

    fn item<'a>(&self, text: &'a [u8]) -> NewItem<'a> {
        NewItem { large_from: self.large_from, ..NewItem::of(text) }
    }

    fn push(&mut self, end: End, text: Vec<u8>) {
        let item = self.item(&text);
        self.list.push(end, &item);
        let at = if end == End::Head { 0 } else { self.model.len() };
        self.model.insert(at, text);
    }

    fn step(&mut self, prng: &mut Prng) {
        let end = if prng.below(2) == 0 { End::Head } else { End::Tail };
        let text = any_text(prng);
        let len = self.model.len();
        match prng.below(16) {
            0..6 => self.push(end, text),
            6..8 if len > 0 => {
                let at = if end == End::Head { 0 } else { len - 1 };
                let gone = self.model.remove(at);
                assert_eq!(self.list.end(end).unwrap().text(&mut itoa::Buffer::new()), gone);
                self.list.pop(end);
            }
            8..11 => {
                let pivot = any_text(prng);
                let found = self.model.iter().position(|text| *text == pivot);
                let item = self.item(&text);
                assert_eq!(self.list.insert_beside(&Needle::new(&pivot), end, &item), found.is_some());
                if let Some(found) = found {
                    self.model.insert(found + usize::from(end == End::Tail), text);
                }
            }
            11..13 => {
                let index = any_index(prng, len);
                let item = self.item(&text);
                assert_eq!(self.list.set(index, &item), index < len);
                if index < len {
                    self.model[index] = text;
                }
            }
            13 => {
                let most = if prng.below(3) == 0 { usize::MAX } else { prng.below(4) as usize };
                let removed = self.list.remove_equal(&Needle::new(&text), most, end);
                assert_eq!(removed, self.remove_from_model(&text, most, end));
            }
            14 if prng.below(4) == 0 => {
                let count = any_index(prng, len).min(len);
                let gone = self.list.cut(end, count);
                assert!(gone.is_none_or(|gone| gone.len() <= count && !gone.is_empty()));
                match end {
                    End::Head => drop(self.model.drain(..count)),
                    End::Tail => self.model.truncate(len - count),
                }
            }
            _ => self.compare_range(prng),
        }
    }

    fn remove_from_model(&mut self, text: &[u8], most: usize, end: End) -> usize {
        let mut at: Vec<usize> = (0..self.model.len()).filter(|&index| self.model[index] == text).collect();
        if end == End::Tail {
            at.reverse();
        }
        at.truncate(most);
        let mut index = 0;
        self.model.retain(|_| {
            index += 1;
            !at.contains(&(index - 1))
        });
        at.len()
    }

    fn compare_range(&self, prng: &mut Prng) {
        let len = self.model.len();
        let from = any_index(prng, len).min(len);
        let to = from + any_index(prng, len - from).min(len - from);
        assert_eq!(texts(self.list.items(from..to, false)), self.model[from..to]);
        let mut backward = texts(self.list.items(from..to, true));
        backward.reverse();
        assert_eq!(backward, self.model[from..to]);
    }

    fn compare(&self) {
        self.list.check();
        assert_eq!(self.list.len(), self.model.len());
        assert_eq!(texts(self.list.items(0..self.list.len(), false)), self.model);
    }
}

#[test]
fn any_changes_are_those_of_a_vector() {
    for (setting, large_from, seed) in
        [(-2, 0, 1), (-1, 0, 2), (1, 0, 3), (0, 0, 4), (3, 0, 5), (3, 60, 6), (7, 2, 7), (-2, 100, 8), (30, 0, 9)]
    {
        let mut prng = Prng::new(seed);
        let mut pair = Pair::new(setting, large_from);
        for step in 0..3000 {
            pair.step(&mut prng);
            if step % 8 == 0 {
                pair.compare();
            }
        }
        pair.compare();
        let copy = pair.list.copy();
        assert_eq!(texts(copy.items(0..copy.len(), false)), pair.model);
        let mut rest = pair.list;
        while !rest.free_some(3) {
            rest.check();
        }
        assert!(rest.is_empty());
        assert_eq!(copy.len(), pair.model.len());
    }
}

#[test]
fn nodes_are_full_and_tight() {
    for end in [End::Head, End::Tail] {
        let mut list = List::new(Fill::of_setting(-2));
        for number in 0..100_000 {
            list.push(end, &NewItem::of(format!("element:{number:010}").as_bytes()));
        }
        let bytes = list.memory_bytes(0) as f64 / list.len() as f64;
        assert!(bytes < 20.2, "{bytes} bytes an element");
        let judged = list.memory_bytes(5) as f64 / list.len() as f64;
        assert!((judged - bytes).abs() < bytes / 4.0, "{judged} bytes an element by five nodes");
    }
}

#[test]
fn a_queue_stays_small() {
    let mut list = List::new(Fill::of_setting(-2));
    for number in 0..100_000 {
        list.push(End::Tail, &NewItem::of(format!("element:{number:010}").as_bytes()));
        if list.len() > 1000 {
            list.pop(End::Head);
        }
    }
    assert!(list.memory_bytes(0) < 45_000, "{} bytes", list.memory_bytes(0));
    list.check();
}

#[test]
fn whole_nodes_come_back_to_be_freed_in_steps() {
    let mut list = List::new(Fill::of_setting(10));
    for number in 0..1000 {
        list.push(End::Tail, &NewItem::of(number.to_string().as_bytes()));
    }
    let gone = list.cut(End::Head, 455).unwrap();
    assert_eq!((gone.len(), list.len()), (450, 545));
    gone.check();
    let gone = list.cut(End::Tail, 455).unwrap();
    assert_eq!((gone.len(), list.len()), (450, 90));
    list.check();
    gone.check();
    assert_eq!(texts(list.items(0..90, false)), (455..545).map(|n| n.to_string().into_bytes()).collect::<Vec<_>>());
    assert!(list.cut(End::Tail, 4).is_none());
    assert_eq!(list.cut(End::Tail, 86).map(|gone| gone.len()), Some(86));
    assert!(list.is_empty());
}

#[test]
fn large_elements_are_alone_and_not_copied() {
    let text = Bytes::from(vec![b'x'; 10_000]);
    let mut list = List::new(Fill::of_setting(-2));
    list.push(End::Tail, &NewItem::of(b"a"));
    list.push(End::Tail, &NewItem { shared: Some(&text), ..NewItem::of(&text) });
    list.push(End::Tail, &NewItem::of(b"b"));
    assert_eq!(list.nodes.len(), 3);
    let Some(Item::Plain(bytes)) = list.items(1..2, false).next() else { panic!("it is alone") };
    assert_eq!(bytes.as_ptr(), text.as_ptr());
}
