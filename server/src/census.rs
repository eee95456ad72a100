//! What the clients of one core hold in memory, kept up to date client by client, so that nobody walks over all of them
//! to know the sum or to find the largest.

use ringkey_core::units::Millis;

/// Clients are grouped by the magnitude of what they hold: the first group ends at 32 KiB, the last has no end.
const FIRST_MAGNITUDE: u32 = 15;

/// How many groups there are.
pub const GROUPS: usize = 19;

/// Largest buffers are remembered for so many seconds.
const PEAK_SECONDS: usize = 8;

/// What is known of the client at one place of the core's table.
#[derive(Clone, Copy, Default)]
struct Counted {
    bytes: usize,
    /// Its group and place there, if it may be evicted.
    group: Option<(u8, u32)>,
}

/// The clients of one core, as last counted.
#[derive(Default)]
pub struct Census {
    counted: Vec<Counted>,
    total: usize,
    groups: [Vec<u32>; GROUPS],
    input: [usize; PEAK_SECONDS],
    output: [usize; PEAK_SECONDS],
    second: i64,
    /// The limit for all clients together by which this core acts, in bytes; 0: none.
    pub limit: usize,
    /// Has the total changed since it was last shown to the other cores?
    pub has_changed: bool,
}

/// The group of clients that hold so many bytes.
fn group_of(bytes: usize) -> usize {
    let magnitude = usize::BITS - bytes.leading_zeros();
    (magnitude.saturating_sub(FIRST_MAGNITUDE) as usize).min(GROUPS - 1)
}

/// What is in a group.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Group {
    /// What the clients hold, in bytes.
    pub bytes: usize,
    /// How many there are.
    pub clients: usize,
}

/// The least and the most that a client of each group holds, in bytes; the last group has no end.
pub fn bounds_of_groups() -> impl Iterator<Item = (usize, Option<usize>)> {
    (0..GROUPS as u32).map(|group| {
        let first = if group == 0 { 0 } else { 1 << (FIRST_MAGNITUDE + group - 1) };
        (first, (group + 1 < GROUPS as u32).then(|| (1 << (FIRST_MAGNITUDE + group)) - 1))
    })
}

impl Census {
    /// What is in each group. This one does walk over the clients: it is for DEBUG.
    pub fn groups(&self) -> Vec<Group> {
        let sum = |members: &Vec<u32>| members.iter().map(|index| self.bytes_of(*index)).sum();
        self.groups.iter().map(|members| Group { bytes: sum(members), clients: members.len() }).collect()
    }

    /// The client at `index` holds so many bytes now; `may_go`: it may be evicted.
    pub fn count(&mut self, index: u32, bytes: usize, may_go: bool) {
        let at = index as usize;
        if at >= self.counted.len() {
            self.counted.resize(at + 1, Counted::default());
        }
        let known = self.counted[at];
        let group = may_go.then(|| group_of(bytes) as u8);
        self.has_changed |= known.bytes != bytes;
        self.total = self.total - known.bytes + bytes;
        self.counted[at].bytes = bytes;
        if known.group.map(|(group, _)| group) == group {
            return;
        }
        self.leave_group(index);
        if let Some(group) = group {
            let members = &mut self.groups[group as usize];
            self.counted[at].group = Some((group, members.len() as u32));
            members.push(index);
            self.has_changed = true;
        }
    }

    fn leave_group(&mut self, index: u32) {
        let Some((group, place)) = self.counted[index as usize].group.take() else { return };
        let members = &mut self.groups[group as usize];
        members.swap_remove(place as usize);
        if let Some(moved) = members.get(place as usize) {
            self.counted[*moved as usize].group = Some((group, place));
        }
    }

    /// The client at `index` is gone, or as good as.
    pub fn forget(&mut self, index: u32) {
        if let Some(known) = self.counted.get(index as usize).copied() {
            self.leave_group(index);
            self.total -= known.bytes;
            self.counted[index as usize].bytes = 0;
            self.has_changed |= known.bytes > 0;
        }
    }

    /// What all clients hold, in bytes.
    pub fn total(&self) -> usize {
        self.total
    }

    /// What the client at `index` held when it was last counted, in bytes.
    pub fn bytes_of(&self, index: u32) -> usize {
        self.counted.get(index as usize).map_or(0, |counted| counted.bytes)
    }

    /// The group of the largest clients that may be evicted, counted from 1; 0: there are none.
    pub fn largest_group(&self) -> usize {
        self.groups.iter().rposition(|members| !members.is_empty()).map_or(0, |group| group + 1)
    }

    /// Of the clients in a group, the one that came there first.
    pub fn first_of(&self, group: usize) -> Option<u32> {
        self.groups[group.checked_sub(1)?].first().copied()
    }

    /// Notes how much input and output a client has waiting.
    pub fn note_buffers(&mut self, now: Millis, input: usize, output: usize) {
        self.turn_to(now);
        let at = self.second as usize % PEAK_SECONDS;
        self.input[at] = self.input[at].max(input);
        self.output[at] = self.output[at].max(output);
    }

    /// Forgets buffers of long ago.
    pub fn turn_to(&mut self, now: Millis) {
        let second = (now.0 / 1000).max(0);
        // After a pause, or when the clock was set, nothing of what is known is recent.
        let passed = second - self.second;
        let stale = if (0..PEAK_SECONDS as i64).contains(&passed) { passed } else { PEAK_SECONDS as i64 };
        for step in 0..stale {
            let at = (second - step) as usize % PEAK_SECONDS;
            (self.input[at], self.output[at]) = (0, 0);
        }
        self.second = second;
    }

    /// The largest input and output of the last seconds, in bytes.
    pub fn largest_buffers(&self) -> (usize, usize) {
        let most = |of: &[usize]| of.iter().copied().max().unwrap_or(0);
        (most(&self.input), most(&self.output))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn the_largest_go_first() {
        let mut census = Census::default();
        census.count(0, 1 << 20, true);
        census.count(1, 4 << 20, true);
        census.count(2, 64 << 20, false);
        census.count(3, 100, true);
        assert_eq!(census.total(), (69 << 20) + 100);
        let groups = census.groups();
        assert_eq!(groups.iter().map(|group| group.clients).sum::<usize>(), 3, "without the one that is protected");
        for ((first, last), group) in bounds_of_groups().zip(groups).filter(|(_, group)| group.clients == 1) {
            assert!(first <= group.bytes && last.is_none_or(|last| group.bytes <= last), "{first} {last:?} {group:?}");
        }
        assert_eq!(census.first_of(census.largest_group()), Some(1), "one that is protected does not go");
        census.forget(1);
        assert_eq!(census.first_of(census.largest_group()), Some(0));
        census.forget(0);
        census.forget(3);
        assert_eq!(census.largest_group(), 0);
        assert_eq!(census.total(), 64 << 20);
    }

    #[test]
    fn sums_and_groups_agree_with_a_model() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut census, mut model) = (Census::default(), HashMap::new());
        for _ in 0..20_000 {
            let index = random.u32(0..50);
            if random.u8(..) < 80 {
                census.forget(index);
                model.remove(&index);
            } else {
                let (bytes, may_go) = (1usize << random.u32(5..40), random.bool());
                census.count(index, bytes, may_go);
                model.insert(index, (bytes, may_go));
            }
            assert_eq!(census.total(), model.values().map(|(bytes, _)| bytes).sum::<usize>());
            let largest = model.values().filter(|(_, may_go)| *may_go).map(|(bytes, _)| group_of(*bytes) + 1).max();
            assert_eq!(census.largest_group(), largest.unwrap_or(0));
            if let Some(first) = census.first_of(census.largest_group()) {
                assert_eq!(group_of(model[&first].0) + 1, largest.unwrap());
            }
        }
    }

    #[test]
    fn large_buffers_are_remembered_for_seconds() {
        let mut census = Census::default();
        census.note_buffers(Millis(100_000), 500, 7);
        census.note_buffers(Millis(105_000), 20, 9);
        assert_eq!(census.largest_buffers(), (500, 9));
        census.turn_to(Millis(108_500));
        assert_eq!(census.largest_buffers(), (20, 9));
        census.turn_to(Millis(200_000));
        assert_eq!(census.largest_buffers(), (0, 0));
    }
}
