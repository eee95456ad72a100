//! Is it certain that a script does not look at how many clients its messages reach? Then PUBLISH need not ask other cores.
//!
//! It is where every call that may be PUBLISH is a statement of its own, and the table of the server's functions is used in no way but to
//! call them. What is not understood is not certain.

use super::tokens::{Token, Tokens, Word};

/// Names by which a script could reach the server's functions on a way that is not seen here.
const WAYS_AROUND: [&[u8]; 7] = [b"_G", b"getfenv", b"setfenv", b"load", b"loadstring", b"loadfile", b"rawget"];

/// Is it certain?
pub fn ignores_receivers(code: &[u8]) -> bool {
    look(&mut Tokens::new(code)).unwrap_or(false)
}

fn look(tokens: &mut Tokens<'_>) -> Option<bool> {
    let mut before = Token::Sign(b';', 0);
    loop {
        let token = tokens.advance()?;
        match token {
            Token::End => return Some(true),
            Token::Name(b"redis" | b"server") => {
                let Some(last) = call(tokens, before)? else { return Some(false) };
                before = last;
            }
            Token::Name(name) if WAYS_AROUND.contains(&name) => return Some(false),
            token => before = token,
        }
    }
}

/// What follows the name of the table, up to the last token that was looked at; none if it may be a PUBLISH whose reply is used.
fn call<'a>(tokens: &mut Tokens<'a>, before: Token<'a>) -> Option<Option<Token<'a>>> {
    if tokens.advance()? != Token::Sign(b'.', 0) {
        return Some(None);
    }
    let function = tokens.advance()?;
    if !matches!(function, Token::Name(b"call" | b"pcall")) {
        return Some(matches!(function, Token::Name(_)).then_some(function));
    }
    if tokens.advance()? != Token::Sign(b'(', 0) {
        return Some(None);
    }
    let first = tokens.advance()?;
    let is_other = match first {
        Token::Text(Some(name)) => !name.eq_ignore_ascii_case(b"publish") && !name.eq_ignore_ascii_case(b"spublish"),
        _ => false,
    };
    // A name as the first word may be that of the table again; nobody writes that.
    let is_certain = (is_other || begins_statement(before)) && !matches!(first, Token::Name(b"redis" | b"server"));
    Some(is_certain.then_some(first))
}

/// Can what follows this be nothing but a statement?
fn begins_statement(before: Token<'_>) -> bool {
    match before {
        Token::Word(word) => {
            matches!(
                word,
                Word::Do | Word::Then | Word::Else | Word::Repeat | Word::End | Word::Nil | Word::True | Word::False
            )
        }
        Token::Sign(b';' | b')' | b']' | b'}', 0) | Token::Name(_) | Token::Text(_) | Token::Number | Token::Dots => {
            true
        }
        Token::Sign(..) | Token::End => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_that_nobody_looks_at() {
        for code in [
            "",
            "return 1",
            "redis.call('publish', KEYS[1], 'x')",
            "redis.call('set', KEYS[1], 'v') redis.call('PUBLISH', 'c', ARGV[1]) return redis.call('get', KEYS[1])",
            "local n = redis.call('incr', KEYS[1]); if n > 1 then redis.call(ARGV[1], ARGV[2], n) end return n",
            "for i = 1, 3 do server.pcall(\"publish\", 'c', i) end return redis.sha1hex('x')",
            "local t = {} redis.call('publish', 'c', 'x') -- return redis.call('publish')",
            "local function f(x) redis.call(x, 'c', 'm') end f('publish')",
        ] {
            assert!(ignores_receivers(code.as_bytes()), "{code}");
        }
    }

    #[test]
    fn replies_that_somebody_may_look_at() {
        for code in [
            "return redis.call('publish', 'c', 'x')",
            "local n = redis.call('Publish', 'c', 'x')",
            "return {1, redis.pcall('spublish', 'c', 'x')}",
            "if redis.call('publish', 'c', 'x') == 0 then return 1 end",
            "return 1 + redis.call(ARGV[1], 'c', 'x')",
            "local call = redis.call return call('publish', 'c', 'x')",
            "local r = redis return r.call('publish', 'c', 'x')",
            "return redis['call']('publish', 'c', 'x')",
            "return redis.call 'publish'",
            "return redis.call('pub\\108ish', 'c', 'x')",
            "return redis.call([[publish]], 'c', 'x')",
            "return _G.redis.call('publish', 'c', 'x')",
            "return not redis.call('publish', 'c', 'x')",
            "repeat until redis.call('publish', 'c', 'x') > 0",
            "return redis.call(redis.call('publish', 'c', 'x'))",
            "return 'x' .. redis.call('publish', 'c', 'x')",
            "return 'unfinished",
        ] {
            assert!(!ignores_receivers(code.as_bytes()), "{code}");
        }
    }
}
