//! Every directive, one row each: name, how its value is written, default, when it may change, what it does here.
//!
//! Adding a directive means adding a row; parsing, CONFIG GET and CONFIG SET follow from it.

use super::row::{
    Check, Row, addresses, binary, choice, choices, integer, memory, memory_or_minus_one, memory_or_percent, octal,
    oom_scores, output_limits, percentiles, port_or_no, primary, save_points, text, yes_no,
};

const INT_MIN: i64 = i32::MIN as i64;
const INT_MAX: i64 = i32::MAX as i64;
const UINT_MAX: i64 = u32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;
const PORT_MAX: i64 = u16::MAX as i64;

// Why a directive means nothing here.
const CORES: &str = "every core serves its own connections and data; see 'cores'";
const ACCEPT: &str = "the kernel hands over new connections as they come";
const SEGMENTS: &str = "tables grow and shrink in small segments, in the course of commands";
const SWEEPS: &str = "expired keys are found by their time, without sampling";
const NO_FORK: &str = "no work is done in a forked process";
const NO_MODULES: &str = "there are no modules";
const NO_LOGO: &str = "there is no logo";
const OWN_CHECKS: &str = "the checks at start have other names";
const NO_MEMORY_TEST: &str = "a crash report does not test the memory; memtest86 does";
const NO_REPLICAS: &str = "only replicas that lag behind are waited for, and there are none";
const NO_WATCHDOG: &str =
    "no signal interrupts a core; SIGALRM shows where cores are, and systemd's watchdog is served";
const OWN_TESTS: &str = "it serves tests of another implementation";

// What is missing for a directive to work.
const RDMA: &str = "listeners are TCP and Unix sockets";
const PERSISTENCE: &str = "data is kept in memory only";
const ACCESS: &str = "there are no access control lists";
const EVICTION: &str = "memory is not limited and nothing is evicted";
const POLICY: &str = "it decides how uses of keys are counted, but nothing is evicted";
const SCRIPTS: &str = "there are no scripts";
const COLLATION: &str = "SORT with ALPHA compares in the order of the C locale";
const COMPRESSION: &str = "lists are not compressed";
const REPLICATION: &str = "there is no replication";
const CLUSTER: &str = "a cluster has one node, without replicas";
const TLS: &str = "there is no TLS";

const ACL_PUBSUB_DEFAULT_NAMES: [(&str, i64); 2] = [("allchannels", 0), ("resetchannels", 1)];
const APPENDFSYNC_NAMES: [(&str, i64); 3] = [("everysec", 0), ("always", 1), ("no", 2)];
const CLUSTER_CONFIG_SAVE_BEHAVIOR_NAMES: [(&str, i64); 2] = [("sync", 0), ("best-effort", 1)];
const CLUSTER_PREFERRED_ENDPOINT_TYPE_NAMES: [(&str, i64); 3] = [("ip", 0), ("hostname", 1), ("unknown-endpoint", 2)];
const LOGLEVEL_NAMES: [(&str, i64); 5] = [("debug", 0), ("verbose", 1), ("notice", 2), ("warning", 3), ("nothing", 4)];
const LOG_FORMAT_NAMES: [(&str, i64); 3] = [("legacy", 0), ("logfmt", 1), ("json", 2)];
const LOG_TIMESTAMP_FORMAT_NAMES: [(&str, i64); 3] = [("legacy", 0), ("iso8601", 1), ("milliseconds", 2)];
const MAXMEMORY_POLICY_NAMES: [(&str, i64); 8] = [
    ("volatile-lru", 0),
    ("volatile-lfu", 1),
    ("volatile-random", 2),
    ("volatile-ttl", 3),
    ("allkeys-lru", 4),
    ("allkeys-lfu", 5),
    ("allkeys-random", 6),
    ("noeviction", 7),
];
const OOM_SCORE_ADJ_NAMES: [(&str, i64); 4] = [("no", 0), ("yes", 1), ("relative", 1), ("absolute", 2)];
const PROPAGATION_ERROR_BEHAVIOR_NAMES: [(&str, i64); 3] = [("ignore", 0), ("panic", 1), ("panic-on-replicas", 2)];
const PROTECTED_ACTIONS: [(&str, i64); 3] = [("no", 0), ("yes", 1), ("local", 2)];
const RDB_VERSION_CHECK_NAMES: [(&str, i64); 2] = [("strict", 0), ("relaxed", 1)];
const REPL_DISKLESS_LOAD_NAMES: [(&str, i64); 4] =
    [("disabled", 0), ("on-empty-db", 1), ("swapdb", 2), ("flush-before-load", 3)];
const SHUTDOWN_WAYS: [(&str, i64); 7] =
    [("default", 0), ("save", 1), ("nosave", 2), ("now", 4), ("force", 8), ("safe", 16), ("failover", 32)];
const SUPERVISED_NAMES: [(&str, i64); 4] = [("upstart", 0), ("systemd", 1), ("auto", 2), ("no", 3)];
const SYSLOG_FACILITY_NAMES: [(&str, i64); 9] = [
    ("user", 0),
    ("local0", 1),
    ("local1", 2),
    ("local2", 3),
    ("local3", 4),
    ("local4", 5),
    ("local5", 6),
    ("local6", 7),
    ("local7", 8),
];
const TLS_AUTH_CLIENTS_NAMES: [(&str, i64); 3] = [("no", 0), ("yes", 1), ("optional", 2)];
const TLS_AUTH_CLIENTS_USER_NAMES: [(&str, i64); 3] = [("CN", 0), ("URI", 1), ("off", 2)];

macro_rules! table {
    ($($id:ident $name:literal = $row:expr;)*) => {
        /// The directives.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Setting {
            $(#[doc = concat!("`", $name, "`")] $id,)*
        }

        impl Setting {
            /// All directives, in the order of their rows.
            pub const ALL: &'static [Self] = &[$(Self::$id,)*];
        }

        /// The rows, in the order of [`Setting::ALL`].
        pub const ROWS: &[Row] = &[$($row.named($name),)*];
    };
}

table! {
    // Listening and connections.
    Port "port" = integer(0, PORT_MAX, "6379");
    Bind "bind" = addresses("* -::*");
    UnixSocket "unixsocket" = text("").at_start();
    UnixSocketPerm "unixsocketperm" = octal(0o777, "0").at_start();
    TcpBacklog "tcp-backlog" = integer(0, INT_MAX, "511").at_start();
    TcpKeepalive "tcp-keepalive" = integer(0, INT_MAX, "300");
    Timeout "timeout" = integer(0, INT_MAX, "0");
    MaxClients "maxclients" = integer(1, UINT_MAX, "10000");
    Mptcp "mptcp" = yes_no("no").at_start();
    RdmaBind "rdma-bind" = text("").not_yet(RDMA);
    RdmaCompletionVector "rdma-completion-vector" = integer(-1, 1024, "-1").at_start().not_yet(RDMA);
    RdmaPort "rdma-port" = integer(0, PORT_MAX, "0").not_yet(RDMA);
    RdmaRxSize "rdma-rx-size" = integer(65_536, 16_777_216, "1048576").at_start().not_yet(RDMA);
    SocketMarkId "socket-mark-id" = integer(0, UINT_MAX, "0").at_start();
    UnixSocketGroup "unixsocketgroup" = text("").at_start();
    MaxNewConnectionsPerCycle "max-new-connections-per-cycle" = integer(1, 1000, "10").meaningless(ACCEPT);
    MaxNewTlsConnectionsPerCycle "max-new-tls-connections-per-cycle" = integer(1, 1000, "1").meaningless(ACCEPT);

    // Clients and what they may do.
    ProtectedMode "protected-mode" = yes_no("yes");
    RequirePass "requirepass" = binary("").sensitive();
    EnableDebugCommand "enable-debug-command" = choice(&PROTECTED_ACTIONS, "no").at_start();
    EnableProtectedConfigs "enable-protected-configs" = choice(&PROTECTED_ACTIONS, "no").at_start();
    ProtoMaxBulkLen "proto-max-bulk-len" = memory(1_048_576, "536870912");
    ClientQueryBufferLimit "client-query-buffer-limit" = memory(1_048_576, "1073741824");
    ClientOutputBufferLimit "client-output-buffer-limit" =
        output_limits("normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
    EnableModuleCommand "enable-module-command" = choice(&PROTECTED_ACTIONS, "no").at_start().meaningless(NO_MODULES);
    AclPubsubDefault "acl-pubsub-default" = choice(&ACL_PUBSUB_DEFAULT_NAMES, "resetchannels").not_yet(ACCESS);
    AclFile "aclfile" = text("").at_start().not_yet(ACCESS);
    AcllogMaxLen "acllog-max-len" = integer(0, LONG_MAX, "128").not_yet(ACCESS);
    BusyReplyThreshold "busy-reply-threshold" = integer(0, LONG_MAX, "5000").alias("lua-time-limit");
    LuaEnableInsecureApi "lua-enable-insecure-api" = yes_no("no").protected().hidden().not_yet(SCRIPTS);
    LuaEnableDeprecatedApi "lua-enable-deprecated-api" = yes_no("no").protected().hidden().not_yet(SCRIPTS);
    TrackingTableMaxKeys "tracking-table-max-keys" = integer(0, LONG_MAX, "1000000");
    NotifyKeyspaceEvents "notify-keyspace-events" = text("").checked(Check::KeyEvents);
    ExtendedRedisCompatibility "extended-redis-compatibility" = yes_no("no");

    // The process and its cores.
    IoThreads "io-threads" = integer(1, 256, "1").meaningless(CORES);
    PrefetchBatchMaxSize "prefetch-batch-max-size" = integer(0, 128, "16").meaningless(CORES);
    IoThreadsAlwaysActive "io-threads-always-active" = yes_no("no").hidden().meaningless(CORES);
    MinIoThreadsAvoidCopyReply "min-io-threads-avoid-copy-reply" = integer(0, INT_MAX, "7").hidden().meaningless(CORES);
    MinStringSizeAvoidCopyReply "min-string-size-avoid-copy-reply" =
        integer(0, INT_MAX, "16384").hidden().meaningless(CORES);
    MinStringSizeAvoidCopyReplyThreaded "min-string-size-avoid-copy-reply-threaded" =
        integer(0, INT_MAX, "65536").hidden().meaningless(CORES);
    BioCpulist "bio-cpulist" = text("").alias("bio_cpulist").at_start();
    ServerCpulist "server-cpulist" = text("").alias("server_cpulist").at_start();
    CrashLogEnabled "crash-log-enabled" = yes_no("yes");
    CrashMemcheckEnabled "crash-memcheck-enabled" = yes_no("yes").meaningless(NO_MEMORY_TEST);
    Daemonize "daemonize" = yes_no("no").at_start();
    DisableThp "disable-thp" = yes_no("yes").at_start();
    OomScoreAdj "oom-score-adj" = choice(&OOM_SCORE_ADJ_NAMES, "no");
    OomScoreAdjValues "oom-score-adj-values" = oom_scores("0 200 800");
    ProcTitleTemplate "proc-title-template" =
        text("{title} {listen-addr} {server-mode}").checked(Check::TitleTemplate);
    SetProcTitle "set-proc-title" = yes_no("yes").at_start();
    ShutdownOnSigint "shutdown-on-sigint" = choices(&SHUTDOWN_WAYS, "default");
    ShutdownOnSigterm "shutdown-on-sigterm" = choices(&SHUTDOWN_WAYS, "default");
    ShutdownTimeout "shutdown-timeout" = integer(0, INT_MAX, "10").meaningless(NO_REPLICAS);
    Supervised "supervised" = choice(&SUPERVISED_NAMES, "no").at_start();
    Dir "dir" = text("").checked(Check::NotEmpty).protected().not_while_loading();
    PidFile "pidfile" = text("").at_start();
    IgnoreWarnings "ignore-warnings" = text("").meaningless(OWN_CHECKS);
    AlwaysShowLogo "always-show-logo" = yes_no("no").at_start().meaningless(NO_LOGO);
    UseExitOnPanic "use-exit-on-panic" = yes_no("no").hidden().meaningless(OWN_TESTS);
    EnableDebugAssert "enable-debug-assert" = yes_no("no").at_start().hidden().meaningless(OWN_TESTS);
    DebugContext "debug-context" = text("").hidden().meaningless(OWN_TESTS);
    KeyLoadDelay "key-load-delay" = integer(INT_MIN, INT_MAX, "0").hidden().meaningless(OWN_TESTS);
    WatchdogPeriod "watchdog-period" = integer(0, INT_MAX, "0").hidden().meaningless(NO_WATCHDOG);
    Cores "cores" = integer(0, 256, "0").at_start();
    // `no`, or the first of as many ports as there are cores: core N listens on the first plus N, and shows itself there as
    // a node of a cluster, which needs `cluster-enabled yes`.
    CorePorts "core-ports" = port_or_no("no").at_start();

    // Logs and observation.
    LogLevel "loglevel" = choice(&LOGLEVEL_NAMES, "notice");
    LogFile "logfile" = text("").at_start();
    HideUserDataFromLog "hide-user-data-from-log" = yes_no("yes");
    LogFormat "log-format" = choice(&LOG_FORMAT_NAMES, "legacy");
    LogTimestampFormat "log-timestamp-format" = choice(&LOG_TIMESTAMP_FORMAT_NAMES, "legacy");
    SyslogEnabled "syslog-enabled" = yes_no("no").at_start();
    SyslogFacility "syslog-facility" = choice(&SYSLOG_FACILITY_NAMES, "local0").at_start();
    SyslogIdent "syslog-ident" = text("valkey").at_start();
    CommandlogExecutionSlowerThan "commandlog-execution-slower-than" =
        integer(-1, LONG_MAX, "10000").alias("slowlog-log-slower-than");
    CommandlogLargeReplyMaxLen "commandlog-large-reply-max-len" = integer(0, LONG_MAX, "128");
    CommandlogLargeRequestMaxLen "commandlog-large-request-max-len" = integer(0, LONG_MAX, "128");
    CommandlogReplyLargerThan "commandlog-reply-larger-than" = integer(-1, LONG_MAX, "1048576");
    CommandlogRequestLargerThan "commandlog-request-larger-than" = integer(-1, LONG_MAX, "1048576");
    CommandlogSlowExecutionMaxLen "commandlog-slow-execution-max-len" =
        integer(0, LONG_MAX, "128").alias("slowlog-max-len");
    LatencyMonitorThreshold "latency-monitor-threshold" = integer(0, LONG_MAX, "0");
    LatencyTracking "latency-tracking" = yes_no("yes");
    LatencyTrackingInfoPercentiles "latency-tracking-info-percentiles" = percentiles("50 99 99.9");

    // Keys, memory and encodings.
    Databases "databases" = integer(1, INT_MAX, "16").at_start();
    Hz "hz" = integer(0, INT_MAX, "10").clamped(1, 500);
    ActiveExpireEffort "active-expire-effort" = integer(1, 10, "1").meaningless(SWEEPS);
    LazyfreeLazyEviction "lazyfree-lazy-eviction" = yes_no("yes");
    LazyfreeLazyExpire "lazyfree-lazy-expire" = yes_no("yes");
    LazyfreeLazyServerDel "lazyfree-lazy-server-del" = yes_no("yes");
    LazyfreeLazyUserDel "lazyfree-lazy-user-del" = yes_no("yes");
    LazyfreeLazyUserFlush "lazyfree-lazy-user-flush" = yes_no("yes");
    HashSeed "hash-seed" = binary("").at_start();
    LfuDecayTime "lfu-decay-time" = integer(0, INT_MAX, "1");
    LfuLogFactor "lfu-log-factor" = integer(0, INT_MAX, "10");
    MaxMemory "maxmemory" = memory(i64::MIN, "0").not_yet(EVICTION);
    MaxMemoryClients "maxmemory-clients" = memory_or_percent("0");
    MaxMemoryEvictionTenacity "maxmemory-eviction-tenacity" = integer(0, 100, "10").not_yet(EVICTION);
    MaxMemoryPolicy "maxmemory-policy" = choice(&MAXMEMORY_POLICY_NAMES, "noeviction").not_yet(POLICY);
    MaxMemorySamples "maxmemory-samples" = integer(1, 64, "5").not_yet(EVICTION);
    ActiveDefragCycleMax "active-defrag-cycle-max" = integer(1, 99, "25").meaningless(SEGMENTS);
    ActiveDefragCycleMin "active-defrag-cycle-min" = integer(1, 99, "1").meaningless(SEGMENTS);
    ActiveDefragCycleUs "active-defrag-cycle-us" = integer(0, 100_000, "500").meaningless(SEGMENTS);
    ActiveDefragIgnoreBytes "active-defrag-ignore-bytes" = memory(1, "104857600").meaningless(SEGMENTS);
    ActiveDefragMaxScanFields "active-defrag-max-scan-fields" = integer(1, LONG_MAX, "1000").meaningless(SEGMENTS);
    ActiveDefragThresholdLower "active-defrag-threshold-lower" = integer(0, 1000, "10").meaningless(SEGMENTS);
    ActiveDefragThresholdUpper "active-defrag-threshold-upper" = integer(0, 1000, "100").meaningless(SEGMENTS);
    Activedefrag "activedefrag" = yes_no("no").meaningless(SEGMENTS);
    Activerehashing "activerehashing" = yes_no("yes").meaningless(SEGMENTS);
    JemallocBgThread "jemalloc-bg-thread" = yes_no("yes");
    HashMaxListpackEntries "hash-max-listpack-entries" =
        integer(0, LONG_MAX, "512").alias("hash-max-ziplist-entries");
    HashMaxListpackValue "hash-max-listpack-value" = memory(0, "64").alias("hash-max-ziplist-value");
    HllSparseMaxBytes "hll-sparse-max-bytes" = memory(0, "3000");
    ListCompressDepth "list-compress-depth" = integer(0, INT_MAX, "0").not_yet(COMPRESSION);
    ListMaxListpackSize "list-max-listpack-size" =
        integer(INT_MIN, INT_MAX, "-2").alias("list-max-ziplist-size");
    LocaleCollate "locale-collate" = text("").not_yet(COLLATION);
    SetMaxIntsetEntries "set-max-intset-entries" = integer(0, LONG_MAX, "512");
    SetMaxListpackEntries "set-max-listpack-entries" = integer(0, LONG_MAX, "128");
    SetMaxListpackValue "set-max-listpack-value" = integer(0, LONG_MAX, "64");
    StreamNodeMaxBytes "stream-node-max-bytes" = memory(0, "4096");
    StreamNodeMaxEntries "stream-node-max-entries" = integer(0, LONG_MAX, "100");
    ZsetMaxListpackEntries "zset-max-listpack-entries" =
        integer(0, LONG_MAX, "128").alias("zset-max-ziplist-entries");
    ZsetMaxListpackValue "zset-max-listpack-value" = memory(0, "64").alias("zset-max-ziplist-value");

    // Persistence.
    AofLoadTruncated "aof-load-truncated" = yes_no("yes").not_yet(PERSISTENCE);
    AofRewriteIncrementalFsync "aof-rewrite-incremental-fsync" = yes_no("yes").not_yet(PERSISTENCE);
    AofTimestampEnabled "aof-timestamp-enabled" = yes_no("no").not_yet(PERSISTENCE);
    AofUseRdbPreamble "aof-use-rdb-preamble" = yes_no("yes").not_yet(PERSISTENCE);
    Appenddirname "appenddirname" = text("appendonlydir").checked(Check::DirectoryName).at_start().not_yet(PERSISTENCE);
    Appendfilename "appendfilename" = text("appendonly.aof").checked(Check::FileName).at_start().not_yet(PERSISTENCE);
    Appendfsync "appendfsync" = choice(&APPENDFSYNC_NAMES, "everysec").not_yet(PERSISTENCE);
    AppendOnly "appendonly" = yes_no("no").not_while_loading().not_yet(PERSISTENCE);
    AutoAofRewriteMinSize "auto-aof-rewrite-min-size" = memory(0, "67108864").not_yet(PERSISTENCE);
    AutoAofRewritePercentage "auto-aof-rewrite-percentage" = integer(0, INT_MAX, "100").not_yet(PERSISTENCE);
    DbFilename "dbfilename" = text("dump.rdb").checked(Check::FileName).protected().not_yet(PERSISTENCE);
    NoAppendfsyncOnRewrite "no-appendfsync-on-rewrite" = yes_no("no").not_yet(PERSISTENCE);
    RdbSaveIncrementalFsync "rdb-save-incremental-fsync" = yes_no("yes").not_yet(PERSISTENCE);
    RdbVersionCheck "rdb-version-check" = choice(&RDB_VERSION_CHECK_NAMES, "strict");
    Rdbchecksum "rdbchecksum" = yes_no("yes").at_start().not_yet(PERSISTENCE);
    Rdbcompression "rdbcompression" = yes_no("yes");
    Save "save" = save_points("3600 1 300 100 60 10000").not_yet(PERSISTENCE);
    StopWritesOnBgsaveError "stop-writes-on-bgsave-error" = yes_no("yes").not_yet(PERSISTENCE);
    AofDisableAutoGc "aof-disable-auto-gc" = yes_no("no").hidden().not_yet(PERSISTENCE);
    RdbKeySaveDelay "rdb-key-save-delay" = integer(INT_MIN, INT_MAX, "0").hidden().not_yet(PERSISTENCE);
    LoadingProcessEventsIntervalBytes "loading-process-events-interval-bytes" =
        integer(1024, INT_MAX, "2097152").hidden().not_yet(PERSISTENCE);
    AofRewriteCpulist "aof-rewrite-cpulist" = text("").alias("aof_rewrite_cpulist").at_start().meaningless(NO_FORK);
    BgsaveCpulist "bgsave-cpulist" = text("").alias("bgsave_cpulist").at_start().meaningless(NO_FORK);

    // Replication.
    AvailabilityZone "availability-zone" = binary("");
    BindSourceAddr "bind-source-addr" = text("").not_yet(REPLICATION);
    DualChannelReplicationEnabled "dual-channel-replication-enabled" = yes_no("no").not_yet(REPLICATION);
    ImportMode "import-mode" = yes_no("no");
    MinReplicasMaxLag "min-replicas-max-lag" =
        integer(0, INT_MAX, "10").alias("min-slaves-max-lag").not_yet(REPLICATION);
    MinReplicasToWrite "min-replicas-to-write" =
        integer(0, INT_MAX, "0").alias("min-slaves-to-write").not_yet(REPLICATION);
    Primaryauth "primaryauth" = binary("").alias("masterauth").sensitive().not_yet(REPLICATION);
    Primaryuser "primaryuser" = text("").alias("masteruser").sensitive().not_yet(REPLICATION);
    PropagationErrorBehavior "propagation-error-behavior" =
        choice(&PROPAGATION_ERROR_BEHAVIOR_NAMES, "ignore").not_yet(REPLICATION);
    RdbDelSyncFiles "rdb-del-sync-files" = yes_no("no").not_yet(REPLICATION);
    ReplBacklogSize "repl-backlog-size" = memory(1, "10485760").clamped(16_384, LONG_MAX).not_yet(REPLICATION);
    ReplBacklogTtl "repl-backlog-ttl" = integer(0, LONG_MAX, "3600").not_yet(REPLICATION);
    ReplDisableTcpNodelay "repl-disable-tcp-nodelay" = yes_no("no").not_yet(REPLICATION);
    ReplDisklessLoad "repl-diskless-load" =
        choice(&REPL_DISKLESS_LOAD_NAMES, "disabled").not_while_loading().not_yet(REPLICATION);
    ReplDisklessSync "repl-diskless-sync" = yes_no("yes").not_yet(REPLICATION);
    ReplDisklessSyncDelay "repl-diskless-sync-delay" = integer(0, INT_MAX, "5").not_yet(REPLICATION);
    ReplDisklessSyncMaxReplicas "repl-diskless-sync-max-replicas" = integer(0, INT_MAX, "0").not_yet(REPLICATION);
    ReplMptcp "repl-mptcp" = yes_no("no").at_start().not_yet(REPLICATION);
    ReplPingReplicaPeriod "repl-ping-replica-period" =
        integer(1, INT_MAX, "10").alias("repl-ping-slave-period").not_yet(REPLICATION);
    ReplTimeout "repl-timeout" = integer(1, INT_MAX, "60").not_yet(REPLICATION);
    ReplicaAnnounceIp "replica-announce-ip" = text("").alias("slave-announce-ip").not_yet(REPLICATION);
    ReplicaAnnouncePort "replica-announce-port" =
        integer(0, PORT_MAX, "0").alias("slave-announce-port").not_yet(REPLICATION);
    ReplicaAnnounced "replica-announced" = yes_no("yes").not_yet(REPLICATION);
    ReplicaIgnoreDiskWriteErrors "replica-ignore-disk-write-errors" = yes_no("no").not_yet(REPLICATION);
    ReplicaIgnoreMaxmemory "replica-ignore-maxmemory" =
        yes_no("yes").alias("slave-ignore-maxmemory").not_yet(REPLICATION);
    ReplicaLazyFlush "replica-lazy-flush" = yes_no("yes").alias("slave-lazy-flush").not_yet(REPLICATION);
    ReplicaPriority "replica-priority" = integer(0, INT_MAX, "100").alias("slave-priority").not_yet(REPLICATION);
    ReplicaReadOnly "replica-read-only" = yes_no("yes").alias("slave-read-only").not_yet(REPLICATION);
    ReplicaServeStaleData "replica-serve-stale-data" =
        yes_no("yes").alias("slave-serve-stale-data").not_yet(REPLICATION);
    ReplicaOf "replicaof" = primary("").alias("slaveof").at_start().not_yet(REPLICATION);

    // Cluster.
    ClusterAllowPubsubshardWhenDown "cluster-allow-pubsubshard-when-down" = yes_no("yes");
    ClusterAllowReadsWhenDown "cluster-allow-reads-when-down" = yes_no("no");
    ClusterAllowReplicaMigration "cluster-allow-replica-migration" = yes_no("yes").not_yet(CLUSTER);
    ClusterAnnounceBusPort "cluster-announce-bus-port" = integer(0, PORT_MAX, "0");
    ClusterAnnounceClientIpv4 "cluster-announce-client-ipv4" = text("").checked(Check::Ipv4);
    ClusterAnnounceClientIpv6 "cluster-announce-client-ipv6" = text("").checked(Check::Ipv6);
    ClusterAnnounceClientPort "cluster-announce-client-port" = integer(0, PORT_MAX, "0");
    ClusterAnnounceClientTlsPort "cluster-announce-client-tls-port" = integer(0, PORT_MAX, "0").not_yet(TLS);
    ClusterAnnounceHostname "cluster-announce-hostname" = text("").checked(Check::HostName);
    ClusterAnnounceHumanNodename "cluster-announce-human-nodename" = text("").checked(Check::NodeName);
    ClusterAnnounceIp "cluster-announce-ip" = text("").checked(Check::AnnouncedAddress);
    ClusterAnnouncePort "cluster-announce-port" = integer(0, PORT_MAX, "0");
    ClusterAnnounceTlsPort "cluster-announce-tls-port" = integer(0, PORT_MAX, "0").not_yet(TLS);
    ClusterBlacklistTtl "cluster-blacklist-ttl" = integer(i64::MIN, LONG_MAX, "60").not_yet(CLUSTER);
    ClusterConfigFile "cluster-config-file" = text("nodes.conf").checked(Check::NotEmpty).at_start();
    ClusterConfigSaveBehavior "cluster-config-save-behavior" =
        choice(&CLUSTER_CONFIG_SAVE_BEHAVIOR_NAMES, "sync");
    ClusterDatabases "cluster-databases" = integer(1, INT_MAX, "1").at_start();
    ClusterEnabled "cluster-enabled" = yes_no("no").at_start();
    ClusterLinkSendbufLimit "cluster-link-sendbuf-limit" = memory(i64::MIN, "0").not_yet(CLUSTER);
    ClusterManualFailoverTimeout "cluster-manual-failover-timeout" = integer(1, INT_MAX, "5000").not_yet(CLUSTER);
    ClusterMigrationBarrier "cluster-migration-barrier" = integer(0, INT_MAX, "1").not_yet(CLUSTER);
    ClusterNodeTimeout "cluster-node-timeout" = integer(0, LONG_MAX, "15000").not_yet(CLUSTER);
    ClusterPort "cluster-port" = integer(0, PORT_MAX, "0").at_start();
    ClusterPreferredEndpointType "cluster-preferred-endpoint-type" =
        choice(&CLUSTER_PREFERRED_ENDPOINT_TYPE_NAMES, "ip");
    ClusterReplicaNoFailover "cluster-replica-no-failover" =
        yes_no("no").alias("cluster-slave-no-failover").not_yet(CLUSTER);
    ClusterReplicaValidityFactor "cluster-replica-validity-factor" =
        integer(0, INT_MAX, "10").alias("cluster-slave-validity-factor").not_yet(CLUSTER);
    ClusterRequireFullCoverage "cluster-require-full-coverage" = yes_no("yes");
    ClusterSlotMigrationLogMaxLen "cluster-slot-migration-log-max-len" = integer(0, LONG_MAX, "1000").not_yet(CLUSTER);
    ClusterSlotStatsEnabled "cluster-slot-stats-enabled" = yes_no("no").not_yet(CLUSTER);
    SlotMigrationMaxFailoverReplBytes "slot-migration-max-failover-repl-bytes" =
        memory_or_minus_one("0").not_yet(CLUSTER);
    ClusterPingInterval "cluster-ping-interval" = integer(0, LONG_MAX, "0").hidden().not_yet(CLUSTER);

    // TLS.
    TlsAuthClients "tls-auth-clients" = choice(&TLS_AUTH_CLIENTS_NAMES, "yes").not_yet(TLS);
    TlsAuthClientsUser "tls-auth-clients-user" = choice(&TLS_AUTH_CLIENTS_USER_NAMES, "off").not_yet(TLS);
    TlsAutoReloadInterval "tls-auto-reload-interval" = integer(0, INT_MAX, "0").not_yet(TLS);
    TlsCaCertDir "tls-ca-cert-dir" = text("").not_yet(TLS);
    TlsCaCertFile "tls-ca-cert-file" = text("").not_yet(TLS);
    TlsCertFile "tls-cert-file" = text("").not_yet(TLS);
    TlsCiphers "tls-ciphers" = text("").not_yet(TLS);
    TlsCiphersuites "tls-ciphersuites" = text("").not_yet(TLS);
    TlsClientCertFile "tls-client-cert-file" = text("").not_yet(TLS);
    TlsClientKeyFile "tls-client-key-file" = text("").not_yet(TLS);
    TlsClientKeyFilePass "tls-client-key-file-pass" = text("").sensitive().not_yet(TLS);
    TlsCluster "tls-cluster" = yes_no("no").not_yet(TLS);
    TlsDhParamsFile "tls-dh-params-file" = text("").not_yet(TLS);
    TlsKeyFile "tls-key-file" = text("").not_yet(TLS);
    TlsKeyFilePass "tls-key-file-pass" = text("").sensitive().not_yet(TLS);
    TlsPort "tls-port" = integer(0, PORT_MAX, "0").not_yet(TLS);
    TlsPreferServerCiphers "tls-prefer-server-ciphers" = yes_no("no").not_yet(TLS);
    TlsProtocols "tls-protocols" = text("").not_yet(TLS);
    TlsReplication "tls-replication" = yes_no("no").not_yet(TLS);
    TlsSessionCacheSize "tls-session-cache-size" = integer(0, INT_MAX, "20480").not_yet(TLS);
    TlsSessionCacheTimeout "tls-session-cache-timeout" = integer(0, INT_MAX, "300").not_yet(TLS);
    TlsSessionCaching "tls-session-caching" = yes_no("yes").not_yet(TLS);
}
