//! The counters of one core: plain integers, added up when somebody asks.

/// Counters of one core.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// Connections taken in.
    pub connections_received: u64,
    /// Connections turned away.
    pub connections_rejected: u64,
    /// Commands executed.
    pub commands: u64,
    /// Bytes received.
    pub net_in: u64,
    /// Bytes sent.
    pub net_out: u64,
    /// Receives that brought bytes.
    pub reads: u64,
    /// Sends.
    pub writes: u64,
    /// Messages with calls from other cores.
    pub hops_in: u64,
    /// Messages with calls to other cores.
    pub hops_out: u64,
    /// Calls from other cores.
    pub calls_in: u64,
    /// Calls to other cores.
    pub calls_out: u64,
    /// Commands and stretches that spanned cores.
    pub flights: u64,
    /// Wrong passwords.
    pub auth_denied: u64,
    /// Clients closed because they sent too much at once.
    pub query_limit_closed: u64,
    /// Clients closed because they did not read.
    pub output_limit_closed: u64,
    /// Clients closed because all together held too much.
    pub clients_evicted: u64,
    /// Rooms for replies made smaller.
    pub reply_rooms_shrunk: u64,
    /// Rooms for replies made larger.
    pub reply_rooms_grown: u64,
    /// Passes of the reactor.
    pub passes: u64,
    /// Time spent in passes, without waiting, in nanoseconds: most take less than a microsecond.
    pub busy_nanos: u64,
    /// The longest pass, in microseconds.
    pub longest_pass_micros: u64,
    /// Time spent on requests, in nanoseconds.
    pub command_nanos: u64,
    /// Wake-ups sent to other cores.
    pub wakes: u64,
    /// Most commands executed in one pass.
    pub most_commands: u64,
    /// Time spent on the upkeep of the data: expiry, and freeing of what was flushed. In nanoseconds.
    pub upkeep_nanos: u64,
    /// Time spent on periodic work, in nanoseconds.
    pub cron_nanos: u64,
    /// Rates over the last second and a half.
    pub rates: Rates,
}

/// Samples that a rate is the mean of.
const SAMPLES: usize = 16;

/// The least time between two samples, in milliseconds.
const SAMPLE_MS: i64 = 100;

/// What is counted at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    ms: i64,
    commands: u64,
    bytes_in: u64,
    bytes_out: u64,
    passes: u64,
    busy_nanos: u64,
}

/// How much of it happened between two readings, a second.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    commands: u64,
    bytes_in: u64,
    bytes_out: u64,
    passes: u64,
    busy_nanos: u64,
    pass_micros: u64,
}

/// Rates that INFO shows as `instantaneous_*`: means of the last samples, as long as there are fewer of all that are to come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    last: Reading,
    samples: [Rate; SAMPLES],
    next: usize,
}

impl Rates {
    fn mean(&self, of: impl Fn(&Rate) -> u64) -> u64 {
        self.samples.iter().map(of).sum::<u64>() / SAMPLES as u64
    }

    /// Commands a second.
    pub fn commands(&self) -> u64 {
        self.mean(|rate| rate.commands)
    }

    /// Bytes received a second.
    pub fn bytes_in(&self) -> u64 {
        self.mean(|rate| rate.bytes_in)
    }

    /// Bytes sent a second.
    pub fn bytes_out(&self) -> u64 {
        self.mean(|rate| rate.bytes_out)
    }

    /// Passes of the reactor a second.
    pub fn passes(&self) -> u64 {
        self.mean(|rate| rate.passes)
    }

    /// Average time of a pass, in microseconds.
    pub fn pass_micros(&self) -> u64 {
        self.mean(|rate| rate.pass_micros)
    }

    /// Share of the time that was spent in passes, in percent.
    pub fn busy_percent(&self) -> f64 {
        self.mean(|rate| rate.busy_nanos) as f64 / 10_000_000.0
    }
}

impl Statistics {
    /// Sets what CONFIG RESETSTAT sets to zero.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes a sample for the rates; called some times a second.
    pub fn sample(&mut self, now_ms: i64) {
        let now = Reading {
            ms: now_ms,
            commands: self.commands,
            bytes_in: self.net_in,
            bytes_out: self.net_out,
            passes: self.passes,
            busy_nanos: self.busy_nanos,
        };
        let rates = &mut self.rates;
        let last = rates.last;
        let passed = now_ms - last.ms;
        // A reading of the future was taken before the clock was set back.
        if last.ms != 0 && (0..SAMPLE_MS).contains(&passed) {
            return;
        }
        rates.last = now;
        if last.ms == 0 || passed < 0 {
            return;
        }
        let rate = |now: u64, last: u64| now.saturating_sub(last) * 1000 / passed as u64;
        let passes = now.passes.saturating_sub(last.passes).max(1);
        rates.samples[rates.next] = Rate {
            commands: rate(now.commands, last.commands),
            bytes_in: rate(now.bytes_in, last.bytes_in),
            bytes_out: rate(now.bytes_out, last.bytes_out),
            passes: rate(now.passes, last.passes),
            busy_nanos: rate(now.busy_nanos, last.busy_nanos),
            pass_micros: now.busy_nanos.saturating_sub(last.busy_nanos) / passes / 1000,
        };
        rates.next = (rates.next + 1) % SAMPLES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_and_the_mean_of_the_last_samples() {
        let mut statistics = Statistics::default();
        statistics.sample(1000);
        statistics.commands = 50;
        statistics.sample(1050);
        assert_eq!(statistics.rates.commands(), 0, "no sample is due yet");
        statistics.sample(1100);
        assert_eq!(statistics.rates.commands(), 500 / 16, "one sample of sixteen");
        for step in 1..=15 {
            statistics.commands += 50;
            statistics.sample(1100 + step * 100);
        }
        assert_eq!(statistics.rates.commands(), 500);
        for step in 1..=16 {
            statistics.sample(2600 + step * 100);
        }
        assert_eq!(statistics.rates.commands(), 0, "what is long past does not count");
    }

    #[test]
    fn a_clock_that_is_set_back_does_no_harm() {
        let mut statistics = Statistics::default();
        statistics.sample(5000);
        statistics.commands = 100;
        statistics.sample(1000);
        statistics.sample(1100);
        assert_eq!(statistics.rates.commands(), 0);
    }
}
