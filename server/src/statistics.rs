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
    /// Time spent in passes, without waiting, in microseconds.
    pub busy_micros: u64,
    /// The longest pass, in microseconds.
    pub longest_pass_micros: u64,
    /// Time spent on requests, in microseconds.
    pub command_micros: u64,
    /// Wake-ups sent to other cores.
    pub wakes: u64,
    /// Rates over the last seconds.
    pub rates: Rates,
}

/// Rates that INFO shows as `instantaneous_*`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    last_ms: i64,
    last_commands: u64,
    last_in: u64,
    last_out: u64,
    last_passes: u64,
    last_busy: u64,
    /// Commands a second.
    pub commands: u64,
    /// Bytes received a second.
    pub bytes_in: u64,
    /// Bytes sent a second.
    pub bytes_out: u64,
    /// Passes of the reactor a second.
    pub passes: u64,
    /// Average time of a pass, in microseconds.
    pub pass_micros: u64,
}

impl Statistics {
    /// Sets what CONFIG RESETSTAT sets to zero.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes a sample for the rates; called some times a second.
    pub fn sample(&mut self, now_ms: i64) {
        let rates = &mut self.rates;
        let passed = now_ms - rates.last_ms;
        if rates.last_ms == 0 || passed >= 1000 {
            if rates.last_ms != 0 {
                let rate = |now: u64, last: u64| now.saturating_sub(last) * 1000 / passed as u64;
                rates.commands = rate(self.commands, rates.last_commands);
                rates.bytes_in = rate(self.net_in, rates.last_in);
                rates.bytes_out = rate(self.net_out, rates.last_out);
                rates.passes = rate(self.passes, rates.last_passes);
                let passes = self.passes.saturating_sub(rates.last_passes).max(1);
                rates.pass_micros = self.busy_micros.saturating_sub(rates.last_busy) / passes;
            }
            (rates.last_ms, rates.last_commands) = (now_ms, self.commands);
            (rates.last_in, rates.last_out) = (self.net_in, self.net_out);
            (rates.last_passes, rates.last_busy) = (self.passes, self.busy_micros);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        let mut statistics = Statistics::default();
        statistics.sample(1000);
        statistics.commands = 500;
        statistics.sample(1500);
        assert_eq!(statistics.rates.commands, 0, "not a second has passed");
        statistics.sample(3000);
        assert_eq!(statistics.rates.commands, 250);
    }
}
