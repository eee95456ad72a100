//! The data of a shard on its way to another core, which works on it as on its own, and back.
//!
//! What travels is the databases: some addresses, however much they hold. Everything else of a [`Shard`] stays where it is, and so does
//! its core: who waits for keys goes on waiting, settings go on changing, counters go on counting. The borrower puts the databases
//! into a [`Shard::guest`], a shard without data of its own, which notes down what those who wait at home should hear of.

use super::database::{Database, DatabaseFigures};
use super::dict::Remains;
use super::shard::{Shard, Stats};
use super::tracked::Tracked;
use super::waiting::{Filled, Waiting};
use super::watched::Watched;
use crate::units::ShardId;
use std::collections::VecDeque;

/// The databases of a shard, away from it.
#[derive(Debug)]
pub struct Loan {
    databases: Vec<Database>,
    /// Does anybody wait for keys at home?
    is_waited_for: bool,
    /// Keys that have got something meanwhile, if so.
    filled: Vec<Filled>,
    /// Who watches these keys.
    watched: Watched,
    /// Who has read them.
    tracked: Tracked,
    /// What is left of what was flushed meanwhile.
    remains: VecDeque<Remains>,
}

impl Shard {
    /// Hands all databases over. Until they are back there is nothing in the shard, and nothing may be put into it: its core
    /// holds the lock on all of it for whoever has the loan.
    ///
    /// # Panics
    /// If they are away already.
    pub fn lend(&mut self) -> Loan {
        assert!(!self.is_lent, "data is lent once");
        let mut figures = std::mem::take(&mut self.lent_figures);
        figures.clear();
        figures.extend(self.figures_at_hand());
        self.lent_figures = figures;
        self.is_lent = true;
        if self.vacant.is_empty() {
            let slots = self.map.slots_of(self.id);
            self.vacant = self.databases.iter().map(|_| Database::new(self.hasher.clone(), slots.clone())).collect();
        }
        Loan {
            databases: std::mem::replace(&mut self.databases, std::mem::take(&mut self.vacant)),
            is_waited_for: !self.waiting.is_empty(),
            filled: Vec::new(),
            watched: std::mem::take(&mut self.watched),
            tracked: self.tracked.lend(),
            remains: VecDeque::new(),
        }
    }

    /// Takes its databases back. Keys for which somebody waits, and which have got something, are ready then.
    pub fn take_back(&mut self, loan: Loan) {
        assert!(self.is_lent, "only what was lent comes back");
        self.is_lent = false;
        let Loan { databases, filled, watched, tracked, remains, .. } = loan;
        self.vacant = std::mem::replace(&mut self.databases, databases);
        debug_assert!(self.vacant.iter().all(Database::is_empty), "nothing was put where the data was away");
        debug_assert_eq!(self.watched.clients(), 0, "nobody begins to watch what is away");
        self.watched = watched;
        self.tracked.take_back(tracked);
        std::mem::take(&mut self.late_forgets).into_iter().for_each(|client| self.watched.forget(client));
        self.remains.extend(remains);
        for Filled { db, key, .. } in filled {
            self.waiting.fill(db, &self.hasher.key(&key));
        }
    }

    fn figures_at_hand(&self) -> impl Iterator<Item = DatabaseFigures> + '_ {
        (0..).zip(&self.databases).filter_map(|(index, database)| database.figures(index))
    }

    /// What operators see of its databases. Of those that are with another core, as they were when they left.
    pub fn figures(&self) -> Vec<DatabaseFigures> {
        if self.is_lent { self.lent_figures.clone() } else { self.figures_at_hand().collect() }
    }

    /// Is its data with another core?
    #[inline]
    pub fn is_lent(&self) -> bool {
        self.is_lent
    }

    /// A shard that works on the data of shard `id` while that is lent, with the habits of `host`.
    pub fn guest(id: ShardId, host: &Self, seed: u64) -> Self {
        let mut guest = Self::new(id, host.map, 1, host.hasher.clone(), seed);
        guest.databases.clear();
        guest
    }

    /// Puts the data of a loan into a guest, which is to behave as `host`.
    pub fn lay_out(&mut self, loan: &mut Loan, host: &Self) {
        debug_assert!(self.databases.is_empty(), "a guest has one loan at a time");
        self.databases = std::mem::take(&mut loan.databases);
        self.remains = std::mem::take(&mut loan.remains);
        self.watched = std::mem::take(&mut loan.watched);
        self.tracked = std::mem::take(&mut loan.tracked);
        self.waiting = if loan.is_waited_for { Waiting::noting() } else { Waiting::default() };
        self.events.wanted = host.events.wanted;
        self.journaling = host.journaling;
        self.active_expire = host.active_expire;
        self.holds_expired = host.holds_expired;
        self.lazy_free = host.lazy_free;
    }

    /// Puts the data of a guest back into its loan, for its way home, or until it is laid out again: which keys have got something is
    /// added to what the loan knows. The answer is what the guest has counted.
    pub fn pack_up(&mut self, loan: &mut Loan) -> Stats {
        loan.databases = std::mem::take(&mut self.databases);
        loan.remains = std::mem::take(&mut self.remains);
        loan.watched = std::mem::take(&mut self.watched);
        loan.tracked = std::mem::take(&mut self.tracked);
        loan.filled.extend(std::iter::from_fn(|| self.waiting.take_ready()));
        debug_assert!(self.events.is_empty(), "its host tells what has become of keys");
        std::mem::take(&mut self.stats)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keyspace::events::EventClass;
    use crate::keyspace::waiting::{Share, Waiter};
    use crate::keyspace::{Key, KeyHasher, NewValue, ShardMap, ValueKind};
    use crate::units::DbIndex;

    const DB: DbIndex = DbIndex(1);

    fn shard(id: u16) -> Shard {
        Shard::new(ShardId(id), ShardMap::new(2), 2, KeyHasher::new([1, 2, 3, 4]), 5)
    }

    fn key_of(shard: &Shard, number: usize) -> Vec<u8> {
        let names = (0..).map(|name: u32| name.to_string().into_bytes());
        names.filter(|name| shard.owns(&shard.key(name))).nth(number).unwrap()
    }

    fn set(shard: &mut Shard, name: &[u8], value: i64) {
        let key: Key<'_> = shard.hasher.clone().key(name);
        shard.database_mut(DB).set(&key, NewValue::Int(value), None);
    }

    #[test]
    fn data_goes_and_comes_back() {
        let (mut home, host) = (shard(1), shard(0));
        let (one, two) = (key_of(&home, 0), key_of(&home, 1));
        let mut guest = Shard::guest(ShardId(1), &host, 6);
        set(&mut home, &one, 1);
        for round in 0..3 {
            let mut loan = home.lend();
            assert!(home.is_lent() && home.database(DB).is_empty());
            assert!(!home.tick(crate::units::Millis(0), 10, &mut |_, _| {}), "there is nothing to tend");
            guest.lay_out(&mut loan, &host);
            guest.check();
            assert_eq!(guest.database(DB).len(), 1 + usize::from(round > 0));
            set(&mut guest, &two, round);
            guest.pack_up(&mut loan);
            home.take_back(loan);
            assert!(!home.is_lent());
            assert_eq!(home.database(DB).len(), 2);
            home.check();
        }
        let mut loan = home.lend();
        guest.lay_out(&mut loan, &host);
        assert_eq!(guest.flush(None, true), 2);
        guest.pack_up(&mut loan);
        home.take_back(loan);
        assert_eq!((home.database(DB).len(), home.waiting_to_be_freed()), (0, 2));
    }

    #[test]
    fn who_waits_at_home_hears_of_it() {
        let (mut home, host) = (shard(1), shard(0));
        let (one, two) = (key_of(&home, 0), key_of(&home, 1));
        let mut guest = Shard::guest(ShardId(1), &host, 6);
        let fill = |guest: &mut Shard, name: &[u8]| {
            let key = guest.hasher.clone().key(name);
            guest.waiting.fill(DB, &key);
        };
        let mut loan = home.lend();
        guest.lay_out(&mut loan, &host);
        fill(&mut guest, &one);
        guest.pack_up(&mut loan);
        assert!(loan.filled.is_empty(), "nobody waits: nothing is noted");
        home.take_back(loan);
        let key = home.hasher.clone().key(&one);
        home.waiting.add(DB, &key, 1, Waiter { number: 1, kind: ValueKind::List, share: Share::Take });
        let mut loan = home.lend();
        guest.lay_out(&mut loan, &host);
        fill(&mut guest, &one);
        fill(&mut guest, &two);
        assert!(!home.waiting.has_ready());
        guest.pack_up(&mut loan);
        home.take_back(loan);
        assert_eq!(home.waiting.ready_len(), 1, "for the other key nobody waits");
        assert_eq!(*home.waiting.take_ready().unwrap().key, *one);
        assert!(!guest.waiting.has_ready());
    }

    #[test]
    fn what_the_host_wants_to_hear_is_noted() {
        let (mut home, mut host) = (shard(1), shard(0));
        let one = key_of(&home, 0);
        let note = |shard: &mut Shard, name| shard.events.note(EventClass::STRING, name, DB, &one);
        let mut guest = Shard::guest(ShardId(1), &host, 6);
        let mut loan = home.lend();
        guest.lay_out(&mut loan, &host);
        note(&mut guest, "set");
        assert!(guest.events.is_empty(), "nobody wants to hear of it");
        guest.pack_up(&mut loan);
        home.take_back(loan);
        home.events.wanted = EventClass::STRING;
        host.events.wanted = EventClass::STRING;
        note(&mut home, "set");
        let mut loan = home.lend();
        guest.lay_out(&mut loan, &host);
        note(&mut guest, "append");
        note(&mut guest, "setrange");
        let names: Vec<&str> = guest.events.take().iter().map(|event| event.name).collect();
        assert_eq!(names, ["append", "setrange"]);
        guest.pack_up(&mut loan);
        home.take_back(loan);
        assert_eq!(home.events.len(), 1, "what was noted at home before stays there");
    }

    #[test]
    fn what_is_laid_out_again_is_not_forgotten() {
        let (mut home, host) = (shard(1), shard(0));
        let names = [key_of(&home, 0), key_of(&home, 1)];
        for (number, name) in (1..).zip(&names) {
            let key = home.hasher.clone().key(name);
            home.waiting.add(DB, &key, number, Waiter { number, kind: ValueKind::List, share: Share::Take });
        }
        let mut guest = Shard::guest(ShardId(1), &host, 6);
        let mut loan = home.lend();
        for name in &names {
            guest.lay_out(&mut loan, &host);
            let key = guest.hasher.clone().key(name);
            guest.waiting.fill(DB, &key);
            guest.pack_up(&mut loan);
        }
        home.take_back(loan);
        assert_eq!(home.waiting.ready_len(), 2);
    }

    #[test]
    fn figures_of_what_is_away_are_those_of_when_it_left() {
        let (mut home, host) = (shard(1), shard(0));
        let (one, two) = (key_of(&home, 0), key_of(&home, 1));
        set(&mut home, &one, 1);
        let before = home.figures();
        assert_eq!((before.len(), before[0].index, before[0].keys), (1, DB.0, 1));
        let mut guest = Shard::guest(ShardId(1), &host, 6);
        let mut loan = home.lend();
        guest.lay_out(&mut loan, &host);
        set(&mut guest, &two, 2);
        guest.pack_up(&mut loan);
        assert_eq!(home.figures(), before);
        home.take_back(loan);
        assert_eq!(home.figures()[0].keys, 2);
    }

    #[test]
    #[should_panic(expected = "data is lent once")]
    fn data_is_not_lent_twice() {
        let mut home = shard(0);
        let _loan = home.lend();
        let _again = home.lend();
    }
}
