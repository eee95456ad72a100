//! Each rule of the lock table by itself, and all of them against a model that knows only the one rule.

use proptest::prelude::*;

use super::Mode::{Exclusive, Shared};
use super::*;

const fn key(name: u64, mode: Mode) -> Request {
    Request { fingerprint: Fingerprint(name.wrapping_mul(0x9e37_79b9_7f4a_7c15)), mode }
}

fn read(names: &[u64]) -> Vec<Request> {
    names.iter().map(|name| key(*name, Shared)).collect()
}

fn write(names: &[u64]) -> Vec<Request> {
    names.iter().map(|name| key(*name, Exclusive)).collect()
}

/// A table that checks itself after each step.
#[derive(Default)]
struct Checked(LockTable);

impl Checked {
    fn keys(&mut self, owner: u64, requests: &[Request]) -> Grant {
        let grant = self.0.acquire(Owner(owner), Scope::Keys(requests));
        self.0.check();
        grant
    }

    fn whole(&mut self, owner: u64, mode: Mode) -> Grant {
        let grant = self.0.acquire(Owner(owner), Scope::Whole(mode));
        self.0.check();
        grant
    }

    fn tries(&mut self, owner: u64, requests: &[Request]) -> bool {
        let taken = self.0.try_acquire(Owner(owner), Scope::Keys(requests));
        self.0.check();
        taken
    }

    fn free(&self, requests: &[Request]) -> bool {
        self.0.is_free(Scope::Keys(requests))
    }

    fn release(&mut self, owner: u64) -> Vec<u64> {
        let mut granted = Vec::new();
        assert!(self.0.release(Owner(owner), &mut granted));
        self.0.check();
        granted.into_iter().map(|owner| owner.0).collect()
    }
}

#[test]
fn holders_know_whether_somebody_waits() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &read(&[1, 2])), Grant::Granted);
    assert_eq!(table.keys(2, &read(&[2, 3])), Grant::Granted);
    assert!(!table.0.is_waited_for(Owner(1)) && !table.0.is_waited_for(Owner(2)));
    assert_eq!(table.keys(3, &write(&[3])), Grant::Waiting);
    assert!(!table.0.is_waited_for(Owner(1)) && table.0.is_waited_for(Owner(2)));
    table.release(3);
    assert!(!table.0.is_waited_for(Owner(2)));
    assert_eq!(table.whole(4, Shared), Grant::Granted);
    assert!(!table.0.is_waited_for(Owner(1)), "nobody waits");
    assert_eq!(table.whole(5, Exclusive), Grant::Waiting);
    assert!(table.0.is_waited_for(Owner(1)) && table.0.is_waited_for(Owner(2)));
    assert!(!table.0.is_waited_for(Owner(9)), "a stranger");
}

#[test]
fn a_new_table_is_idle_and_free() {
    let table = LockTable::new();
    table.check();
    assert!(table.is_idle());
    assert!(table.is_free(Scope::Keys(&write(&[1, 2]))));
    assert!(table.is_free(Scope::Whole(Exclusive)));
}

#[test]
fn readers_share_and_writers_do_not() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &read(&[7])), Grant::Granted);
    assert_eq!(table.keys(2, &read(&[7])), Grant::Granted);
    assert_eq!(table.keys(3, &write(&[7])), Grant::Waiting);
    assert_eq!((table.0.holders(), table.0.waiters()), (2, 1));
    assert!(table.release(1).is_empty());
    assert_eq!(table.release(2), [3]);
    assert!(table.release(3).is_empty());
    assert!(table.0.is_idle());
}

#[test]
fn nobody_overtakes_a_waiter_that_it_conflicts_with() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &read(&[7])), Grant::Granted);
    assert_eq!(table.keys(2, &write(&[7])), Grant::Waiting);
    assert!(!table.free(&read(&[7])), "a reader would overtake the writer");
    assert_eq!(table.keys(3, &read(&[7])), Grant::Waiting);
    assert_eq!(table.keys(4, &read(&[7])), Grant::Waiting);
    assert_eq!(table.keys(5, &write(&[7])), Grant::Waiting);
    assert_eq!(table.release(1), [2]);
    assert_eq!(table.release(2), [3, 4]);
    assert!(table.release(3).is_empty());
    assert_eq!(table.release(4), [5]);
}

#[test]
fn a_waiter_keeps_its_place_at_every_key() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &write(&[1])), Grant::Granted);
    assert_eq!(table.keys(2, &write(&[1, 2, 3])), Grant::Waiting);
    assert_eq!(table.keys(3, &write(&[3])), Grant::Waiting);
    assert!(!table.free(&read(&[2])));
    assert!(table.free(&write(&[4])));
    assert_eq!(table.release(1), [2]);
    assert_eq!(table.release(2), [3]);
}

#[test]
fn an_owner_is_granted_once_clear_everywhere() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &write(&[1])), Grant::Granted);
    assert_eq!(table.keys(2, &write(&[2])), Grant::Granted);
    assert_eq!(table.keys(3, &write(&[1, 2])), Grant::Waiting);
    assert!(table.release(2).is_empty());
    assert_eq!(table.release(1), [3]);
}

#[test]
fn a_withdrawn_waiter_lets_those_behind_it_pass() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &read(&[7])), Grant::Granted);
    assert_eq!(table.keys(2, &write(&[7, 8])), Grant::Waiting);
    assert_eq!(table.keys(3, &read(&[8])), Grant::Waiting);
    assert_eq!(table.keys(4, &read(&[7])), Grant::Waiting);
    assert_eq!(table.release(2), [3, 4], "in the order of their arrival, whatever the order of the keys");
    assert_eq!((table.0.holders(), table.0.waiters()), (3, 0));
}

#[test]
fn repeated_keys_count_once_in_the_stronger_mode() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &[key(7, Shared), key(7, Exclusive), key(7, Shared)]), Grant::Granted);
    assert_eq!(table.keys(2, &[key(7, Exclusive), key(7, Shared)]), Grant::Waiting);
    assert_eq!(table.release(1), [2]);
    assert!(table.release(2).is_empty());

    assert_eq!(table.keys(3, &read(&[7])), Grant::Granted);
    assert!(!table.free(&[key(7, Shared), key(7, Exclusive)]));
    assert_eq!(table.keys(4, &[key(7, Shared), key(7, Exclusive)]), Grant::Waiting);
    assert_eq!(table.keys(5, &read(&[7])), Grant::Waiting);
    assert_eq!(table.release(3), [4]);
    assert_eq!(table.release(4), [5]);
}

#[test]
fn trying_takes_all_or_leaves_no_trace() {
    let mut table = Checked::default();
    assert!(table.tries(1, &write(&[1, 2])));
    assert!(!table.tries(2, &write(&[3, 2])));
    assert!(table.free(&write(&[3])));
    assert!(!table.0.release(Owner(2), &mut Vec::new()), "a failed try leaves no owner");
    assert!(table.tries(2, &write(&[3])));
    assert!(!table.0.try_acquire(Owner(3), Scope::Whole(Shared)));
    assert_eq!((table.0.holders(), table.0.waiters()), (2, 0));
}

#[test]
fn the_whole_shard_shared_goes_with_readers_only() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &read(&[1])), Grant::Granted);
    assert_eq!(table.whole(2, Shared), Grant::Granted);
    assert_eq!(table.whole(3, Shared), Grant::Granted);
    assert_eq!(table.keys(4, &read(&[1])), Grant::Granted);
    assert_eq!(table.keys(5, &[key(1, Shared), key(2, Exclusive)]), Grant::Waiting);
    assert!(!table.0.is_free(Scope::Whole(Shared)), "the waiting writer came first");
    assert!(table.release(2).is_empty());
    assert_eq!(table.release(3), [5]);
    assert_eq!(table.whole(6, Shared), Grant::Waiting);
    assert_eq!(table.release(5), [6]);
}

#[test]
fn the_whole_shard_exclusive_goes_with_nobody() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &read(&[1])), Grant::Granted);
    assert_eq!(table.whole(2, Exclusive), Grant::Waiting);
    assert_eq!(table.keys(3, &read(&[9])), Grant::Waiting);
    assert_eq!(table.keys(4, &[]), Grant::Waiting);
    assert!(!table.free(&read(&[9])) && !table.free(&[]));
    assert_eq!(table.release(1), [2]);
    assert_eq!(table.release(2), [3, 4]);
}

#[test]
fn a_waiting_whole_shard_request_is_not_overtaken() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &write(&[1])), Grant::Granted);
    assert_eq!(table.whole(2, Shared), Grant::Waiting);
    assert_eq!(table.keys(3, &read(&[9])), Grant::Granted, "both only read");
    assert_eq!(table.keys(4, &write(&[9])), Grant::Waiting);
    assert_eq!(table.whole(5, Exclusive), Grant::Waiting);
    assert_eq!(table.whole(6, Shared), Grant::Waiting);
    assert_eq!(table.keys(7, &read(&[5])), Grant::Waiting);
    assert_eq!(table.keys(8, &write(&[6])), Grant::Waiting);
    assert_eq!(table.release(1), [2]);
    assert!(table.release(2).is_empty(), "the writer is let in, but a reader holds its key");
    assert_eq!(table.release(3), [4]);
    assert_eq!(table.release(4), [5]);
    assert_eq!(table.release(5), [6, 7]);
    assert_eq!(table.release(6), [8]);
}

#[test]
fn a_withdrawn_whole_shard_request_lets_those_behind_it_pass() {
    let mut table = Checked::default();
    assert_eq!(table.whole(1, Shared), Grant::Granted);
    assert_eq!(table.whole(2, Exclusive), Grant::Waiting);
    assert_eq!(table.keys(3, &read(&[5])), Grant::Waiting);
    assert_eq!(table.whole(4, Shared), Grant::Waiting);
    assert_eq!(table.keys(5, &write(&[6])), Grant::Waiting);
    assert_eq!(table.keys(6, &read(&[7])), Grant::Waiting);
    assert_eq!(table.release(2), [3, 4, 6]);
    assert!(table.release(1).is_empty());
    assert_eq!(table.release(4), [5]);
}

#[test]
fn a_release_of_nobody_changes_nothing() {
    let mut table = Checked::default();
    assert_eq!(table.keys(1, &write(&[1])), Grant::Granted);
    assert!(!table.0.release(Owner(2), &mut Vec::new()));
    assert_eq!(table.0.holders(), 1);
}

#[test]
#[should_panic(expected = "holds or waits already")]
fn an_owner_asks_once() {
    let mut table = LockTable::new();
    let _ = table.acquire(Owner(1), Scope::Keys(&write(&[1])));
    let _ = table.acquire(Owner(1), Scope::Keys(&write(&[2])));
}

#[test]
fn released_owners_are_appended() {
    let mut table = LockTable::new();
    let mut granted = vec![Owner(99)];
    let _ = table.acquire(Owner(1), Scope::Whole(Exclusive));
    let _ = table.acquire(Owner(2), Scope::Whole(Exclusive));
    assert!(table.release(Owner(1), &mut granted));
    assert_eq!(granted, [Owner(99), Owner(2)]);
}

#[test]
fn a_great_crowd_leaves_little_memory() {
    let mut table = LockTable::new();
    let names: Vec<u64> = (0..5_000).collect();
    for owner in 0..5_000 {
        let own = [key(owner, Exclusive), key(5_000, Shared)];
        let scope = if owner % 10 == 9 { Scope::Whole(Shared) } else { Scope::Keys(&own) };
        let _ = table.acquire(Owner(owner << 48 | owner), scope);
    }
    let _ = table.acquire(Owner(u64::MAX), Scope::Keys(&write(&names)));
    let mut granted = Vec::new();
    for owner in 0..5_000 {
        assert!(table.release(Owner(owner << 48 | owner), &mut granted));
    }
    assert_eq!(granted.len(), 5_000 + 1 - 9, "all but the first nine had to wait");
    assert!(table.release(Owner(u64::MAX), &mut granted));
    assert!(table.is_idle());
    table.check();
}

#[test]
fn a_table_may_move_to_another_thread() {
    const fn moves<T: Send>() {}
    moves::<LockTable>();
}

/// What the model knows of a request.
#[derive(Clone, Debug)]
enum Wish {
    Keys(Vec<Request>),
    Whole(Mode),
}

impl Wish {
    fn scope(&self) -> Scope<'_> {
        match self {
            Self::Keys(requests) => Scope::Keys(requests),
            Self::Whole(mode) => Scope::Whole(*mode),
        }
    }

    fn admits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keys(own), Self::Keys(others)) => own.iter().all(|one| {
                let conflict = |two: &Request| (one.mode, two.mode) != (Shared, Shared);
                !others.iter().any(|two| one.fingerprint == two.fingerprint && conflict(two))
            }),
            (Self::Whole(mode), Self::Keys(keys)) | (Self::Keys(keys), Self::Whole(mode)) => {
                *mode == Shared && keys.iter().all(|request| request.mode == Shared)
            }
            (Self::Whole(one), Self::Whole(two)) => (one, two) == (&Shared, &Shared),
        }
    }
}

/// The live owners in order of arrival, and the one rule.
#[derive(Default)]
struct Model(Vec<(Owner, Wish)>);

impl Model {
    fn admits(&self, wish: &Wish) -> bool {
        self.0.iter().all(|(_, earlier)| earlier.admits(wish))
    }

    fn granted(&self) -> Vec<Owner> {
        let holds = |at: usize| self.0[..at].iter().all(|(_, earlier)| earlier.admits(&self.0[at].1));
        (0..self.0.len()).filter(|at| holds(*at)).map(|at| self.0[at].0).collect()
    }

    /// Removes the owner and tells who is granted thereby.
    fn release(&mut self, at: usize) -> Vec<Owner> {
        let before = self.granted();
        self.0.remove(at);
        self.granted().into_iter().filter(|owner| !before.contains(owner)).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(Wish),
    Try(Wish),
    Ask(Wish),
    Release(prop::sample::Index),
}

fn wish() -> impl Strategy<Value = Wish> {
    let mode = || prop_oneof![3 => Just(Shared), 2 => Just(Exclusive)];
    let request = (0_u64..6, mode()).prop_map(|(name, mode)| key(name, mode));
    prop_oneof![
        6 => prop::collection::vec(request, 0..5).prop_map(Wish::Keys),
        2 => mode().prop_map(Wish::Whole),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => wish().prop_map(Step::Acquire),
        1 => wish().prop_map(Step::Try),
        1 => wish().prop_map(Step::Ask),
        4 => any::<prop::sample::Index>().prop_map(Step::Release),
    ]
}

/// Releases one owner from both and compares whom that grants.
fn release_from_both(table: &mut LockTable, model: &mut Model, at: usize) {
    let owner = model.0[at].0;
    let expected = model.release(at);
    let mut granted = Vec::new();
    assert!(table.release(owner, &mut granted));
    assert_eq!(granted, expected);
    table.check();
}

fn perform(table: &mut LockTable, model: &mut Model, owner: Owner, step: &Step) {
    match step {
        Step::Acquire(wish) => {
            let expected = if model.admits(wish) { Grant::Granted } else { Grant::Waiting };
            assert_eq!(table.acquire(owner, wish.scope()), expected);
            model.0.push((owner, wish.clone()));
        }
        Step::Try(wish) => {
            let expected = model.admits(wish);
            assert_eq!(table.try_acquire(owner, wish.scope()), expected);
            if expected {
                model.0.push((owner, wish.clone()));
            }
        }
        Step::Ask(wish) => assert_eq!(table.is_free(wish.scope()), model.admits(wish)),
        Step::Release(at) if !model.0.is_empty() => release_from_both(table, model, at.index(model.0.len())),
        Step::Release(_) => assert!(!table.release(owner, &mut Vec::new())),
    }
    table.check();
    let holders = model.granted().len();
    assert_eq!((table.holders(), table.waiters()), (holders, model.0.len() - holders));
    assert_eq!(table.is_idle(), model.0.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_does_what_the_one_rule_says(steps in prop::collection::vec(step(), 1..120)) {
        let mut table = LockTable::new();
        let mut model = Model::default();
        for (at, step) in steps.iter().enumerate() {
            // Owners come from several cores and are not in the order of their arrival.
            let owner = Owner((at as u64 % 3) << 48 | (steps.len() - at) as u64);
            perform(&mut table, &mut model, owner, step);
        }
        while !model.0.is_empty() {
            prop_assert!(table.holders() > 0, "the oldest never waits");
            release_from_both(&mut table, &mut model, 0);
        }
        prop_assert!(table.is_idle());
    }
}
