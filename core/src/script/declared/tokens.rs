//! The words of Lua 5.1. What is no Lua need not be told apart: it will not be compiled. What is Lua must be cut exactly
//! where the interpreter cuts it.

/// A token. Names and literals are as they stand in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// A name that is no keyword.
    Name(&'a [u8]),
    /// A keyword.
    Word(Word),
    /// A string that means what stands between its ends; none if it has escapes.
    Text(Option<&'a [u8]>),
    /// A number.
    Number,
    /// One or two bytes of punctuation; `...` is [`Token::Dots`].
    Sign(u8, u8),
    /// `...`
    Dots,
    /// There is no more.
    End,
}

/// The keywords.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    And,
    Break,
    Do,
    Else,
    ElseIf,
    End,
    False,
    For,
    Function,
    If,
    In,
    Local,
    Nil,
    Not,
    Or,
    Repeat,
    Return,
    Then,
    True,
    Until,
    While,
}

const WORDS: [(&[u8], Word); 21] = [
    (b"and", Word::And),
    (b"break", Word::Break),
    (b"do", Word::Do),
    (b"else", Word::Else),
    (b"elseif", Word::ElseIf),
    (b"end", Word::End),
    (b"false", Word::False),
    (b"for", Word::For),
    (b"function", Word::Function),
    (b"if", Word::If),
    (b"in", Word::In),
    (b"local", Word::Local),
    (b"nil", Word::Nil),
    (b"not", Word::Not),
    (b"or", Word::Or),
    (b"repeat", Word::Repeat),
    (b"return", Word::Return),
    (b"then", Word::Then),
    (b"true", Word::True),
    (b"until", Word::Until),
    (b"while", Word::While),
];

/// What is left of a source.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    /// All tokens of a source.
    pub fn new(source: &'a [u8]) -> Self {
        Self { rest: source }
    }

    /// The next token; nothing where this is no Lua, or where it cannot be told what it is.
    pub fn advance(&mut self) -> Option<Token<'a>> {
        self.skip_blanks()?;
        let Some(first) = self.rest.first().copied() else { return Some(Token::End) };
        match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Some(self.name()),
            b'0'..=b'9' => Some(self.number()),
            b'.' if self.rest.get(1).is_some_and(u8::is_ascii_digit) => Some(self.number()),
            b'"' | b'\'' => self.quoted(first),
            b'[' if self.long_level(0).is_some() => {
                let level = self.long_level(0)?;
                self.long_text(level)
            }
            b'.' if self.rest.starts_with(b"...") => {
                self.take(3);
                Some(Token::Dots)
            }
            b'.' if self.rest.starts_with(b"..") => self.sign(2),
            b'=' | b'<' | b'>' | b'~' if self.rest.get(1) == Some(&b'=') => self.sign(2),
            b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'#' | b'<' | b'>' | b'=' | b'(' | b')' | b'{' | b'}' | b'['
            | b']' | b';' | b':' | b',' | b'.' => self.sign(1),
            _ => None,
        }
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn sign(&mut self, len: usize) -> Option<Token<'a>> {
        let sign = self.take(len);
        Some(Token::Sign(*sign.first()?, sign.get(1).copied().unwrap_or(0)))
    }

    /// Skips blanks and comments.
    fn skip_blanks(&mut self) -> Option<()> {
        loop {
            let blanks = self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
            self.take(blanks);
            if !self.rest.starts_with(b"--") {
                return Some(());
            }
            match self.long_level(2) {
                Some(level) => {
                    self.take(2);
                    self.long_text(level)?;
                }
                None => {
                    let len = self.rest.iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')).count();
                    self.take(len);
                }
            }
        }
    }

    fn name(&mut self) -> Token<'a> {
        let len = self.rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let name = self.take(len);
        match WORDS.iter().find(|(word, _)| *word == name) {
            Some((_, word)) => Token::Word(*word),
            None => Token::Name(name),
        }
    }

    /// Digits and points, an exponent with its sign, and whatever letters and digits follow.
    fn number(&mut self) -> Token<'a> {
        let len = self.rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        self.take(len);
        if matches!(self.rest.first(), Some(b'e' | b'E')) {
            let signed = matches!(self.rest.get(1), Some(b'+' | b'-'));
            self.take(1 + usize::from(signed));
        }
        let len = self.rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        self.take(len);
        Token::Number
    }

    fn quoted(&mut self, quote: u8) -> Option<Token<'a>> {
        let (mut at, mut is_plain) = (1, true);
        loop {
            match *self.rest.get(at)? {
                byte if byte == quote => break,
                b'\n' | b'\r' => return None,
                b'\\' => {
                    is_plain = false;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        let text = self.take(at + 1).get(1..at)?;
        Some(Token::Text(is_plain.then_some(text)))
    }

    /// How many `=` stand in the opening bracket of a long text that begins here, if one does.
    fn long_level(&self, from: usize) -> Option<usize> {
        let behind = self.rest.get(from..)?.strip_prefix(b"[")?;
        let level = behind.iter().take_while(|byte| **byte == b'=').count();
        (behind.get(level) == Some(&b'[')).then_some(level)
    }

    fn long_text(&mut self, level: usize) -> Option<Token<'a>> {
        let text = self.rest.get(level + 2..)?;
        let mut at = 0;
        loop {
            at += text.get(at..)?.iter().position(|byte| matches!(byte, b']' | b'['))?;
            let behind = text.get(at + 1..)?;
            // Where brackets are nested, versions of Lua disagree about the end.
            if level == 0 && text[at] == b'[' && behind.first() == Some(&b'[') {
                return None;
            }
            let marks = behind.iter().take_while(|byte| **byte == b'=').count();
            if text[at] == b']' && marks == level && behind.get(marks) == Some(&b']') {
                break;
            }
            // The bracket behind the marks may be the first of the end.
            at += 1 + marks;
        }
        // Where they begin with the end of a line, that does not count; such texts need not be known.
        let is_plain = !text.starts_with(b"\n") && !text[..at].contains(&b'\r');
        self.take(level + 2 + at + level + 2);
        Some(Token::Text(is_plain.then_some(&text[..at])))
    }
}
