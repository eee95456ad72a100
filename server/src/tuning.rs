//! The settings that the data path reads, as plain values.

use crate::admin::client::ClientKind;
use ringkey_core::access::AccessRule;
use ringkey_core::command::Names;
use ringkey_core::commands::{Hold, Rules};
use ringkey_core::keyspace::events::EventClass;
use ringkey_core::keyspace::shard::LazyFree;
use ringkey_core::settings::{OutputLimit, Setting, Settings};
use ringkey_core::value::Limits;

/// No `client-query-buffer-limit` allows more, in bytes.
const QUERY_BYTES_MAX: usize = 3 << 30;

/// No `maxmemory-clients` is less than this, in bytes: somebody must be able to speak to the server.
const CLIENT_MEMORY_MIN: usize = 128 << 10;

/// `maxmemory-clients` in bytes; 0: no limit.
fn client_memory_max(settings: &Settings) -> usize {
    let all = settings.memory(Setting::MaxMemory);
    let bytes = match settings.int(Setting::MaxMemoryClients) {
        0 => return 0,
        percent if percent < 0 && all == 0 => return 0,
        percent if percent < 0 => (all as f64 * -percent as f64 / 100.0) as usize,
        bytes => bytes as usize,
    };
    bytes.max(CLIENT_MEMORY_MIN)
}

/// The events that are told, if it is said where.
fn key_events(settings: &Settings) -> EventClass {
    let events = EventClass::parse(settings.text(Setting::NotifyKeyspaceEvents)).unwrap_or_default();
    let places = EventClass::KEYSPACE.with(EventClass::KEYEVENT);
    if events.has(places) { events } else { EventClass::default() }
}

/// Settings as the data path needs them.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// `proto-max-bulk-len` in bytes.
    pub bulk_bytes_max: i64,
    /// `busy-reply-threshold` in milliseconds.
    pub busy_ms: i64,
    /// Must clients authenticate?
    pub needs_password: bool,
    /// `client-output-buffer-limit` of normal clients, replicas and subscribers, in bytes and seconds, 0: none.
    pub output_limits: [OutputLimit; 3],
    /// `maxmemory-clients` in bytes, 0: no limit.
    pub client_memory_max: usize,
    /// `client-query-buffer-limit` in bytes.
    pub query_limit: usize,
    /// `timeout` in seconds, 0: none.
    pub idle_timeout_s: i64,
    /// `maxclients`.
    pub clients_max: u32,
    /// `hz`: how often periodic work is done, per second.
    pub hz: i64,
    /// `notify-keyspace-events`; none if it does not say where events are told.
    pub key_events: EventClass,
    /// What of calls is remembered.
    pub observed: Observed,
}

/// What of calls is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    /// `commandlog-execution-slower-than` in microseconds; none: no call is too slow.
    pub slow_micros: Option<u64>,
    /// `commandlog-request-larger-than` in bytes.
    pub request_bytes: usize,
    /// `commandlog-reply-larger-than` in bytes.
    pub reply_bytes: usize,
    /// Entries of each kind that are kept: slow, large requests, large replies.
    pub entries_max: [usize; 3],
    /// `latency-monitor-threshold` in milliseconds, if there is one.
    pub latency_ms: Option<u64>,
    /// `latency-tracking`.
    pub tracks: bool,
}

impl Observed {
    fn new(settings: &Settings) -> Self {
        let limit = |setting| usize::try_from(settings.int(setting)).unwrap_or(usize::MAX);
        Self {
            slow_micros: u64::try_from(settings.int(Setting::CommandlogExecutionSlowerThan)).ok(),
            request_bytes: limit(Setting::CommandlogRequestLargerThan),
            reply_bytes: limit(Setting::CommandlogReplyLargerThan),
            entries_max: [
                Setting::CommandlogSlowExecutionMaxLen,
                Setting::CommandlogLargeRequestMaxLen,
                Setting::CommandlogLargeReplyMaxLen,
            ]
            .map(limit),
            latency_ms: u64::try_from(settings.int(Setting::LatencyMonitorThreshold)).ok().filter(|limit| *limit > 0),
            tracks: settings.bool(Setting::LatencyTracking),
        }
    }

    /// The shortest duration that anybody wants to know of, in ticks.
    pub fn slow_ticks(&self) -> Option<u64> {
        let latency = self.latency_ms.map(|limit| limit.saturating_mul(1000));
        let micros = [self.slow_micros, latency].into_iter().flatten().min();
        micros.map(|micros| crate::clock::ticks_of(micros.saturating_mul(1000)))
    }
}

impl Tuning {
    /// The values of `settings`.
    pub fn new(settings: &Settings) -> Self {
        Self {
            bulk_bytes_max: settings.int(Setting::ProtoMaxBulkLen),
            busy_ms: settings.int(Setting::BusyReplyThreshold),
            needs_password: !settings.text(Setting::RequirePass).is_empty(),
            output_limits: settings.output_limits(),
            client_memory_max: client_memory_max(settings),
            // The places of words in a request are 32 bits wide.
            query_limit: (settings.memory(Setting::ClientQueryBufferLimit) as usize).min(QUERY_BYTES_MAX),
            idle_timeout_s: settings.int(Setting::Timeout),
            clients_max: settings.int(Setting::MaxClients).clamp(1, i64::from(u32::MAX)) as u32,
            hz: settings.int(Setting::Hz).clamp(1, 500),
            key_events: key_events(settings),
            observed: Observed::new(settings),
        }
    }

    /// The limits of the output of a kind of client; the primary's link has none.
    #[inline]
    pub fn output_limit(&self, kind: ClientKind) -> OutputLimit {
        self.output_limits.get(kind as usize).copied().unwrap_or_default()
    }

    /// The settings that command handlers obey.
    pub fn rules(settings: &Settings) -> Rules {
        Rules {
            bulk_bytes_max: settings.int(Setting::ProtoMaxBulkLen),
            limits: Self::limits(settings),
            codec: &ringkey_storage::dump::CODEC,
            scripting: &crate::script::SCRIPTING,
            names: Names::unchanged(),
            compresses: settings.bool(Setting::Rdbcompression),
            any_version: settings.choice(Setting::RdbVersionCheck) == "relaxed",
            skips_checksum: false,
            lets_scripts: false,
            is_clustered: settings.bool(Setting::ClusterEnabled),
            hold: if settings.bool(Setting::ImportMode) { Hold::Importing } else { Hold::No },
            access: match settings.choice(Setting::MaxMemoryPolicy).contains("lfu") {
                true => AccessRule::Count {
                    log_factor: settings.int(Setting::LfuLogFactor) as u32,
                    decay_minutes: settings.int(Setting::LfuDecayTime) as u32,
                },
                false => AccessRule::LastUse,
            },
        }
    }

    /// How large packed collections may become.
    fn limits(settings: &Settings) -> Limits {
        let size = |setting| usize::try_from(settings.int(setting)).unwrap_or(usize::MAX);
        Limits {
            hash_entries: size(Setting::HashMaxListpackEntries),
            hash_value_bytes: size(Setting::HashMaxListpackValue),
            set_intset_entries: size(Setting::SetMaxIntsetEntries),
            set_entries: size(Setting::SetMaxListpackEntries),
            set_value_bytes: size(Setting::SetMaxListpackValue),
            zset_entries: size(Setting::ZsetMaxListpackEntries),
            zset_value_bytes: size(Setting::ZsetMaxListpackValue),
            stream_node_bytes: size(Setting::StreamNodeMaxBytes),
            stream_node_entries: size(Setting::StreamNodeMaxEntries),
            hll_sparse_bytes: size(Setting::HllSparseMaxBytes),
            list_size: settings.int(Setting::ListMaxListpackSize),
            list_plain_from: 0,
        }
    }

    /// Which removals leave the freeing for later.
    pub fn lazy_free(settings: &Settings) -> LazyFree {
        LazyFree {
            eviction: settings.bool(Setting::LazyfreeLazyEviction),
            expire: settings.bool(Setting::LazyfreeLazyExpire),
            server_del: settings.bool(Setting::LazyfreeLazyServerDel),
            user_del: settings.bool(Setting::LazyfreeLazyUserDel),
            user_flush: settings.bool(Setting::LazyfreeLazyUserFlush),
        }
    }
}
