//! `tracking-table-max-keys`: how many keys all shards together remember. A core that has one too many forgets one that chance
//! chooses, and tells those who have read it as if it had changed.

use crate::state::State;
use ringkey_core::settings::Setting;
use std::sync::atomic::Ordering;

/// So many keys are forgotten in one pass.
const DROPS_MAX: usize = 1000;

impl State {
    /// Counts the keys of this core's table in the sum of all, and forgets keys while there are too many.
    pub fn keep_tracking_limit(&mut self) {
        let keys = self.site.shard.tracked.keys() as i64;
        if keys != self.tracking.counted {
            let more = keys - self.tracking.counted;
            self.process.tracked_keys.fetch_add(more, Ordering::Relaxed);
            self.tracking.counted = keys;
        }
        self.tracking.is_over = false;
        let limit = self.settings.int(Setting::TrackingTableMaxKeys);
        if keys == 0 || limit == 0 {
            return;
        }
        let sum = &self.process.tracked_keys;
        let shard = &mut self.site.shard;
        for _ in 0..DROPS_MAX {
            // Who takes one off the sum has to forget one, so cores never forget more than they must.
            let one_less = |sum: i64| (sum > limit).then(|| sum - 1);
            if sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
                return;
            }
            if !shard.tracked.drop_random(&mut shard.prng) {
                sum.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.tracking.counted -= 1;
        }
        self.tracking.is_over = true;
    }
}
