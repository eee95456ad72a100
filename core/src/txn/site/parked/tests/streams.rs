//! Waiting for streams on one shard.

use super::*;

fn two_keys(bench: &Bench) -> (String, String) {
    let owned = |bench: &Bench, key: &str| bench.site.shard.owns(&bench.site.shard.key(key.as_bytes()));
    let key = (0..).map(|at| format!("k{at}")).find(|key| owned(bench, key));
    let other = (0..).map(|at| format!("k{at}")).find(|key| !owned(bench, key));
    (key.unwrap(), other.unwrap())
}

const ENTRY: &str = "*1 *2 $3 1-0 *2 $1 a $1 b";

#[test]
fn everybody_reads_and_one_of_a_group_gets() {
    let mut bench = Bench::new(1);
    bench.run(9, "XGROUP CREATE s g $ MKSTREAM");
    bench.run(9, "XGROUP CREATE s h $");
    assert_eq!(bench.run(1, "XREAD BLOCK 0 STREAMS s $"), ["1: parked"]);
    assert_eq!(bench.run(2, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), ["2: parked"]);
    assert_eq!(bench.run(3, "XREADGROUP GROUP g d BLOCK 0 STREAMS s >"), ["3: parked"]);
    assert_eq!(bench.run(4, "XREADGROUP GROUP h c BLOCK 0 STREAMS s >"), ["4: parked"]);
    assert_eq!(bench.run(5, "XREAD BLOCK 0 STREAMS s 0-5"), ["5: parked"]);
    assert_eq!(bench.run(6, "XREAD BLOCK 0 STREAMS s 7"), ["6: parked"]);
    assert_eq!((bench.site.shard.waiting.keys(), bench.site.shard.waiting.minded_keys()), (1, 1));
    let got = |owner: u64| format!("{owner}: *1 *2 $1 s {ENTRY}");
    assert_eq!(bench.run(9, "XADD s 1-0 a b"), ["9: $3 1-0", &got(1), &got(2), &got(4), &got(5)]);
    assert_eq!(bench.site.parked(), 2);
    assert_eq!(bench.run(9, "XADD s 8-0 a b").len(), 3, "one of the group, and who waited for a larger id");
    assert!(bench.site.shard.waiting.is_empty() && bench.site.shard.waiting.minded_keys() == 0);
}

#[test]
fn the_last_id_is_that_of_when_the_call_was_made() {
    let mut bench = Bench::new(1);
    bench.run(9, "XADD s 1-0 a b");
    assert_eq!(bench.run(1, "XREAD BLOCK 0 STREAMS none s $ $"), ["1: parked"]);
    // The key goes and comes again: what counts is the id that it had.
    bench.run(9, "DEL s");
    assert_eq!(bench.run(9, "XADD s 0-1 a b"), ["9: $3 0-1"]);
    assert_eq!(bench.run(9, "XADD s 1-0 a b"), ["9: $3 1-0"]);
    assert_eq!(bench.run(9, "XADD s 1-1 a b").len(), 2);
    assert_eq!(bench.run(2, "XREAD BLOCK 0 STREAMS empty +"), ["2: parked"]);
    assert_eq!(bench.run(9, "XADD empty 5-0 a b").len(), 2, "the last entry, when there is one");
}

#[test]
fn a_cancelled_call_leaves_no_words_behind() {
    let mut bench = Bench::new(2);
    let (key, other) = two_keys(&bench);
    bench.run(9, &format!("XGROUP CREATE {key} g $ MKSTREAM"));
    assert_eq!(bench.job(1, Order::RunAndKeep, &format!("XADD {key} 1-0 a b")), ["1: $3 1-0"]);
    assert_eq!(bench.run(2, &format!("XREAD BLOCK 0 STREAMS {key} $")), [""; 0]);
    assert_eq!(bench.cancel(2), [""; 0]);
    assert_eq!(bench.release(1), ["2: cancelled"]);
    let watch = format!("XREADGROUP GROUP g c BLOCK 0 STREAMS {other} {key} > >");
    bench.job(3, Order::Watch, &watch);
    assert_eq!(bench.cancel(3), [""; 0], "its words are its own");
}

#[test]
fn who_waits_in_a_group_hears_that_it_is_gone() {
    for (how, error) in [
        ("DEL s", "-NOGROUP"),
        ("SET s x", "-WRONGTYPE"),
        ("XGROUP DESTROY s g", "-NOGROUP"),
        ("RENAME s t", "-NOGROUP"),
        ("RENAME l s", "-WRONGTYPE"),
        ("PEXPIREAT s 1", "-NOGROUP"),
        ("FLUSHALL", "-NOGROUP"),
        ("GETDEL l", ""),
    ] {
        let mut bench = Bench::new(1);
        bench.run(9, "SET l x");
        bench.run(9, "XGROUP CREATE s g $ MKSTREAM");
        assert_eq!(bench.run(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), ["1: parked"]);
        assert_eq!(bench.run(2, "XREAD BLOCK 0 STREAMS s $"), ["2: parked"]);
        let news = bench.run(9, how);
        let told: Vec<&String> = news.iter().filter(|line| line.starts_with("1: ")).collect();
        match error {
            "" => assert!(told.is_empty(), "{how}: {news:?}"),
            _ => assert!(told.len() == 1 && told[0].contains(error), "{how}: {news:?}"),
        }
        assert_eq!(bench.site.parked(), 1 + usize::from(error.is_empty()), "{how}");
    }
}

#[test]
fn upkeep_tells_that_a_key_has_expired() {
    let mut bench = Bench::new(1);
    bench.run(9, "XGROUP CREATE s g $ MKSTREAM");
    bench.run(9, &format!("PEXPIREAT s {}", NOW.0 + 5));
    assert_eq!(bench.run(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), ["1: parked"]);
    let later = Millis(NOW.0 + 10);
    while bench.site.upkeep(later, 1000) {}
    let mut done = Vec::new();
    bench.site.take_served(&mut done);
    bench.done = done;
    let news = bench.news();
    assert!(news.len() == 1 && news[0].starts_with("1: -NOGROUP"), "{news:?}");
}

#[test]
fn only_those_of_a_group_line_up_behind_a_call_over_several_shards() {
    let mut bench = Bench::new(2);
    let (key, other) = two_keys(&bench);
    bench.run(9, &format!("XGROUP CREATE {key} g $ MKSTREAM"));
    let consumer = format!("XREADGROUP GROUP g c BLOCK 0 STREAMS {other} {key} > >");
    let reader = format!("XREAD BLOCK 0 STREAMS {other} {key} 0 0");
    assert_eq!(bench.job(1, Order::Watch, &consumer), ["1: Watch"], "that there is a stream is no news");
    assert_eq!(bench.job(2, Order::Watch, &reader), ["2: Watch"]);
    assert_eq!(bench.run(3, &format!("XREADGROUP GROUP g d BLOCK 0 STREAMS {key} >")), ["3: parked"]);
    assert_eq!(bench.run(9, &format!("XADD {key} 1-0 a b")), ["9: $3 1-0", "1: poke", "2: poke"]);
    assert_eq!(bench.run(4, &format!("XREADGROUP GROUP g e BLOCK 0 STREAMS {key} >")), ["4: parked"]);
    let read = bench.run(5, &format!("XREAD BLOCK 0 STREAMS {key} 0"));
    assert_eq!(read, [format!("5: *1 *2 ${} {key} {ENTRY}", key.len())], "what is read stays");
    // The one who was poked gives up: the next of the group gets it.
    let news = bench.cancel(1);
    assert_eq!(news, [format!("3: *1 *2 ${} {key} {ENTRY}", key.len())]);
    // It was tried, with nothing taken: nobody is poked again for what it has seen.
    let mut lend = Box::new(Batch::new(ShardId(0)));
    add(&mut lend, 2, Order::Lend, &format!("TOUCH {key}"));
    bench.site.deliver(NOW, lend, &mut bench.done);
    let mut lent = bench.done.pop().unwrap();
    lent.jobs[0].order = Order::Return;
    assert_eq!(bench.deliver(lent), ["2: Return", "2: poke"], "a reader of all entries still has some");
    bench.cancel(2);
    assert_eq!(bench.job(6, Order::Watch, &format!("XREAD BLOCK 0 STREAMS {other} {key} 0 1-0")), ["6: Watch"]);
    assert_eq!(bench.run(9, &format!("DEL {key}")), ["9: :1", &no_group(4, &key)]);
}

fn no_group(owner: u64, key: &str) -> String {
    format!("{owner}: -NOGROUP No such key '{key}' or consumer group 'g' in XREADGROUP with GROUP option")
}
