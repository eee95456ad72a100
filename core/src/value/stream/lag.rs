//! How far a group is behind: how many entries came into a stream up to an id, as far as that can be told from counters.

use super::{Entries, Group, StreamId};

impl Entries {
    /// May XDEL have made a gap among the entries from `id` on?
    fn has_gap_from(&self, id: StreamId) -> bool {
        let deleted = self.max_deleted_id();
        !self.is_empty() && deleted != StreamId::MIN && id <= deleted
    }

    /// How many entries came up to this id since the stream began; none where that cannot be told.
    pub fn count_up_to(&self, id: StreamId) -> Option<u64> {
        let added = self.entries_added();
        if added == 0 {
            return Some(0);
        }
        if id == self.last_id() || (self.is_empty() && id < self.last_id()) {
            return Some(added);
        }
        let deleted = self.max_deleted_id();
        // What lay between an id and one that was deleted later is not known, even if all of it is gone now.
        if id != StreamId::MIN && id < deleted {
            return None;
        }
        let has_gaps = deleted != StreamId::MIN && deleted >= self.first_id();
        if id > self.last_id() || has_gaps || id > self.first_id() {
            return None;
        }
        let before = added.wrapping_sub(self.len() as u64);
        Some(if id == self.first_id() { before.wrapping_add(1) } else { before })
    }
}

impl Group {
    /// How many entries the group has still to read; none where that cannot be told.
    pub fn lag(&self, entries: &Entries) -> Option<i64> {
        let added = entries.entries_added();
        if added == 0 {
            return Some(0);
        }
        let read = match self.entries_read {
            Some(read) if !entries.has_gap_from(self.last_id) => read,
            _ => entries.count_up_to(self.last_id)?,
        };
        Some(added.wrapping_sub(read) as i64)
    }

    /// An entry with a larger id than all that were delivered is delivered.
    pub fn advance(&mut self, id: StreamId, entries: &Entries) {
        // One more, if it is surely the next one that ever came.
        if let Some(read) = self.entries_read
            && self.last_id >= entries.first_id()
            && !entries.has_gap_from(self.last_id)
        {
            self.entries_read = Some(read.wrapping_add(1));
        } else if entries.entries_added() > 0 {
            self.entries_read = entries.count_up_to(id);
        }
        self.last_id = id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Limits;
    use crate::value::stream::{Trim, TrimTo};

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    fn stream(count: u64) -> Entries {
        let mut entries = Entries::default();
        for ms in 1..=count {
            entries.append(id(ms), [(&b"f"[..], &b"v"[..])].into_iter(), &Limits::default());
        }
        entries
    }

    #[test]
    fn what_came_before_is_counted_while_nothing_was_deleted() {
        assert_eq!(Entries::default().count_up_to(id(7)), Some(0));
        let mut entries = stream(5);
        let counts = |entries: &Entries| (0..=6).map(|ms| entries.count_up_to(id(ms))).collect::<Vec<_>>();
        assert_eq!(counts(&entries), [Some(0), Some(1), None, None, None, Some(5), None]);
        entries.delete(id(1));
        assert_eq!(counts(&entries), [Some(1), Some(1), Some(2), None, None, Some(5), None]);
        entries.delete(id(3));
        assert_eq!(counts(&entries), [None, None, None, None, None, Some(5), None]);
        entries.delete(id(2));
        assert_eq!(counts(&entries), [Some(3), None, None, Some(3), Some(4), Some(5), None]);
        for ms in [4, 5] {
            entries.delete(id(ms));
        }
        assert_eq!(counts(&entries), [Some(5), Some(5), Some(5), Some(5), Some(5), Some(5), None]);
    }

    #[test]
    fn a_group_counts_itself_until_there_is_a_gap_ahead() {
        let mut entries = stream(5);
        let mut group = Group::new(b"g", StreamId::MIN, None);
        let state = |group: &Group, entries: &Entries| (group.entries_read, group.lag(entries));
        assert_eq!(state(&group, &entries), (None, Some(5)));
        group.advance(id(1), &entries);
        group.advance(id(2), &entries);
        assert_eq!(state(&group, &entries), (Some(2), Some(3)));
        entries.delete(id(4));
        assert_eq!(state(&group, &entries), (Some(2), None));
        group.advance(id(3), &entries);
        assert_eq!(state(&group, &entries), (None, None));
        group.advance(id(5), &entries);
        assert_eq!(state(&group, &entries), (Some(5), Some(0)));
        let mut lost = Group::new(b"g", id(3), None);
        assert_eq!(lost.lag(&entries), None);
        lost.last_id = id(9);
        assert_eq!(lost.lag(&entries), None);
    }

    #[test]
    fn what_was_trimmed_before_it_was_read_is_counted_when_something_is_read() {
        let mut entries = stream(6);
        let mut group = Group::new(b"g", StreamId::MIN, None);
        group.advance(id(1), &entries);
        group.advance(id(2), &entries);
        entries.trim(&Trim { to: TrimTo::Length(3), is_approximate: false, limit: 0 });
        assert_eq!((group.entries_read, group.lag(&entries)), (Some(2), Some(4)));
        group.advance(id(4), &entries);
        assert_eq!((group.entries_read, group.lag(&entries)), (Some(4), Some(2)));
    }
}
