//! Of many threads, many scripts, and those that are stopped.

#![allow(clippy::unwrap_used)]

use super::*;

fn script(body: &str) -> Script {
    Script::new(Sha::of(body.as_bytes()), body.as_bytes()).unwrap()
}

/// Puts a script in as if it had been used at this time.
fn insert_at(registry: &Registry, body: &str, ticks: u64) -> Arc<Script> {
    let script = script(body);
    script.used_ticks.store(ticks, Ordering::Relaxed);
    registry.insert(script, Origin::Eval)
}

#[test]
fn scripts_are_found_by_name_until_a_flush() {
    let registry = Registry::default();
    let body = "#!lua flags=no-writes\nreturn 1";
    let sha = Sha::of(body.as_bytes());
    assert!(registry.find(&sha).is_none());
    let one = registry.insert(script(body), Origin::Load);
    assert_eq!(one.code(), b"\nreturn 1");
    assert!(one.has_shebang && one.flags.has(ScriptFlags::NO_WRITES) && !one.is_gone());
    assert!(Arc::ptr_eq(&one, &registry.insert(script(body), Origin::Eval)), "the same twice");
    assert!(Arc::ptr_eq(&one, &registry.find(&sha).unwrap()));
    let epoch = registry.epoch();
    registry.flush();
    assert!(one.is_gone() && registry.find(&sha).is_none());
    assert_ne!(registry.epoch(), epoch);
    assert_eq!(registry.figures(), Figures::default());
}

#[test]
fn of_too_many_scripts_those_least_used_are_forgotten() {
    let registry = Registry::default();
    let loaded = registry.insert(script("return 'loaded'"), Origin::Load);
    let step = clock::ticks_of(USE_NANOS_MIN).max(1);
    let all: Vec<_> =
        (0..EVAL_SCRIPTS_MAX).map(|n| insert_at(&registry, &format!("return {n}"), n as u64 * step)).collect();
    assert_eq!(registry.figures().evicted, 0);
    let now = EVAL_SCRIPTS_MAX as u64 * step;
    all[0].touch_at(now);
    // Loaded later, it is exempt from then on.
    registry.insert(script("return 1"), Origin::Load);
    insert_at(&registry, "return 'fits'", now + step);
    assert_eq!(registry.figures().evicted, 0);
    insert_at(&registry, "return 'a'", now + 2 * step);
    insert_at(&registry, "return 'b'", now + 3 * step);
    let gone: Vec<usize> = (0..all.len()).filter(|n| all[*n].is_gone()).collect();
    assert_eq!(gone, [2, 3]);
    assert!(registry.find(&all[2].sha).is_none() && registry.find(&all[0].sha).is_some());
    let figures = registry.figures();
    assert_eq!((figures.scripts, figures.loaded, figures.evicted), (EVAL_SCRIPTS_MAX as u64 + 2, 2, 2));
    // Nothing but uses saves from being forgotten.
    (0..EVAL_SCRIPTS_MAX as u64)
        .for_each(|n| drop(insert_at(&registry, &format!("return -{n}"), now + (n + 4) * step)));
    assert!(all[0].is_gone() && !all[1].is_gone() && !loaded.is_gone());
    let bytes = registry.figures().script_bytes;
    let sum: usize = registry.scripts.read().unwrap().by_sha.values().map(|script| script.bytes()).sum();
    assert_eq!(bytes, sum as u64);
    assert!(registry.epoch() >= 5, "cores are told now and then");
}

#[test]
fn what_has_written_cannot_be_killed_and_what_is_killed_cannot_write() {
    let registry = Registry::default();
    let kill = |is_function| registry.kill(is_function, Duration::from_secs(5)).map_err(|error| error.code());
    assert_eq!(kill(false), Err("NOTBUSY"));
    let begin = |is_function, millis, has_written| {
        let began = Instant::now() - Duration::from_millis(millis);
        registry.begin(Running::new(b"name", Vec::new(), is_function, began, has_written))
    };
    let young = begin(false, 10, false);
    assert_eq!(kill(true), Err("BUSY"));
    let old = begin(false, 20, false);
    assert_eq!(kill(false), Ok(()));
    assert!(old.is_killed() && !young.is_killed(), "none is late: the eldest alone");
    assert!(!old.may_write() && young.may_write() && young.may_write() && young.has_written());
    registry.end(&old);
    assert_eq!(kill(false), Err("UNKILLABLE"));
    let late = [begin(false, 6000, false), begin(false, 7000, true), begin(false, 8000, false)];
    assert_eq!(kill(false), Ok(()));
    assert_eq!(late.each_ref().map(|late| late.is_killed()), [true, false, true]);
    assert_eq!(registry.running().first().map(|first| first.began), Some(late[2].began));
    late.iter().for_each(|late| registry.end(late));
    registry.end(&young);
    let function = begin(true, 1, false);
    assert_eq!(kill(false), Err("BUSY"));
    assert_eq!(kill(true), Ok(()));
    assert!(function.is_killed());
}

#[test]
fn escalations_are_counted() {
    let registry = Registry::default();
    let (one, two) =
        (registry.insert(script("return 1"), Origin::Eval), registry.insert(script("return 2"), Origin::Load));
    registry.note_escalation(&one);
    (0..3).for_each(|_| registry.note_escalation(&two));
    (0..2).for_each(|_| registry.note_function_escalation(b"f"));
    let expected = [(two.sha.to_string(), 3), ("f".to_owned(), 2), (one.sha.to_string(), 1)];
    assert_eq!(registry.most_escalated(9), expected);
    assert_eq!(registry.most_escalated(1), expected[..1]);
    assert_eq!(registry.figures().escalations, 6);
}

#[test]
fn threads_share_what_they_are_told_to() {
    let registry = Arc::new(Registry::default());
    let names: Vec<Sha> = ["return 1", "return 2"]
        .map(|body| {
            let registry = Arc::clone(&registry);
            let thread = std::thread::spawn(move || {
                attach(&registry);
                note_interpreter_memory(1000);
                note_interpreter_memory(600);
                insert(script(body), Origin::Eval).sha
            });
            thread.join().unwrap()
        })
        .into();
    attach(&registry);
    assert!(names.iter().all(|sha| find(sha).is_some()));
    assert_eq!(epoch(), registry.epoch());
    assert_eq!(registry.figures().interpreter_bytes, 1200);
}
