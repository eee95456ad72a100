//! The words that templates are filled with: few keys, so that commands meet, and much that is refused.

use ringkey_tests::rng::Rng;

const LISTS: &[&str] = &["l1", "l2", "{t}l3"];
const SETS: &[&str] = &["s1", "s2", "{t}s3", "s4"];
const HASHES: &[&str] = &["h1", "h2", "{t}h3"];
const SORTED_SETS: &[&str] = &["z1", "z2", "{t}z3", "z4"];
/// Sorted sets whose scores are all 0, because a lexical range over different scores is undefined.
const LEXICAL: &[&str] = &["y1", "y2"];
const STREAMS: &[&str] = &["t1", "t2", "{t}t3"];
const STRINGS: &[&str] = &["x1", "missing"];
const BITMAPS: &[&str] = &["b1", "b2", "{t}b3"];
/// HyperLogLogs are met by their own commands only: of what was spoilt, a refused call leaves a part changed on the reference.
const HYPERLOGLOGS: &[&str] = &["p1", "p2", "{t}p3"];
/// Lists that are sorted.
const SORTED_LISTS: &[&str] = &["q1", "q2", "{t}q3"];

/// Places of bits. None is far behind the end of a string.
const BITS: &[&str] = &[
    "0",
    "1",
    "7",
    "8",
    "13",
    "31",
    "64",
    "100",
    "1000",
    "4095",
    "70000",
    "131071",
    "-1",
    "x",
    "",
    "4294967296",
    "#1",
    "01",
];

const BIT_FIELDS: &[&str] =
    &["u1", "i1", "u5", "u8", "i8", "u16", "i17", "i32", "u63", "i64", "u64", "i65", "u0", "x8", ""];

const VALUES: &[&str] = &[
    "",
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "foo",
    "bar",
    "007",
    "1.5",
    "-0",
    "x\r\ny",
    "\0",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "4294967296",
    "-32769",
    "eleven char",
    "a value of thirty-three characters",
    "a value that is a bit longer than the sixty-four bytes of a default limit",
];

const INDEXES: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "-2",
    "3",
    "-3",
    "5",
    "-5",
    "10",
    "-10",
    "100",
    "-100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "",
    "x",
    "1.5",
    "01",
];

const SCORES: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "3",
    "5",
    "7",
    "10",
    "1.5",
    "-0.25",
    "2.75",
    "1e3",
    "inf",
    "-inf",
    "+inf",
    "0x10",
    "100000000000000000000",
    "1e-3",
    "3.0",
    "nan",
    "x",
    "",
    " 1",
    "1e400",
];

const SCORE_BOUNDS: &[&str] =
    &["-inf", "+inf", "inf", "0", "(0", "1", "(1", "(-1", "2.75", "5", "(5", "10", "(inf", "(", "x", "(x", "nan", ""];

const LEXICAL_BOUNDS: &[&str] = &["-", "+", "[a", "(a", "[c", "(c", "[foo", "(foo", "[", "(", "[5", "x", "", "--"];

const FLOATS: &[&str] =
    &["0", "1", "-1", "0.5", "-0.25", "1.5e3", "3.14159", "1e10", "100.50", "nan", "inf", "x", "", " 1", "1e400"];

/// Seconds since 1970 that no run ever comes near, some that are long past, and some that are refused.
const TIMES: &[&str] = &[
    "33177117420",
    "33177117421",
    "33177117420",
    "4000000000",
    "4000000000",
    "1",
    "0",
    "-1",
    "x",
    "9223372036854775807",
    "99999999999999",
];

const MILLISECONDS: &[&str] =
    &["33177117420123", "33177117420124", "4000000000000", "4000000000999", "1", "0", "-1", "x", "9223372036854775807"];

/// Spans: none that ends within a run.
const SPANS: &[&str] = &["100000", "100000", "200000", "0", "-1", "x", "", "9223372036854775807", "9223372036854775"];

/// Timeouts of blocking commands: short ones, and bad ones. None that waits for ever.
const TIMEOUTS: &[&str] =
    &["0.001", "0.002", "0.001", "0.002", "-1", "x", "", "1e400", "nan", "9223372036854775807000"];

const PATTERNS: &[&str] = &["*", "a*", "[a-c]", "?", "[^1]*", "1*", "foo", "*value*", ""];

/// Ids of entries, and what is none.
const IDS: &[&str] = &[
    "-",
    "+",
    "0",
    "0-0",
    "(0-0",
    "(-",
    "(",
    "x",
    "",
    "1-",
    "5-*",
    "07-+3",
    " 9",
    "18446744073709551615",
    "(18446744073709551615-18446744073709551615",
    "18446744073709551616",
];

const GROUPS: &[&str] = &["g", "g", "g", "h", "none"];
const CONSUMERS: &[&str] = &["alice", "bob", "carl", ""];

/// Times for which entries were not acknowledged: none, or longer than any run.
const IDLE: &[&str] = &["0", "0", "-1", "100000000", "x", "1000000000000"];

/// Lengths to which streams are trimmed.
const LENGTHS: &[&str] = &["0", "1", "2", "5", "10", "20", "20", "50", "100", "-1", "x"];

/// Draws words.
pub struct Words {
    pub rng: Rng,
    /// The milliseconds of the last id that was new.
    pub millis: usize,
}

impl Words {
    fn any(&mut self, words: &[&str]) -> String {
        (*self.rng.pick(words)).to_owned()
    }

    /// A key of this type, or one of another type; never a lexical one by accident.
    fn key(&mut self, own: &[&str]) -> String {
        if self.rng.chance(95) {
            return self.any(own);
        }
        let others = [LISTS, SETS, HASHES, SORTED_SETS, STREAMS, STRINGS];
        let others: Vec<&[&str]> = others.into_iter().filter(|keys| own != LEXICAL || *keys != SORTED_SETS).collect();
        let keys = *self.rng.pick(&others);
        self.any(keys)
    }

    /// How often a part repeats.
    pub fn times(&mut self) -> usize {
        match self.rng.below(100) {
            0..60 => 1,
            60..95 => 2 + self.rng.below(4),
            95..99 => 6 + self.rng.below(30),
            _ => 40 + self.rng.below(160),
        }
    }

    /// A member, field or element. Small integers are often met, so that sets of integers are.
    fn value(&mut self) -> String {
        match self.rng.below(100) {
            0..45 => (self.rng.below(60) as i64 - 20).to_string(),
            45..60 => format!("member:{}", self.rng.below(200)),
            60..62 => "long".repeat(self.rng.below(100)),
            62..63 => "big".repeat(3000),
            _ => self.any(VALUES),
        }
    }

    /// A value that is never a number, for fields that are no counters.
    fn field(&mut self) -> String {
        let number = self.rng.below(30);
        if self.rng.chance(70) { format!("f{number}") } else { self.value() }
    }

    /// An id for a new entry, most often a larger one than before. None that depends on the clock.
    fn new_id(&mut self) -> String {
        self.millis += [0, 0, 1, 1, 7, 300, 100_000][self.rng.below(7)];
        let millis = self.millis;
        match self.rng.below(10) {
            0..3 => format!("{millis}-*"),
            3..6 => millis.to_string(),
            6..9 => format!("{millis}-{}", self.rng.below(500)),
            _ => self.id(),
        }
    }

    /// An id, most often near those of entries.
    fn id(&mut self) -> String {
        if self.rng.chance(20) {
            return self.any(IDS);
        }
        let millis = self.millis.saturating_sub([0, 1, 20, 400, 5000][self.rng.below(5)]);
        let open = if self.rng.chance(15) { "(" } else { "" };
        match self.rng.below(3) {
            0 => format!("{open}{millis}"),
            1 => format!("{open}{millis}-{}", self.rng.below(4)),
            _ => format!("{open}{millis}-{}", self.rng.below(500)),
        }
    }

    /// A count and so many words; now and then the count is wrong.
    fn counted(&mut self, words: &[String], count: usize, args: &mut Vec<String>) {
        let wrong = self.rng.chance(4);
        args.push(if wrong { self.any(INDEXES) } else { count.to_string() });
        args.extend_from_slice(words);
    }

    fn counted_keys(&mut self, own: &[&str], args: &mut Vec<String>) {
        let keys: Vec<String> = (0..1 + self.rng.below(4)).map(|_| self.key(own)).collect();
        self.counted(&keys, keys.len(), args);
    }

    /// `FIELDS`, a count, fields, and with them values.
    fn fields(&mut self, with_values: bool, args: &mut Vec<String>) {
        args.push("FIELDS".to_owned());
        let count = self.times().min(20);
        let mut words = Vec::new();
        for _ in 0..count {
            words.push(self.field());
            if with_values {
                words.push(self.value());
            }
        }
        self.counted(&words, count, args);
    }

    /// Appends the words of this kind.
    pub fn push(&mut self, kind: &str, args: &mut Vec<String>) {
        let word = match kind {
            "l" => self.key(LISTS),
            "s" => self.key(SETS),
            "h" => self.key(HASHES),
            "z" => self.key(SORTED_SETS),
            "y" => self.key(LEXICAL),
            "x" => self.key(STRINGS),
            "b" => self.key(BITMAPS),
            "p" => self.key(HYPERLOGLOGS),
            "q" => self.any(SORTED_LISTS),
            "bit" => self.any(BITS),
            "field" => self.any(BIT_FIELDS),
            // A key that SORT finds by an element.
            "w" => format!("w:{}", self.value()),
            "t" => self.key(STREAMS),
            "new-id" => self.new_id(),
            "id" => self.id(),
            "group" => self.any(GROUPS),
            "consumer" => self.any(CONSUMERS),
            "idle" => self.any(IDLE),
            "length" => self.any(LENGTHS),
            "last" => "$".to_owned(),
            // Any type but lexical sorted sets.
            "k" => {
                let keys = *self.rng.pick(&[LISTS, SETS, HASHES, SORTED_SETS, STREAMS, STRINGS]);
                self.any(keys)
            }
            "#l" => return self.counted_keys(LISTS, args),
            "#s" => return self.counted_keys(SETS, args),
            "#z" => return self.counted_keys(SORTED_SETS, args),
            "#sz" => return self.counted_keys(&[SETS, SORTED_SETS, LEXICAL].concat(), args),
            "fields" => return self.fields(false, args),
            "pairs" => return self.fields(true, args),
            "v" => self.value(),
            "f" => self.field(),
            "i" => self.any(INDEXES),
            // The reference cuts the index of LSET down to 32 bits.
            "near" => (self.rng.below(20) as i64 - 10).to_string(),
            "score" => self.any(SCORES),
            "by-score" => self.any(SCORE_BOUNDS),
            "by-lex" => self.any(LEXICAL_BOUNDS),
            "float" => self.any(FLOATS),
            "at" => self.any(TIMES),
            "at-ms" => self.any(MILLISECONDS),
            "span" => self.any(SPANS),
            "timeout" => self.any(TIMEOUTS),
            "pattern" => self.any(PATTERNS),
            other => panic!("no words are called {other}"),
        };
        args.push(word);
    }

    /// All keys that there may be.
    pub fn all_keys() -> impl Iterator<Item = &'static str> {
        [LISTS, SETS, HASHES, SORTED_SETS, LEXICAL, STREAMS, STRINGS, BITMAPS, HYPERLOGLOGS, SORTED_LISTS]
            .into_iter()
            .flatten()
            .copied()
    }
}
