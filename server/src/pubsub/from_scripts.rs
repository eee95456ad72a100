//! PUBLISH in scripts. A script runs where nothing is known of sessions, so what it publishes is kept until it has ended, which is when
//! its changes can be seen, too. One that is begun anew elsewhere, or undone, has said nothing.

use super::publish::Origin;
use super::tables::{Kind, Tables, hash_of};
use crate::script::run;
use crate::state::State;
use ringkey_core::commands::Context;
use ringkey_core::resp::Args;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A message: its kind, its channel, and what it says.
pub type Message = (Kind, Box<[u8]>, Box<[u8]>);

thread_local! {
    /// Who listens to what, as this core knows it.
    static TABLES: RefCell<Rc<RefCell<Tables>>> = RefCell::default();
    static MESSAGES: RefCell<Vec<Message>> = const { RefCell::new(Vec::new()) };
    /// How many these are: asked for after each call, and so where nothing has to be dropped with the thread.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Scripts of this thread count those in `tables`.
pub fn share(tables: &Rc<RefCell<Tables>>) {
    TABLES.with_borrow_mut(|shared| *shared = Rc::clone(tables));
}

/// Publishes what a script says. The answer: how many clients of this core will get it; none if others are to be asked how many they have.
/// Where the script cannot wait for that, or surely does not look, each core that has any counts as one.
pub fn publish(context: &Context<'_>, kind: Kind, args: &Args<'_>) -> Option<i64> {
    let (channel, message) = (args.get(1), args.get(2));
    let hash = hash_of(kind, context.shard.key(channel).hash.hash);
    let (here, elsewhere) = TABLES.with_borrow(|tables| {
        let tables = tables.borrow();
        (tables.receivers(kind, hash, channel), tables.cores(kind, hash, channel).len())
    });
    let looks = run::keep_message((kind, channel.into(), message.into()));
    (elsewhere == 0 || !looks || !context.may_suspend).then_some((here + elsewhere) as i64)
}

/// How many messages wait.
#[inline]
pub fn mark() -> usize {
    COUNT.get()
}

/// A script has ended that published these.
pub fn say(new: &mut Vec<Message>) {
    COUNT.set(COUNT.get() + new.len());
    MESSAGES.with_borrow_mut(|messages| messages.append(new));
}

impl State {
    /// Sends what scripts have published.
    pub(super) fn publish_for_scripts(&mut self) {
        COUNT.set(0);
        for (kind, channel, message) in MESSAGES.take() {
            self.publish(kind, &channel, &message, Origin::Script);
        }
    }
}
