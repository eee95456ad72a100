//! Tests of the handlers of bitmaps: effects, encodings, and sequences beside a naive model.

#![allow(clippy::unwrap_used)]

use crate::commands::harness::Bench;
use proptest::prelude::*;

#[test]
fn what_the_journal_gets() {
    Bench::new().check_journal(&[
        ("setbit a 7 0", "1 as given"),
        ("setbit a 7 0", "0"),
        ("setbit a 7 1", "1 as given"),
        ("setbit a 7 1", "0"),
        ("setbit a 8 0", "1 as given"),
        ("getbit a 8", "0"),
        ("bitop and d a a", "1 as given"),
        ("bitop and d none", "1 as given"),
        ("bitop and d none", "0"),
        ("bitfield a get u8 0", "0"),
        ("bitfield a set u8 0 1", "0"),
        ("bitfield a set u8 0 2 incrby u8 8 1 get u8 0 incrby u8 8 0", "2 as given"),
        ("bitfield a overflow fail set u8 0 256", "0"),
        ("bitfield b overflow fail set u8 0 256", "1 as given"),
        ("bitfield c set u8 0 0 set u8 8 0", "2 as given"),
        ("bitcount a", "0"),
        ("bitpos a 1", "0"),
    ]);
}

#[test]
fn strings_of_every_encoding() {
    let mut bench = Bench::new();
    bench.check(&[
        ("set i 123", "+OK"),
        ("getbit i 2", ":1"),
        ("getbit i 24", ":0"),
        ("bitcount i", ":10"),
        ("bitop or d i", ":3"),
        ("get d", "'123'"),
        ("object encoding d", "'raw'"),
        ("setbit i 2 1", ":1"),
        ("object encoding i", "'raw'"),
        ("setbit i 7 0", ":1"),
        ("get i", "'023'"),
        ("set i 123", "+OK"),
        ("bitfield i get u8 0", "*1 :49"),
        ("object encoding i", "'int'"),
        ("bitfield i incrby u8 0 1", "*1 :50"),
        ("get i", "'223'"),
        ("setbit big 131071 1", ":0"),
        ("bitcount big", ":1"),
        ("bitpos big 1", ":131071"),
        ("bitop not d big", ":16384"),
        ("bitcount d", ":131071"),
        ("bitpos d 0", ":131071"),
        ("bitop xor d d big", ":16384"),
        ("bitpos d 0", ":131072"),
        ("setbit d 0 0", ":1"),
        ("bitcount d 0 0", ":7"),
    ]);
}

#[test]
fn what_is_lent_to_a_reply_stays_as_it_was() {
    let mut bench = Bench::new();
    bench.run("setbit big 200000 1");
    let lent = match bench.shard.database(bench.db).find(&bench.shard.key(b"big")).unwrap().value() {
        crate::keyspace::Value::Shared(bytes) => bytes.clone(),
        other => panic!("a large string is shared, not {other:?}"),
    };
    assert_eq!(bench.run("setbit big 0 1"), ":0");
    assert_eq!(lent[0], 0);
    assert_eq!(bench.run("getbit big 0"), ":1");
}

#[test]
fn the_limit_of_strings_is_obeyed() {
    let mut bench = Bench::new();
    bench.rules.bulk_bytes_max = 1024;
    let refused = "ERR bit offset is not an integer or out of range";
    bench.check(&[
        ("setbit a 8191 1", ":0"),
        ("setbit a 8192 1", refused),
        ("getbit a 8192", refused),
        ("bitfield a get u8 8192", refused),
        ("bitfield a get u8 #1024", refused),
        ("bitfield a get u8 #1023", "*1 :1"),
        ("bitfield a set u16 8191 65535", "*1 :32768"),
        ("strlen a", ":1026"),
    ]);
}

/// A bitmap as a row of bits, whole bytes of them.
#[derive(Default)]
struct Model(Vec<bool>);

impl Model {
    fn at(&self, index: usize) -> bool {
        self.0.get(index).copied().unwrap_or(false)
    }

    fn reach(&mut self, end: usize) {
        let len = self.0.len().max(end.next_multiple_of(8));
        self.0.resize(len, false);
    }

    fn integer(&self, is_signed: bool, bits: usize, offset: usize) -> i128 {
        let number = (0..bits).fold(0_i128, |number, bit| number * 2 + i128::from(self.at(offset + bit)));
        if is_signed && self.at(offset) { number - (1 << bits) } else { number }
    }

    fn put(&mut self, bits: usize, offset: usize, value: i128) {
        for bit in 0..bits {
            self.0[offset + bit] = value >> (bits - 1 - bit) & 1 != 0;
        }
    }

    fn text(&self) -> String {
        let byte = |bits: &[bool]| bits.iter().fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit));
        let bytes: Vec<u8> = self.0.chunks(8).map(byte).collect();
        format!("'{}'", bytes.escape_ascii())
    }

    /// BITFIELD with one operation: the reply.
    fn field(&mut self, field: &Field) -> String {
        let &Field { is_signed, bits, offset, add, overflow, value } = field;
        self.reach(offset + bits);
        let old = self.integer(is_signed, bits, offset);
        let (least, most) =
            if is_signed { (-1 << (bits - 1), (1 << (bits - 1)) - 1) } else { (0, (1_i128 << bits) - 1) };
        let given = if is_signed || add { i128::from(value) } else { i128::from(value as u64) };
        let wanted = if add { old + given } else { given };
        let new = match overflow {
            _ if (least..=most).contains(&wanted) => wanted,
            "WRAP" => wanted,
            "SAT" => wanted.clamp(least, most),
            _ => return "*1 $-1".into(),
        };
        self.put(bits, offset, new);
        format!("*1 :{}", if add { self.integer(is_signed, bits, offset) } else { old })
    }
}

#[derive(Debug, Clone)]
struct Field {
    is_signed: bool,
    bits: usize,
    offset: usize,
    add: bool,
    overflow: &'static str,
    value: i64,
}

#[derive(Debug, Clone)]
enum Step {
    SetBit(usize, bool),
    Field(Field),
    Read(bool, usize, usize),
    Part(i64, i64, bool, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![any::<i8>().prop_map(i64::from), any::<i32>().prop_map(i64::from), -(1_i64 << 62)..1 << 62];
    let overflow = prop_oneof![Just("WRAP"), Just("SAT"), Just("FAIL")];
    let field = (any::<bool>(), 1..=63_usize, 0..400_usize, any::<bool>(), overflow, value).prop_map(
        |(is_signed, bits, offset, add, overflow, value)| {
            let bits = if is_signed { bits + 1 } else { bits };
            Step::Field(Field { is_signed, bits, offset, add, overflow, value })
        },
    );
    prop_oneof![
        (0..400_usize, any::<bool>()).prop_map(|(at, on)| Step::SetBit(at, on)),
        field,
        (any::<bool>(), 1..=63_usize, 0..500_usize).prop_map(|(is_signed, bits, at)| Step::Read(is_signed, bits, at)),
        (-450..450_i64, -450..450_i64, any::<bool>(), any::<bool>()).prop_map(|(a, b, c, d)| Step::Part(a, b, c, d)),
    ]
}

/// The bits of `start..=end`, as BITCOUNT and BITPOS mean it.
fn part(model: &Model, start: i64, end: i64, in_bits: bool) -> std::ops::Range<usize> {
    let unit = if in_bits { 1 } else { 8 };
    let total = (model.0.len() / unit) as i64;
    let place = |at: i64| (if at < 0 { at + total } else { at }).max(0);
    let (start, end) = (place(start), place(end).min(total - 1));
    if start > end { 0..0 } else { start as usize * unit..(end as usize + 1) * unit }
}

fn check(bench: &mut Bench, model: &mut Model, step: &Step) {
    match step {
        Step::SetBit(at, on) => {
            let old = model.at(*at);
            model.reach(at + 1);
            model.0[*at] = *on;
            assert_eq!(bench.run(&format!("setbit k {at} {}", u8::from(*on))), format!(":{}", u8::from(old)));
        }
        Step::Field(field) => {
            let expected = model.field(field);
            let sign = if field.is_signed { 'i' } else { 'u' };
            let word = if field.add { "incrby" } else { "set" };
            let Field { bits, offset, overflow, value, .. } = field;
            let line = format!("bitfield k overflow {overflow} {word} {sign}{bits} {offset} {value}");
            assert_eq!(bench.run(&line), expected, "{line}");
        }
        Step::Read(is_signed, bits, at) => {
            let expected = format!("*1 :{}", model.integer(*is_signed, *bits, *at));
            let sign = if *is_signed { 'i' } else { 'u' };
            assert_eq!(bench.run(&format!("bitfield_ro k get {sign}{bits} {at}")), expected);
        }
        Step::Part(start, end, in_bits, bit) => {
            let unit = if *in_bits { "BIT" } else { "BYTE" };
            let bits = part(model, *start, *end, *in_bits);
            let counted = if *start < 0 && *end < 0 && start > end { 0..0 } else { bits.clone() };
            let count = model.0[counted].iter().filter(|bit| **bit).count();
            assert_eq!(bench.run(&format!("bitcount k {start} {end} {unit}")), format!(":{count}"));
            let found = model.0[bits.clone()].iter().position(|one| one == bit).map(|at| at + bits.start);
            let found = match model.0.is_empty() {
                true if *bit => -1,
                true => 0,
                false => found.map_or(-1, |at| at as i64),
            };
            let line = format!("bitpos k {} {start} {end} {unit}", u8::from(*bit));
            assert_eq!(bench.run(&line), format!(":{found}"), "{line}");
        }
    }
}

proptest! {
    #[test]
    fn random_steps_as_on_a_row_of_bits(steps in proptest::collection::vec(step(), 1..40)) {
        let mut bench = Bench::new();
        let mut model = Model::default();
        for step in &steps {
            check(&mut bench, &mut model, step);
            if !model.0.is_empty() {
                assert_eq!(bench.run("get k"), model.text(), "after {step:?}");
            }
        }
    }
}
