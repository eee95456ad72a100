//! The requests of a client that were parsed and wait for their turn.

use super::{Parsed, ReplyMode, Session};
use ringkey_core::command::Command;
use ringkey_core::resp::reply::Mark;
use ringkey_core::resp::{Args, Request, Span};

/// The words of a request that lies in the input.
pub fn in_place<'a>(spans: &'a [Span], parsed: &Parsed, input: &'a [u8]) -> Args<'a> {
    Args::new(&input[parsed.start..parsed.end], &spans[parsed.words.0 as usize..parsed.words.1 as usize], &[])
}

impl Session {
    /// The words of the next parsed request.
    pub fn args_of<'a>(&'a self, parsed: &Parsed, input: &'a [u8]) -> Args<'a> {
        self.args_at(parsed, input, 0)
    }

    /// The words of a parsed request with `owned_before` owned ones between the next one and it.
    pub fn args_at<'a>(&'a self, parsed: &Parsed, input: &'a [u8], owned_before: usize) -> Args<'a> {
        if parsed.is_owned {
            return self.owned[owned_before].args();
        }
        in_place(&self.spans, parsed, input)
    }

    /// A copy of the next parsed request, and moves behind it.
    pub fn take_request(&mut self, parsed: &Parsed, input: &[u8]) -> Request {
        let request = match parsed.is_owned {
            true => self.owned.pop_front().unwrap_or_default(),
            false => Request::copy_of(&self.args_of(parsed, input)),
        };
        self.next_parsed += 1;
        request
    }

    /// Moves behind a request whose words have been copied.
    pub fn leave_behind(&mut self, parsed: &Parsed) {
        self.next_parsed += 1;
        if parsed.is_owned {
            self.owned.pop_front();
        }
    }

    /// Notes that a command was begun.
    pub fn note_command(&mut self, row: &'static Command) {
        self.last_command = Some(row);
        self.commands += 1;
    }

    /// Takes back what was written since `before` if the client wants no reply.
    pub fn apply_reply_mode(&mut self, before: Mark) {
        match self.reply_mode {
            ReplyMode::On => {}
            ReplyMode::Off => self.output.pending.rewind(before),
            ReplyMode::SkipNext => self.reply_mode = ReplyMode::Skip,
            ReplyMode::Skip => {
                self.output.pending.rewind(before);
                self.reply_mode = ReplyMode::On;
            }
        }
    }
}
