//! Calls of scripts that the process carries out, with the help of other cores where it needs that: INFO, PUBSUB and the like.
//!
//! A script runs where nothing is known of sessions and other cores. One that makes such a call is interrupted, as if it took long, and
//! leaves a [`Wish`]; it goes on when there is an answer.
#![allow(unsafe_code)]

use super::run::{self, Leave, Run};
use super::vm::{self, Vm};
use mlua::ffi::lua_State;
use ringkey_core::resp::{Args, Protocol, ReplyBuffer, Request};
use ringkey_core::units::DbIndex;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// What a script wants to be carried out.
#[derive(Debug)]
pub struct Wish {
    /// Tells it from others.
    pub number: u64,
    /// The client whose script it is.
    pub client: u64,
    /// The database that the script has chosen.
    pub db: DbIndex,
    /// The protocol of the reply.
    pub protocol: Protocol,
    /// The words of the call.
    pub request: Request,
}

thread_local! {
    static WISHES: RefCell<VecDeque<Wish>> = const { RefCell::new(VecDeque::new()) };
    /// How many wishes there have been.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// The next wish that nobody has taken.
pub fn next() -> Option<Wish> {
    WISHES.with_borrow_mut(VecDeque::pop_front)
}

/// Gives the answer to a wish. One whose script has ended meanwhile is of no use.
pub fn answer(number: u64, client: u64, reply: ReplyBuffer) {
    let vm = vm::current();
    // SAFETY: the interpreter is this thread's; what is suspended does not run.
    unsafe {
        let suspended = &(*vm).suspended;
        let asked = |fiber: *mut run::Fiber| (*fiber).run.asked == Some(number);
        if let Some((_, fiber)) = suspended.iter().find(|(other, fiber)| *other == client && asked(*fiber)) {
            (**fiber).run.answer = Some(reply);
        }
    }
}

fn leave_wish(run: &mut Run, client: u64, args: &Args<'_>) {
    let number = NEXT.get();
    NEXT.set(number + 1);
    (run.asked, run.answer) = (Some(number), None);
    let (db, protocol) = (run.unit.db, run.unit.protocol);
    let wish = Wish { number, client, db, protocol, request: Request::copy_of(args) };
    WISHES.with_borrow_mut(|wishes| wishes.push_back(wish));
}

/// Has the process carry out the call whose words are in the buffers; the reply is there afterwards. Where the run cannot be interrupted it
/// is begun anew elsewhere, or the call is refused.
///
/// # Safety
/// In a function that Lua calls, during a run, with nothing alive that would have to be dropped.
pub unsafe fn ask(vm: *mut Vm, run: *mut Run, state: *mut lua_State) {
    // SAFETY: as the function says; what is borrowed is given back before the run is interrupted.
    unsafe {
        let context = run::context(vm);
        if !(*context).may_suspend {
            if (*run).unit.is_proven || (*context).has_everything() {
                (*vm).buffers.refuse((*run).unit.protocol);
            } else {
                (*run).leave(Leave::Elsewhere);
            }
            return;
        }
        leave_wish(&mut *run, (*context).client, &(*vm).buffers.args());
        while (*run).answer.is_none() {
            run::suspend(vm, state);
            run::go_on(state);
        }
        (*run).asked = None;
        (*vm).buffers.reply = (*run).answer.take().unwrap_or_default();
    }
}
