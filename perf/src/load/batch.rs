//! Fills send buffers: picks commands, writes keys and values.

use super::cluster::Router;
use super::keys::below;
use super::template::{Chunk, Program, Segment};
use crate::workload::ValueSize;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Fills the send buffers of one thread.
#[derive(Debug)]
pub(super) struct Filler<'a> {
    program: &'a Program,
    router: &'a Router,
    rng: SmallRng,
    /// The number that was drawn last.
    drawn: u64,
}

impl<'a> Filler<'a> {
    pub(super) fn new(program: &'a Program, router: &'a Router, seed: u64) -> Self {
        Self { program, router, rng: SmallRng::seed_from_u64(seed), drawn: 0 }
    }

    /// Writes what never changes; once for each buffer, which holds `capacity` requests.
    pub(super) fn prepare(&self, buffer: &mut [u8], capacity: usize) {
        if let Some(chunk) = self.program.only_chunk() {
            for copy in buffer.chunks_exact_mut(chunk.bytes.len()).take(capacity) {
                copy.copy_from_slice(&chunk.bytes);
            }
        }
    }

    /// Writes `count` requests for `node` to the start of a buffer that was prepared; gives their length in bytes.
    pub(super) fn fill(&mut self, buffer: &mut [u8], count: usize, node: u16) -> usize {
        let program = self.program;
        if let Some(chunk) = program.only_chunk() {
            let stride = chunk.bytes.len();
            for copy in buffer.chunks_exact_mut(stride).take(count) {
                self.write_numbers(chunk, copy, node);
            }
            return stride * count;
        }
        let mut at = 0;
        for _ in 0..count {
            at += self.request(&mut buffer[at..], node);
        }
        at
    }

    fn request(&mut self, buffer: &mut [u8], node: u16) -> usize {
        let program = self.program;
        let template = loop {
            let index = pick(&mut self.rng, &program.weights);
            let template = &program.templates[index];
            // A command whose key is always the same is for one node; the router has seen that each node has some.
            if template.fixed_key.as_ref().is_none_or(|key| self.router.owns(node, key)) {
                break template;
            }
        };
        let mut at = 0;
        for segment in &template.segments {
            match segment {
                Segment::Chunk(chunk) => {
                    let place = &mut buffer[at..at + chunk.bytes.len()];
                    place.copy_from_slice(&chunk.bytes);
                    self.write_numbers(chunk, place, node);
                    at += chunk.bytes.len();
                }
                Segment::Sized { before, after } => {
                    let size = self.size();
                    let mut number = itoa::Buffer::new();
                    let length = number.format(before.len() + size + after.len()).as_bytes();
                    for part in [b"$", length, b"\r\n", before, &program.body[..size], after, b"\r\n"] {
                        buffer[at..at + part.len()].copy_from_slice(part);
                        at += part.len();
                    }
                }
            }
        }
        at
    }

    fn size(&mut self) -> usize {
        match &self.program.value {
            ValueSize::Fixed(size) => *size,
            ValueSize::Uniform { min, max } => min + below(self.rng.random(), (max - min + 1) as u64) as usize,
            ValueSize::Choice(sizes) => sizes[pick(&mut self.rng, &self.program.size_weights)].size,
        }
    }

    fn write_numbers(&mut self, chunk: &Chunk, place: &mut [u8], node: u16) {
        let order = self.router.order(node);
        for hole in &chunk.holes {
            loop {
                if !hole.again {
                    self.drawn = self.program.drawer.draw(&mut self.rng, order);
                }
                write_digits(&mut place[hole.digits.clone()], self.drawn);
                match &hole.key {
                    Some(key) if !hole.again && !self.router.owns(node, &place[key.clone()]) => {}
                    _ => break,
                }
            }
        }
    }
}

/// The index of a weight, in proportion to the weights.
fn pick(rng: &mut SmallRng, summed: &[u64]) -> usize {
    if summed.len() == 1 {
        return 0;
    }
    let lot = below(rng.random(), summed[summed.len() - 1]);
    summed.partition_point(|sum| *sum <= lot)
}

/// Writes a number with leading zeros.
pub(super) fn write_digits(place: &mut [u8], number: u64) {
    const PAIRS: [[u8; 2]; 100] = {
        let mut pairs = [[0; 2]; 100];
        let mut at = 0;
        while at < 100 {
            pairs[at] = [b'0' + (at / 10) as u8, b'0' + (at % 10) as u8];
            at += 1;
        }
        pairs
    };
    let mut rest = number;
    let mut pairs = place.rchunks_exact_mut(2);
    for pair in &mut pairs {
        pair.copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    if let [first] = pairs.into_remainder() {
        *first = b'0' + (rest % 10) as u8;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::workload::{Keys, WeightedCommand, WeightedSize, Workload};

    fn render(workload: &Workload, count: usize) -> String {
        let program = Program::compile(workload, 0).unwrap();
        let router = Router::new(&[], workload, &program, 0).unwrap();
        let mut filler = Filler::new(&program, &router, 7);
        let mut buffer = vec![0; program.max_len * count];
        filler.prepare(&mut buffer, count);
        filler.fill(&mut buffer, count, 0);
        let len = filler.fill(&mut buffer, count, 0);
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn digits_are_padded() {
        for (number, text) in [(0, "00000"), (7, "00007"), (12_345, "12345"), (100, "00100")] {
            let mut place = *b"xxxxx";
            write_digits(&mut place, number);
            assert_eq!(std::str::from_utf8(&place), Ok(text));
        }
        let mut place = *b"xx";
        write_digits(&mut place, 42);
        assert_eq!(&place, b"42");
    }

    #[test]
    fn requests_differ_in_their_keys_only() {
        let keys = Keys { count: 100_000, ..Keys::default() };
        let text = render(&Workload { keys, ..Workload::default() }, 20);
        let mut seen = std::collections::BTreeSet::new();
        for request in
            text.split_inclusive("*2\r\n$3\r\nGET\r\n$16\r\nkey:0000000").filter(|part| part.contains("\r\n*2"))
        {
            seen.insert(request[..5].to_owned());
        }
        assert!(seen.len() > 15, "{seen:?}");
    }

    #[test]
    fn a_number_comes_again() {
        let then = vec!["SET {{again}}:b {value}".to_owned(), "GET {number}".to_owned()];
        let commands = vec![WeightedCommand { then, ..WeightedCommand::new("GET {{number}}:a") }];
        let keys = Keys { count: 1_000_000, ..Keys::default() };
        let sizes = [ValueSize::Fixed(3), ValueSize::Uniform { min: 1, max: 9 }];
        for value in sizes {
            let text =
                render(&Workload { commands: commands.clone(), keys: keys.clone(), value, ..Workload::default() }, 9);
            let numbers = |end: &str| -> Vec<String> {
                let lines = text.lines().filter_map(|line| line.strip_suffix(end));
                lines.map(|line| line.trim_matches(['{', '}']).to_owned()).filter(|line| line.len() == 12).collect()
            };
            assert_eq!((numbers(":a").len(), numbers(":a")), (9, numbers(":b")));
            assert!(numbers("").len() == 9 && numbers("") != numbers(":a"));
        }
    }

    #[test]
    fn mixes_follow_weights_and_sizes() {
        let commands = vec![
            WeightedCommand { weight: 8, ..WeightedCommand::new("GET {key}") },
            WeightedCommand { weight: 2, ..WeightedCommand::new("SET {key} {value}") },
        ];
        let sizes = [(5, 1), (50, 1)].map(|(size, weight)| WeightedSize { size, weight });
        let value = ValueSize::Choice(sizes.to_vec());
        let text = render(&Workload { commands, value, ..Workload::default() }, 1000);
        let count = |part: &str| text.matches(part).count();
        assert_eq!(count("GET") + count("SET"), 1000);
        assert!((150..250).contains(&count("SET")), "{}", count("SET"));
        assert_eq!(count("\r\n$5\r\n") + count("\r\n$50\r\n"), count("SET"));
        assert!(count("\r\n$5\r\n") > 50 && count("\r\n$50\r\n") > 50);
    }
}
