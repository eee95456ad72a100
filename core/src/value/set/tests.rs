//! Sets of all forms beside a `BTreeSet`, with limits that make them change.
#![allow(clippy::unwrap_used)]

use super::*;
use std::collections::BTreeSet;

fn hasher() -> KeyHasher {
    KeyHasher::new([1, 2, 3, 4])
}

fn limits(integers: usize, entries: usize, bytes: usize) -> Limits {
    Limits { set_intset_entries: integers, set_entries: entries, set_value_bytes: bytes, ..Limits::default() }
}

fn fresh(form: SetForm) -> OwnedEntry {
    OwnedEntry::new(b"set", SetMut::empty(form, &hasher()), None)
}

fn filled(members: &[&str], limits: &Limits) -> OwnedEntry {
    let mut entry = OwnedEntry::new(b"set", SetMut::fresh(members[0].as_bytes(), 1, limits, &hasher()), None);
    for member in members {
        assert!(SetMut::new(&mut entry, limits, &hasher()).insert(member.as_bytes()));
    }
    entry
}

fn texts(set: SetRef<'_>) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = set.iter().map(|member| member.text(&mut itoa::Buffer::new()).to_vec()).collect();
    texts.sort();
    texts
}

fn form(set: SetRef<'_>) -> SetForm {
    match set {
        SetRef::Integers(_) => SetForm::Integers,
        SetRef::Packed(_) => SetForm::Packed,
        SetRef::Large(_) => SetForm::Large,
    }
}

fn member(prng: &mut Prng, kinds: u64) -> Vec<u8> {
    let number = prng.below(60) as i64 - 20;
    match prng.below(kinds) {
        0 => number.to_string(),
        1 => (number << 40).to_string(),
        2 => format!("0{number}"),
        3 => format!("text:{number}"),
        _ => "x".repeat(prng.below(12) as usize),
    }
    .into_bytes()
}

#[test]
fn a_set_is_like_a_set_whatever_its_form() {
    let hasher = hasher();
    let mut changes = BTreeSet::new();
    for seed in 0..60 {
        let mut prng = Prng::new(seed);
        let limits = limits(prng.below(40) as usize, prng.below(30) as usize, 6 + prng.below(8) as usize);
        let mut model: BTreeSet<Vec<u8>> = BTreeSet::new();
        let first = member(&mut prng, 5);
        let mut entry = OwnedEntry::new(b"set", SetMut::fresh(&first, 1, &limits, &hasher), None);
        for step in 0..300 {
            let text = member(&mut prng, 1 + seed % 5);
            let before = form(SetRef::of(&entry.as_ref()).unwrap());
            let mut set = SetMut::new(&mut entry, &limits, &hasher);
            match prng.below(10) {
                0..6 => {
                    let put_in = model.insert(text.clone());
                    let element = Element::of(&text);
                    let done = if step % 2 == 0 { set.insert(&text) } else { set.insert_member(element) };
                    assert_eq!(done, put_in);
                }
                6..8 => assert_eq!(set.remove(&text), model.remove(&text)),
                8 => {
                    let taken = set.take_random(&mut prng, |member| member.text(&mut itoa::Buffer::new()).to_vec());
                    assert_eq!(taken.is_some(), !model.is_empty());
                    assert!(taken.is_none_or(|taken| model.remove(&taken)));
                }
                _ => {
                    let random = set.as_ref().random(&mut prng);
                    assert_eq!(random.is_some(), !model.is_empty());
                    let contains = |member: Member<'_>| model.contains(member.text(&mut itoa::Buffer::new()));
                    assert!(random.is_none_or(contains));
                }
            }
            let reference = entry.as_ref();
            let set = SetRef::of(&reference).unwrap();
            assert_eq!(texts(set), model.iter().cloned().collect::<Vec<_>>());
            assert_eq!((set.len(), set.contains(&text)), (model.len(), model.contains(&text)));
            assert_eq!(set.contains_member(Element::of(&text)), model.contains(&text));
            assert_eq!(reference.is_bare(), model.is_empty());
            changes.insert((before as u8, form(set) as u8));
        }
    }
    assert_eq!(changes.len(), 6, "three forms and the three ways on: {changes:?}");
}

#[test]
fn forms_change_where_valkey_changes_them() {
    let check = |members: &[&str], limits: &Limits, expected: SetForm| {
        let entry = filled(members, limits);
        assert_eq!(form(SetRef::of(&entry.as_ref()).unwrap()), expected, "{members:?} {limits:?}");
    };
    check(&["1", "2", "3"], &limits(3, 1, 64), SetForm::Integers);
    check(&["1", "2", "3"], &limits(2, 128, 64), SetForm::Large);
    check(&["1", "2", "a"], &limits(3, 3, 64), SetForm::Packed);
    check(&["1", "2", "a"], &limits(3, 2, 64), SetForm::Large);
    check(&["a", "1", "2"], &limits(3, 3, 64), SetForm::Packed);
    check(&["a", "b", "c"], &limits(3, 2, 64), SetForm::Large);
    check(&["123456", "a"], &limits(3, 3, 5), SetForm::Large);
    check(&["-12345", "a"], &limits(3, 3, 5), SetForm::Large);
    check(&["a", "123456"], &limits(3, 3, 5), SetForm::Large);
    check(&["a", "bbbbbb"], &limits(3, 3, 5), SetForm::Large);
    check(&["1", "01"], &limits(3, 3, 5), SetForm::Packed);
}

#[test]
fn many_that_are_to_come_make_a_table_at_once() {
    let (hasher, limits) = (hasher(), limits(4, 3, 64));
    let made = |member: &str, count| {
        let entry = OwnedEntry::new(b"set", SetMut::fresh(member.as_bytes(), count, &limits, &hasher), None);
        form(SetRef::of(&entry.as_ref()).unwrap())
    };
    assert_eq!((made("1", 4), made("1", 5)), (SetForm::Integers, SetForm::Large));
    assert_eq!((made("a", 3), made("a", 4)), (SetForm::Packed, SetForm::Large));
    for (first, coming, expected) in
        [("1", 4, SetForm::Integers), ("1", 5, SetForm::Large), ("a", 3, SetForm::Packed), ("a", 4, SetForm::Large)]
    {
        let mut entry = filled(&[first], &limits);
        SetMut::new(&mut entry, &limits, &hasher).expect(coming);
        let set = entry.as_ref();
        let set = SetRef::of(&set).unwrap();
        assert_eq!((form(set), texts(set)), (expected, vec![first.as_bytes().to_vec()]));
    }
}

#[test]
fn what_commands_put_together_becomes_integers_if_it_is() {
    let hasher = hasher();
    let settled = |members: &[&str], from: SetForm, integers: usize| {
        let mut entry = fresh(from);
        let limits = limits(integers, 128, 64);
        let mut set = SetMut::new(&mut entry, &limits, &hasher);
        members.iter().for_each(|member| assert!(set.insert(member.as_bytes())));
        set.settle();
        assert_eq!(set.as_ref().len(), members.len());
        form(set.as_ref())
    };
    for from in [SetForm::Packed, SetForm::Large] {
        assert_eq!(settled(&["3", "-70000", "5"], from, 3), SetForm::Integers);
        assert_eq!(settled(&["3", "-7", "5"], from, 2), from);
        assert_eq!(settled(&["3", "x", "5"], from, 3), from);
    }
}

#[test]
fn the_form_of_a_copy_is_that_of_adding_all() {
    let hasher = hasher();
    for seed in 0..200 {
        let mut prng = Prng::new(seed);
        let limits = limits(prng.below(20) as usize, prng.below(20) as usize, 30);
        let mut entry = fresh([SetForm::Integers, SetForm::Packed, SetForm::Large][seed as usize % 3]);
        let wide = self::limits(1_000, 1_000, 1_000);
        for _ in 0..1 + prng.below(25) {
            let text = member(&mut prng, 1 + seed % 5);
            SetMut::new(&mut entry, &wide, &hasher).insert(&text);
        }
        let source = entry.as_ref();
        let source = SetRef::of(&source).unwrap();
        let mut copy = fresh(SetForm::Integers);
        let mut set = SetMut::new(&mut copy, &limits, &hasher);
        source.iter().for_each(|member| assert!(set.insert_member(member)));
        assert_eq!(source.form_of_copy(&limits), form(set.as_ref()), "seed {seed}");
    }
}

#[test]
fn large_sets_are_copied_and_freed() {
    let limits = limits(0, 0, 0);
    let names: Vec<String> = (0..3_000).map(|number| format!("member:{number}")).collect();
    let mut entry = filled(&names.iter().map(String::as_str).collect::<Vec<_>>(), &limits);
    let copy = entry.as_ref().copied_under(b"copy");
    let before = texts(SetRef::of(&entry.as_ref()).unwrap());
    assert_eq!(texts(SetRef::of(&copy.as_ref()).unwrap()), before);
    let Some(Large::Set(mut set)) = entry.take_large() else { panic!("the set is large") };
    assert!(set.memory_bytes(10) > 3_000 * 16);
    let mut slices = 1;
    while !set.free_some(100) {
        slices += 1;
    }
    assert!(set.is_empty() && slices > 3);
}
