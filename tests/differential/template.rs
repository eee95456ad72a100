//! Commands as templates, so that all options of a command fit into a line.
//!
//! | notation | gives |
//! |---|---|
//! | `WORD` | itself |
//! | `$name` | a word of that kind, see `words` |
//! | `[ ... ]` | what is in it, or nothing |
//! | `( ... \| ... )` | one of them |
//! | `{ ... }` | what is in it once or some times, seldom many times |

use crate::words::Words;

/// A piece of a command.
#[derive(Debug, PartialEq)]
enum Piece {
    Word(&'static str),
    Kind(&'static str),
    Maybe(Vec<Piece>),
    OneOf(Vec<Vec<Piece>>),
    Repeat(Vec<Piece>),
}

/// A command with all that it may take.
pub struct Template {
    /// The command's name.
    pub name: &'static str,
    pieces: Vec<Piece>,
}

impl Template {
    pub fn new(text: &'static str) -> Self {
        let mut tokens = text.split_whitespace().peekable();
        let pieces = sequence(&mut tokens, &[]);
        let name = text.split_whitespace().next().unwrap();
        Self { name, pieces }
    }

    /// A command.
    pub fn fill(&self, words: &mut Words) -> Vec<String> {
        let mut args = Vec::new();
        fill(&self.pieces, words, &mut args);
        args
    }
}

/// Reads pieces up to one of the ends, which is left where it is.
fn sequence(tokens: &mut std::iter::Peekable<std::str::SplitWhitespace<'static>>, ends: &[&str]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while let Some(token) = tokens.next_if(|token| !ends.contains(token)) {
        pieces.push(match token {
            "[" => Piece::Maybe(closed(tokens, "]")),
            "{" => Piece::Repeat(closed(tokens, "}")),
            "(" => {
                let mut choices = vec![sequence(tokens, &["|", ")"])];
                while tokens.next() == Some("|") {
                    choices.push(sequence(tokens, &["|", ")"]));
                }
                Piece::OneOf(choices)
            }
            _ => match token.strip_prefix('$') {
                Some(kind) => Piece::Kind(kind),
                None => Piece::Word(token),
            },
        });
    }
    pieces
}

fn closed(tokens: &mut std::iter::Peekable<std::str::SplitWhitespace<'static>>, end: &str) -> Vec<Piece> {
    let pieces = sequence(tokens, &[end]);
    assert_eq!(tokens.next(), Some(end), "a template does not close what it opens");
    pieces
}

fn fill(pieces: &[Piece], words: &mut Words, args: &mut Vec<String>) {
    for piece in pieces {
        match piece {
            Piece::Word(word) => {
                let lower = words.rng.chance(5);
                args.push(if lower { word.to_lowercase() } else { (*word).to_owned() });
            }
            Piece::Kind(kind) => words.push(kind, args),
            Piece::Maybe(pieces) => {
                if words.rng.chance(40) {
                    fill(pieces, words, args);
                }
            }
            Piece::OneOf(choices) => {
                let choice = words.rng.below(choices.len());
                fill(&choices[choice], words, args);
            }
            Piece::Repeat(pieces) => {
                let times = words.times();
                (0..times).for_each(|_| fill(pieces, words, args));
            }
        }
    }
}

#[test]
fn templates_are_read() {
    let pieces = Template::new("A $k [ B { $v } ] ( C | D E )").pieces;
    let expected = vec![
        Piece::Word("A"),
        Piece::Kind("k"),
        Piece::Maybe(vec![Piece::Word("B"), Piece::Repeat(vec![Piece::Kind("v")])]),
        Piece::OneOf(vec![vec![Piece::Word("C")], vec![Piece::Word("D"), Piece::Word("E")]]),
    ];
    assert_eq!(pieces, expected);
}
