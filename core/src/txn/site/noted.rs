//! Calls are noted for those who monitor: each once, while nobody else can touch its keys.

use super::{Call, Site, Tally};
use crate::command::Group;
use crate::observe::monitored::{NoteMark, Shown, shown};
use crate::resp::Args;
use crate::txn::batch::PutOff;

impl Site {
    /// Notes a call that has run just now, with the time of its end. Not a part of one: what is shown of those is their whole.
    #[cold]
    pub(super) fn note_monitored(&mut self, call: &Call, args: &Args<'_>) {
        if call.is_part || shown(call.row) != Shown::After {
            return;
        }
        if let Some(monitored) = &mut self.monitored {
            monitored.note(self.watch.last(), call.client, call.db, call.row, args, false);
        }
    }

    /// Notes a call that may block its client and was tried for the first time, whether or not it found something.
    #[inline]
    pub(super) fn note_attempt(&mut self, call: &Call, args: &Args<'_>) {
        if self.monitored.is_some() {
            self.watch.start();
            self.note_monitored(call, args);
        }
    }

    /// Before a call over lent data.
    #[inline]
    pub(crate) fn begin_noting(&mut self, call: &Call, args: &Args<'_>) -> NoteMark {
        let is_again = self.monitored.as_ref().is_some_and(|monitored| monitored.is_again);
        self.begin_noting_script(call, args, is_again)
    }

    /// Before a call that may be a script: that is shown before what it calls, unless it is gone on with.
    #[inline]
    pub(super) fn begin_noting_script(&mut self, call: &Call, args: &Args<'_>, is_again: bool) -> NoteMark {
        let Some(monitored) = &mut self.monitored else { return NoteMark::default() };
        let mark = monitored.mark();
        if !is_again && !call.is_part && call.row.group == Group::Scripting && shown(call.row) == Shown::Before {
            monitored.note(self.watch.ticks(), call.client, call.db, call.row, args, false);
        }
        mark
    }

    /// Behind it: what it has called happened at one moment, or not at all. `is_noted`: it needs no line of its own.
    #[inline]
    pub(crate) fn end_noting(&mut self, mark: NoteMark, call: &Call, args: &Args<'_>, tally: &Tally, is_noted: bool) {
        let Some(monitored) = &mut self.monitored else { return };
        match tally.put_off {
            Some(PutOff::Elsewhere) => {
                monitored.forget_kept(call.client);
                return monitored.forget_since(mark);
            }
            Some(PutOff::Suspended) => return monitored.keep_since(mark, call.client, self.watch.ticks()),
            Some(PutOff::Long) | None => monitored.bring_kept(mark, call.client),
        }
        let stamp = self.watch.ticks();
        monitored.unite_since(mark, stamp);
        if !is_noted && tally.put_off.is_none() && !call.is_part && shown(call.row) == Shown::After {
            monitored.note(stamp, call.client, call.db, call.row, args, false);
        }
    }
}
