//! The notes of all cores as one stream in the order of their stamps.
//!
//! Each core's notes come in order; what may still come from a core is known by its floor: it has told everything up to there. What
//! lies at or below the floors of all cores can be shown, the rest is held back.

use ringkey_core::observe::{Note, Notes};
use std::collections::VecDeque;
use std::sync::Arc;

/// Notes that came together, and how many of them were shown.
struct Held {
    notes: Arc<Notes>,
    next: usize,
}

/// What came from one core.
#[derive(Default)]
struct Lane {
    held: VecDeque<Held>,
    floor: u64,
}

impl Lane {
    /// The stamp of its next note.
    fn head(&self) -> Option<u64> {
        let first = self.held.front()?;
        first.notes.notes.get(first.next).map(|note| note.stamp)
    }
}

/// The notes of all cores that were not shown yet.
pub struct Merge {
    lanes: Vec<Lane>,
    held_bytes: usize,
}

impl Merge {
    /// Nothing from so many cores.
    pub fn new(cores: usize) -> Self {
        Self { lanes: (0..cores).map(|_| Lane::default()).collect(), held_bytes: 0 }
    }

    /// Takes notes of a core, which are not older than those before.
    pub fn take(&mut self, core: usize, notes: Arc<Notes>) {
        if !notes.notes.is_empty() {
            self.held_bytes += notes.held_bytes();
            self.lanes[core].held.push_back(Held { notes, next: 0 });
        }
    }

    /// A core has told everything up to this stamp.
    pub fn note_floor(&mut self, core: usize, stamp: u64) {
        let floor = &mut self.lanes[core].floor;
        *floor = stamp.max(*floor);
    }

    /// Is nothing held back?
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.held.is_empty())
    }

    /// What is held back, about, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Forgets everything that is held back.
    pub fn clear(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.held.clear());
        self.held_bytes = 0;
    }

    /// Shows in order what may be shown.
    pub fn release(&mut self, mut show: impl FnMut(&Note, &[u8])) {
        let floor = self.lanes.iter().map(|lane| lane.floor).min().unwrap_or(0);
        loop {
            // Of several lanes the one with the oldest note; of equal ones the first.
            let (mut first, mut other) = (None, None);
            for (core, lane) in self.lanes.iter().enumerate() {
                let Some(stamp) = lane.head().filter(|stamp| *stamp <= floor) else { continue };
                let head = (stamp, core);
                if first.is_none_or(|first| head < first) {
                    other = first.replace(head);
                } else if other.is_none_or(|other| head < other) {
                    other = Some(head);
                }
            }
            let Some((_, core)) = first else { return };
            self.release_of(core, floor, other, &mut show);
        }
    }

    /// Shows notes of one core until another one has an older one.
    fn release_of(
        &mut self,
        core: usize,
        floor: u64,
        other: Option<(u64, usize)>,
        show: &mut impl FnMut(&Note, &[u8]),
    ) {
        let lane = &mut self.lanes[core];
        while let Some(held) = lane.held.front_mut() {
            while let Some(note) = held.notes.notes.get(held.next) {
                if note.stamp > floor || other.is_some_and(|other| (note.stamp, core) > other) {
                    return;
                }
                show(note, held.notes.text_of(held.next));
                held.next += 1;
            }
            self.held_bytes -= held.notes.held_bytes();
            lane.held.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringkey_core::observe::NoteKind;
    use ringkey_core::units::DbIndex;

    /// Notes with these stamps; the text of each is a number that rises.
    fn notes(stamps: &[u64], number: &mut u64) -> Arc<Notes> {
        let mut notes = Notes::default();
        for stamp in stamps {
            notes.text.extend_from_slice(number.to_string().as_bytes());
            *number += 1;
            let end = notes.text.len();
            notes.notes.push(Note { stamp: *stamp, client: 1, db: DbIndex(0), kind: NoteKind::Call, end });
        }
        Arc::new(notes)
    }

    fn released(merge: &mut Merge) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        merge.release(|note, text| all.push((note.stamp, String::from_utf8_lossy(text).into_owned())));
        all
    }

    #[test]
    fn what_may_still_be_preceded_is_held_back() {
        let (mut merge, mut number) = (Merge::new(2), 0);
        merge.take(0, notes(&[1, 5, 9], &mut number));
        assert!(released(&mut merge).is_empty(), "nothing is known of the other core");
        merge.note_floor(0, 9);
        merge.note_floor(1, 5);
        assert_eq!(released(&mut merge), [(1, "0".into()), (5, "1".into())]);
        merge.take(1, notes(&[6, 9], &mut number));
        merge.note_floor(1, 9);
        merge.note_floor(1, 3);
        let expected = [(6, "3".into()), (9, "2".into()), (9, "4".into())];
        assert_eq!(released(&mut merge), expected, "a floor never falls, and of equals the first core comes first");
        assert!(merge.is_empty());
        assert_eq!(merge.held_bytes(), 0);
    }

    #[test]
    fn one_core_waits_for_nobody() {
        let (mut merge, mut number) = (Merge::new(1), 0);
        merge.take(0, notes(&[], &mut number));
        assert!(merge.is_empty());
        merge.take(0, notes(&[3, 3, 4], &mut number));
        merge.note_floor(0, 4);
        assert_eq!(released(&mut merge).len(), 3);
        merge.take(0, notes(&[7], &mut number));
        assert!(merge.held_bytes() > 0);
        merge.clear();
        assert!(merge.is_empty());
        assert_eq!(merge.held_bytes(), 0);
    }

    /// Cores make notes at random times and post them now and then, in order; probes go round. Against all notes, sorted.
    #[test]
    fn the_stream_is_sorted_whatever_the_order_of_letters() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let cores = random.usize(1..6);
            let (mut merge, mut clock, mut number) = (Merge::new(cores), 1, 0);
            // What each core has noted and not posted, and the letters that are under way: notes, or a floor.
            let mut noted: Vec<Vec<u64>> = vec![Vec::new(); cores];
            let mut letters: Vec<VecDeque<(Vec<u64>, Option<u64>)>> = vec![VecDeque::new(); cores];
            let (mut all, mut shown, mut floors) = (Vec::new(), Vec::new(), vec![0; cores]);
            for _ in 0..400 {
                let core = random.usize(..cores);
                clock += random.u64(0..3);
                match random.u32(0..8) {
                    0..=3 => {
                        noted[core].push(clock);
                        all.push((clock, core));
                    }
                    4 => letters[core].push_back((std::mem::take(&mut noted[core]), None)),
                    5 => {
                        letters[core].push_back((std::mem::take(&mut noted[core]), Some(clock)));
                        clock += 1;
                    }
                    6 => {
                        if let Some((stamps, floor)) = letters[core].pop_front() {
                            merge.take(core, notes(&stamps, &mut number));
                            if let Some(floor) = floor {
                                merge.note_floor(core, floor);
                                floors[core] = floor;
                            }
                        }
                    }
                    _ => shown.extend(released(&mut merge).into_iter().map(|(stamp, _)| stamp)),
                }
            }
            shown.extend(released(&mut merge).into_iter().map(|(stamp, _)| stamp));
            all.sort_unstable();
            let floor = floors.into_iter().min().unwrap_or(0);
            let expected: Vec<u64> = all.iter().map(|(stamp, _)| *stamp).filter(|stamp| *stamp <= floor).collect();
            assert_eq!(shown, expected, "seed {seed}");
        }
    }
}
