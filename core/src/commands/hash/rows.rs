//! Rows of the commands for hashes.

use crate::command::keys::{KeyFlags, KeySpec};
use crate::command::row::{Acl, Argument, Command, Flags, Group, Run};

/// The rows, by name.
pub static ROWS: &[Command] = &[
    Command {
        id: 158,
        name: "hdel",
        arity: -3,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::DELETE))],
        since: "2.0.0",
        complexity: "O(N), N = fields",
        summary: "Removes fields of a hash, and the hash with its last one.",
        history: &[("2.4.0", "Several fields in a call.")],
        arguments: &[Argument::key("key", 0), Argument::string("field").multiple()],
        run: Run::OnShard(super::hdel),
        ..Command::DEFAULT
    },
    Command {
        id: 160,
        name: "hexists",
        arity: 3,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Tells whether a hash has a field.",
        arguments: &[Argument::key("key", 0), Argument::string("field")],
        run: Run::OnShard(super::hexists),
        ..Command::DEFAULT
    },
    Command {
        id: 161,
        name: "hexpire",
        arity: -6,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::UPDATE))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Gives fields of a hash a number of seconds to live.",
        arguments: &[
            Argument::key("key", 0),
            Argument::integer("seconds"),
            Argument::one_of(
                "condition",
                &[
                    Argument::word("nx", "NX"),
                    Argument::word("xx", "XX"),
                    Argument::word("gt", "GT"),
                    Argument::word("lt", "LT"),
                ],
            )
            .optional(),
            Argument::block("fields", &[Argument::integer("numfields"), Argument::string("field").multiple()])
                .after("FIELDS"),
        ],
        run: Run::OnShard(super::hexpire),
        ..Command::DEFAULT
    },
    Command {
        id: 162,
        name: "hexpireat",
        arity: -6,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::UPDATE))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Sets the second, in Unix time, at which fields of a hash end.",
        arguments: &[
            Argument::key("key", 0),
            Argument::integer("unix-time-seconds"),
            Argument::one_of(
                "condition",
                &[
                    Argument::word("nx", "NX"),
                    Argument::word("xx", "XX"),
                    Argument::word("gt", "GT"),
                    Argument::word("lt", "LT"),
                ],
            )
            .since("9.0.0")
            .optional(),
            Argument::block(
                "fields",
                &[Argument::integer("numfields").key_spec(0), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::hexpireat),
        ..Command::DEFAULT
    },
    Command {
        id: 163,
        name: "hexpiretime",
        arity: -5,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Tells the second, in Unix time, at which fields of a hash end.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block(
                "fields",
                &[Argument::integer("numfields").key_spec(0), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::hexpiretime),
        ..Command::DEFAULT
    },
    Command {
        id: 164,
        name: "hget",
        arity: 3,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Reads a field of a hash.",
        arguments: &[Argument::key("key", 0), Argument::string("field")],
        run: Run::OnShard(super::hget),
        ..Command::DEFAULT
    },
    Command {
        id: 165,
        name: "hgetall",
        arity: 2,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::HASH).with(Acl::SLOW),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        tips: &["nondeterministic_output_order"],
        since: "2.0.0",
        complexity: "O(N), N = fields of the hash",
        summary: "Reads all fields of a hash with their values.",
        arguments: &[Argument::key("key", 0)],
        run: Run::OnShard(super::hgetall),
        ..Command::DEFAULT
    },
    Command {
        id: 166,
        name: "hgetdel",
        arity: -5,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE))],
        since: "9.1.0",
        complexity: "O(N), N = fields",
        summary: "Reads fields of a hash and removes them.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block(
                "fields",
                &[Argument::integer("numfields").key_spec(0), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::hgetdel),
        ..Command::DEFAULT
    },
    Command {
        id: 167,
        name: "hgetex",
        arity: -5,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Reads fields of a hash and can change when they end.",
        arguments: &[
            Argument::key("key", 0),
            Argument::one_of(
                "expiration",
                &[
                    Argument::integer("seconds").after("EX"),
                    Argument::integer("milliseconds").after("PX"),
                    Argument::unix_time("unix-time-seconds").after("EXAT"),
                    Argument::unix_time("unix-time-milliseconds").after("PXAT"),
                    Argument::word("persist", "PERSIST"),
                ],
            )
            .optional(),
            Argument::block(
                "fields",
                &[Argument::integer("numfields").key_spec(0), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::hgetex),
        ..Command::DEFAULT
    },
    Command {
        id: 168,
        name: "hincrby",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE))],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Adds to the integer in a field; an absent field counts as zero.",
        arguments: &[Argument::key("key", 0), Argument::string("field"), Argument::integer("increment")],
        run: Run::OnShard(super::hincrby),
        ..Command::DEFAULT
    },
    Command {
        id: 169,
        name: "hincrbyfloat",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE))],
        since: "2.6.0",
        complexity: "O(1)",
        summary: "Adds to the floating point number in a field; an absent field counts as zero.",
        arguments: &[Argument::key("key", 0), Argument::string("field"), Argument::double("increment")],
        run: Run::OnShard(super::hincrbyfloat),
        ..Command::DEFAULT
    },
    Command {
        id: 170,
        name: "hkeys",
        arity: 2,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::HASH).with(Acl::SLOW),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        tips: &["nondeterministic_output_order"],
        since: "2.0.0",
        complexity: "O(N), N = fields of the hash",
        summary: "Names all fields of a hash.",
        arguments: &[Argument::key("key", 0)],
        run: Run::OnShard(super::hkeys),
        ..Command::DEFAULT
    },
    Command {
        id: 171,
        name: "hlen",
        arity: 2,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Counts the fields of a hash.",
        arguments: &[Argument::key("key", 0)],
        run: Run::OnShard(super::hlen),
        ..Command::DEFAULT
    },
    Command {
        id: 172,
        name: "hmget",
        arity: -3,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.0.0",
        complexity: "O(N), N = fields",
        summary: "Reads several fields of a hash.",
        arguments: &[Argument::key("key", 0), Argument::string("field").multiple()],
        run: Run::OnShard(super::hmget),
        ..Command::DEFAULT
    },
    Command {
        id: 173,
        name: "hmset",
        arity: -4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::UPDATE))],
        since: "2.0.0",
        complexity: "O(N), N = fields",
        summary: "Sets several fields of a hash; the older form of HSET.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block("data", &[Argument::string("field"), Argument::string("value")]).multiple(),
        ],
        run: Run::OnShard(super::hmset),
        ..Command::DEFAULT
    },
    Command {
        id: 174,
        name: "hpersist",
        arity: -5,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::UPDATE))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Lets fields of a hash live without an end.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block(
                "fields",
                &[Argument::integer("numfields").key_spec(0), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::hpersist),
        ..Command::DEFAULT
    },
    Command {
        id: 175,
        name: "hpexpire",
        arity: -6,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::UPDATE))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Gives fields of a hash a number of milliseconds to live.",
        arguments: &[
            Argument::key("key", 0),
            Argument::integer("milliseconds"),
            Argument::one_of(
                "condition",
                &[
                    Argument::word("nx", "NX"),
                    Argument::word("xx", "XX"),
                    Argument::word("gt", "GT"),
                    Argument::word("lt", "LT"),
                ],
            )
            .since("9.0.0")
            .optional(),
            Argument::block(
                "fields",
                &[Argument::integer("numfields").key_spec(0), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::hpexpire),
        ..Command::DEFAULT
    },
    Command {
        id: 176,
        name: "hpexpireat",
        arity: -6,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::UPDATE))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Sets the millisecond, in Unix time, at which fields of a hash end.",
        arguments: &[
            Argument::key("key", 0),
            Argument::integer("unix-time-milliseconds"),
            Argument::one_of(
                "condition",
                &[
                    Argument::word("nx", "NX"),
                    Argument::word("xx", "XX"),
                    Argument::word("gt", "GT"),
                    Argument::word("lt", "LT"),
                ],
            )
            .since("9.0.0")
            .optional(),
            Argument::block(
                "fields",
                &[Argument::integer("numfields").key_spec(0), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::hpexpireat),
        ..Command::DEFAULT
    },
    Command {
        id: 177,
        name: "hpexpiretime",
        arity: -5,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Tells the millisecond, in Unix time, at which fields of a hash end.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block(
                "fields",
                &[Argument::integer("numfields").key_spec(0), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::hpexpiretime),
        ..Command::DEFAULT
    },
    Command {
        id: 178,
        name: "hpttl",
        arity: -5,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Tells how many milliseconds fields of a hash have left.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block(
                "fields",
                &[Argument::integer("numfields").key_spec(0), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::hpttl),
        ..Command::DEFAULT
    },
    Command {
        id: 179,
        name: "hrandfield",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::HASH).with(Acl::SLOW),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        tips: &["nondeterministic_output"],
        since: "6.2.0",
        complexity: "O(N), N = fields returned",
        summary: "Picks fields of a hash at random.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block(
                "options",
                &[Argument::integer("count"), Argument::word("withvalues", "WITHVALUES").optional()],
            )
            .optional(),
        ],
        run: Run::OnShard(super::hrandfield),
        ..Command::DEFAULT
    },
    Command {
        id: 180,
        name: "hscan",
        arity: -3,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::HASH).with(Acl::SLOW),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        tips: &["nondeterministic_output"],
        since: "2.8.0",
        complexity: "O(1) a call, O(N) for all N fields",
        summary: "Walks through the fields of a hash in steps.",
        arguments: &[
            Argument::key("key", 0),
            Argument::integer("cursor"),
            Argument::pattern("pattern").after("MATCH").optional(),
            Argument::integer("count").after("COUNT").optional(),
            Argument::word("novalues", "NOVALUES").optional(),
        ],
        run: Run::OnShard(super::hscan),
        ..Command::DEFAULT
    },
    Command {
        id: 181,
        name: "hset",
        arity: -4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::UPDATE))],
        since: "2.0.0",
        complexity: "O(1) for each field",
        summary: "Sets fields of a hash, which is made if it was absent.",
        history: &[("4.0.0", "Several fields in a call.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::block("data", &[Argument::string("field"), Argument::string("value")]).multiple(),
        ],
        run: Run::OnShard(super::hset),
        ..Command::DEFAULT
    },
    Command {
        id: 182,
        name: "hsetex",
        arity: -6,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::INSERT))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Sets fields of a hash and when they end.",
        arguments: &[
            Argument::key("key", 0),
            Argument::one_of("key-condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")]).optional(),
            Argument::one_of("fields-condition", &[Argument::word("fnx", "FNX"), Argument::word("fxx", "FXX")])
                .optional(),
            Argument::one_of(
                "expiration",
                &[
                    Argument::integer("seconds").after("EX"),
                    Argument::integer("milliseconds").after("PX"),
                    Argument::unix_time("unix-time-seconds").after("EXAT"),
                    Argument::unix_time("unix-time-milliseconds").after("PXAT"),
                    Argument::word("keepttl", "KEEPTTL"),
                ],
            )
            .optional(),
            Argument::block(
                "fields",
                &[
                    Argument::integer("numfields").key_spec(0),
                    Argument::block("data", &[Argument::string("field"), Argument::string("value")]).multiple(),
                ],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::hsetex),
        ..Command::DEFAULT
    },
    Command {
        id: 183,
        name: "hsetnx",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::INSERT))],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Sets a field of a hash if it is absent.",
        arguments: &[Argument::key("key", 0), Argument::string("field"), Argument::string("value")],
        run: Run::OnShard(super::hsetnx),
        ..Command::DEFAULT
    },
    Command {
        id: 184,
        name: "hstrlen",
        arity: 3,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        since: "3.2.0",
        complexity: "O(1)",
        summary: "Tells the length of a field's value.",
        arguments: &[Argument::key("key", 0), Argument::string("field")],
        run: Run::OnShard(super::hstrlen),
        ..Command::DEFAULT
    },
    Command {
        id: 185,
        name: "httl",
        arity: -5,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::HASH).with(Acl::FAST),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "9.0.0",
        complexity: "O(N), N = fields",
        summary: "Tells how many seconds fields of a hash have left.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block(
                "fields",
                &[Argument::integer("numfields").key_spec(0), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        run: Run::OnShard(super::httl),
        ..Command::DEFAULT
    },
    Command {
        id: 186,
        name: "hvals",
        arity: 2,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::HASH).with(Acl::SLOW),
        group: Group::Hash,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        tips: &["nondeterministic_output_order"],
        since: "2.0.0",
        complexity: "O(N), N = fields of the hash",
        summary: "Reads the values of all fields of a hash.",
        arguments: &[Argument::key("key", 0)],
        run: Run::OnShard(super::hvals),
        ..Command::DEFAULT
    },
];
