//! Events of keys that were lent: the core that runs the call tells what became of them, in their order.

use super::*;
use crate::keyspace::events::EventClass;

fn wanted() -> EventClass {
    EventClass::parse(b"KEAmn").unwrap()
}

fn names(shard: &mut Shard) -> String {
    let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    let shown = shard.events.take().into_iter().map(|event| format!("{} {}", event.name, text(&event.key)));
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn calls_over_lent_keys_bring_the_same_events() {
    let mut cases = 0;
    let files = [
        include_str!("../../../../tests/data/events.txt"),
        include_str!("../../../../tests/data/events_collections.txt"),
    ];
    for line in files.into_iter().flat_map(str::lines).filter(|line| !line.starts_with(['#', '='])) {
        let line = format!(" {line} ");
        let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [before, call, expected] = parts[..] else { continue };
        let Ok(row) = table::resolve(&words(call).args()) else { continue };
        let mut keys = 0;
        row.visit_keys(&words(call).args(), |_, _| keys += 1);
        let is_simple = !line.contains("1:") && !line.contains('"') && !line.contains("wait ");
        if keys < 2 || !is_simple || call.contains(" DB ") {
            continue;
        }
        let mut world = World::new();
        before.split("; ").filter(|line| !line.is_empty()).for_each(|line| world.run(line));
        world.site.shard.events.wanted = wanted();
        world.gather(call, "a b c d x z");
        assert_eq!(names(&mut world.site.shard), expected, "{before} | {call}");
        cases += 1;
    }
    assert!(cases > 100, "{cases}");
}

/// Two cores; a key of each.
struct Two {
    sites: [Site; 2],
    workbench: Workbench,
    keys: [String; 2],
}

impl Two {
    fn new() -> Self {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        let map = ShardMap::new(2);
        let sites = [0, 1].map(|id| Site::new(Shard::new(ShardId(id), map, 16, hasher.clone(), 5)));
        let owner = |name: &String| map.shard_of(hasher.key(name.as_bytes()).hash.slot);
        let key = |id| (0..).map(|number| format!("k{number}")).find(|name| owner(name) == ShardId(id)).unwrap();
        let mut this =
            Self { sites, workbench: Workbench::new(Shard::scratch(16, hasher.clone(), 6)), keys: [key(0), key(1)] };
        this.sites.iter_mut().for_each(|site| site.shard.events.wanted = wanted());
        this
    }

    /// Runs a call on the first core over what both have lent.
    fn gather(&mut self, call: &Call, request: &Request) {
        let mut legs: Vec<Box<Batch>> = (0..2).map(|at| self.lend(at)).collect();
        let mut legs_mut: Vec<&mut Batch> = legs.iter_mut().map(|leg| &mut **leg).collect();
        let mut out = ReplyBuffer::default();
        self.workbench.run(&mut self.sites[0], NOW, false, call, &request.args(), &mut legs_mut, &mut out);
        for (site, mut leg) in self.sites.iter_mut().zip(legs) {
            let told = site.shard.events.len();
            leg.jobs[0].order = Order::Return;
            site.deliver(NOW, leg, &mut Vec::new());
            assert_eq!(site.shard.events.len(), told, "everything is noted before the data is at home");
        }
    }

    fn lend(&mut self, at: usize) -> Box<Batch> {
        let mut batch = Box::new(Batch::new(ShardId(0)));
        batch.open_job(1, Owner(1), Order::Lend, Reach::Keys);
        batch.push_call(&call_of(&words("DEL k")), &words(&self.keys[at]).args());
        let mut done = Vec::new();
        self.sites[at].deliver(NOW, batch, &mut done);
        done.pop().unwrap()
    }
}

#[test]
fn the_core_of_the_call_tells_of_all_keys() {
    let mut two = Two::new();
    let [a, b] = two.keys.clone();
    let set = words(&format!("SET {a} 1"));
    two.sites[0].run(NOW, &call_of(&set), &set.args(), &mut ReplyBuffer::default());
    assert_eq!(names(&mut two.sites[0].shard), format!("new {a}, set {a}"));
    let rename = words(&format!("RENAME {a} {b}"));
    two.gather(&call_of(&rename), &rename);
    let told = [0, 1].map(|at| names(&mut two.sites[at].shard));
    assert_eq!(told, [format!("new {b}, rename_from {a}, rename_to {b}"), String::new()]);
}

#[test]
fn a_transaction_over_two_shards_keeps_its_order() {
    let mut two = Two::new();
    let [a, b] = two.keys.clone();
    let mut request = exec::request();
    for line in [format!("MSET {a} 1 {b} 2"), format!("APPEND {b} x"), format!("DEL {a} {b}"), format!("GET {a}")] {
        let call = words(&line);
        exec::push(&mut request, table::resolve(&call.args()).unwrap(), DbIndex(0), &call.args());
    }
    two.gather(&Call { row: &exec::UNIT, ..call_of(&words("GET k")) }, &request);
    let told = [0, 1].map(|at| names(&mut two.sites[at].shard));
    let expected = format!("new {a}, set {a}, new {b}, set {b}, append {b}, del {a}, del {b}, keymiss {a}");
    assert_eq!(told, [expected, String::new()]);
    two.sites.iter_mut().for_each(|site| site.shard.events.wanted = EventClass::default());
    two.gather(&Call { row: &exec::UNIT, ..call_of(&words("GET k")) }, &request);
    assert!(two.sites.iter().all(|site| site.shard.events.is_empty()), "nobody wants to hear any more");
}

#[test]
fn keys_that_expire_unasked_are_told_of() {
    let mut world = World::new();
    world.site.shard.events.wanted = wanted();
    world.run(&format!("SET k 1 PXAT {}", NOW.0 + 1));
    world.run("SET stays 1");
    names(&mut world.site.shard);
    world.site.upkeep(NOW, 64);
    assert_eq!(names(&mut world.site.shard), "");
    world.site.upkeep(Millis(NOW.0 + 2), 64);
    assert_eq!(names(&mut world.site.shard), "expired k");
}

#[test]
fn of_a_locked_key_it_is_told_behind_its_owner_that_it_expired() {
    let mut world = World::new();
    world.site.shard.events.wanted = wanted();
    world.run(&format!("SET free 1 PXAT {}", NOW.0 + 1));
    let mut batch = Box::new(Batch::new(ShardId(0)));
    batch.open_job(1, Owner(7), Order::RunAndKeep, Reach::Keys);
    batch.jobs[0].brings_events = true;
    for line in ["GET other".to_owned(), format!("SET k 1 PXAT {}", NOW.0 + 1), "APPEND other x".to_owned()] {
        let request = words(&line);
        batch.push_call(&Call { keep: true, ..call_of(&request) }, &request.args());
    }
    let mut done = Vec::new();
    world.site.deliver(NOW, batch, &mut done);
    assert_eq!(names(&mut world.site.shard), "new free, set free, expire free");
    let brought: Vec<(u32, &str)> = done[0].events.iter().map(|(call, event)| (*call, event.name)).collect();
    let expected = [(0, "keymiss"), (1, "new"), (1, "set"), (1, "expire"), (2, "new"), (2, "append")];
    assert_eq!(brought, expected, "with the calls of which they came");
    world.site.upkeep(Millis(NOW.0 + 2), 64);
    assert_eq!(names(&mut world.site.shard), "expired free", "whoever has set the other one has not told so yet");
    world.site.release(NOW, Owner(8), &mut done);
    assert_eq!(names(&mut world.site.shard), "", "somebody else's locks have ended");
    world.site.release(NOW, Owner(7), &mut done);
    assert_eq!(names(&mut world.site.shard), "expired k");
}
