//! The order of messages from several cores.
//!
//! A client writes to a key of another core and then publishes something: whoever listens to both, on a third core, is to get the event
//! of the key first, although the two messages take different ways. So letters with messages are numbered for all cores together. A
//! letter that may have come of another one, because its core had heard of what that core did, has a greater number. A core that finds
//! messages in its mailboxes looks into all of them once more: everything of which these may have come is there by then. What came
//! later still stays for the next pass, and the rest is delivered by number.

use crate::mailbox::letter::Notice;
use crate::state::State;

impl State {
    /// Have messages for clients come in this pass?
    pub fn has_heard_messages(&self) -> bool {
        self.heard.iter().any(|heard| number_of(heard).is_some())
    }

    /// Puts messages that came from several cores in the order in which one may have come of the other.
    pub fn order_messages(&mut self) {
        order(self.heard.make_contiguous());
    }
}

fn number_of(heard: &(usize, Notice)) -> Option<u64> {
    match &heard.1 {
        Notice::Messages(messages) => Some(messages.number),
        _ => None,
    }
}

fn order(heard: &mut [(usize, Notice)]) {
    if heard.iter().filter_map(number_of).is_sorted() {
        return;
    }
    let places: Vec<usize> = (0..heard.len()).filter(|at| number_of(&heard[*at]).is_some()).collect();
    let take = |at: &usize| std::mem::replace(&mut heard[*at], (0, Notice::Heard(0)));
    let mut messages: Vec<(usize, Notice)> = places.iter().map(take).collect();
    // Those of one core have come in their order, and stay in it.
    messages.sort_by_key(number_of);
    places.into_iter().zip(messages).for_each(|(at, message)| heard[at] = message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::publish::Messages;

    #[test]
    fn messages_change_places_and_nothing_else_does() {
        let messages = |number| Notice::Messages(Box::new(Messages::numbered(number)));
        let mut heard = vec![
            (1, messages(5)),
            (1, Notice::Heard(70)),
            (1, messages(9)),
            (2, messages(3)),
            (2, messages(6)),
            (3, Notice::Heard(71)),
        ];
        order(&mut heard);
        let shown: Vec<(usize, u64)> = heard
            .iter()
            .map(|heard| match &heard.1 {
                Notice::Heard(number) => (heard.0, *number),
                _ => (heard.0, number_of(heard).unwrap_or(0)),
            })
            .collect();
        assert_eq!(shown, [(2, 3), (1, 70), (1, 5), (2, 6), (1, 9), (3, 71)]);
    }
}
