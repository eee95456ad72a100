//! Rows of the commands for sorted sets.

use crate::command::keys::{Begin, Find, KeyFlags, KeySpec};
use crate::command::row::{Acl, Argument, Command, Flags, Group};

/// The rows, by name.
pub static ROWS: &[Command] = &[
    Command {
        id: 29,
        name: "bzmpop",
        arity: -5,
        flags: Flags::WRITE.with(Flags::BLOCKING).with(Flags::MOVABLEKEYS),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::SLOW).with(Acl::BLOCKING),
        group: Group::SortedSet,
        keys: &[KeySpec::counted(2, 1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE))],
        since: "7.0.0",
        complexity: "O(K+M*log(N)), K = keys, M = members taken, N = members of the set",
        summary: "Takes the lowest or highest members of the first sorted set that has any, and waits if none has.",
        arguments: &[
            Argument::double("timeout"),
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::one_of("where", &[Argument::word("min", "MIN"), Argument::word("max", "MAX")]),
            Argument::integer("count").after("COUNT").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 30,
        name: "bzpopmax",
        arity: -3,
        flags: Flags::WRITE.with(Flags::BLOCKING).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::FAST).with(Acl::BLOCKING),
        group: Group::SortedSet,
        keys: &[KeySpec::new(
            Begin::Index(1),
            Find::Range { last: -2, step: 1, limit: 0 },
            KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE),
        )],
        since: "5.0.0",
        complexity: "O(log(N)), N = members",
        summary: "Takes the highest member of the first sorted set that has one, and waits if none has.",
        history: &[("6.0.0", "The timeout may have a fraction.")],
        arguments: &[Argument::key("key", 0).multiple(), Argument::double("timeout")],
        ..Command::DEFAULT
    },
    Command {
        id: 31,
        name: "bzpopmin",
        arity: -3,
        flags: Flags::WRITE.with(Flags::BLOCKING).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::FAST).with(Acl::BLOCKING),
        group: Group::SortedSet,
        keys: &[KeySpec::new(
            Begin::Index(1),
            Find::Range { last: -2, step: 1, limit: 0 },
            KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE),
        )],
        since: "5.0.0",
        complexity: "O(log(N)), N = members",
        summary: "Takes the lowest member of the first sorted set that has one, and waits if none has.",
        history: &[("6.0.0", "The timeout may have a fraction.")],
        arguments: &[Argument::key("key", 0).multiple(), Argument::double("timeout")],
        ..Command::DEFAULT
    },
    Command {
        id: 367,
        name: "zadd",
        arity: -4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::UPDATE))],
        since: "1.2.0",
        complexity: "O(log(N)) for each member, N = members",
        summary: "Adds members with scores to a sorted set, or changes scores.",
        history: &[("2.4.0", "Several members in a call."), ("3.0.2", "XX, NX, CH and INCR."), ("6.2.0", "GT and LT.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")])
                .since("3.0.2")
                .optional(),
            Argument::one_of("comparison", &[Argument::word("gt", "GT"), Argument::word("lt", "LT")])
                .since("6.2.0")
                .optional(),
            Argument::word("change", "CH").since("3.0.2").optional(),
            Argument::word("increment", "INCR").since("3.0.2").optional(),
            Argument::block("data", &[Argument::double("score"), Argument::string("member")]).multiple(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 368,
        name: "zcard",
        arity: 2,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO)],
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Counts the members of a sorted set.",
        arguments: &[Argument::key("key", 0)],
        ..Command::DEFAULT
    },
    Command {
        id: 369,
        name: "zcount",
        arity: 4,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.0.0",
        complexity: "O(log(N)), N = members",
        summary: "Counts the members whose scores lie in a range.",
        arguments: &[Argument::key("key", 0), Argument::double("min"), Argument::double("max")],
        ..Command::DEFAULT
    },
    Command {
        id: 370,
        name: "zdiff",
        arity: -3,
        flags: Flags::READONLY.with(Flags::MOVABLEKEYS),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::counted(1, 1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "6.2.0",
        complexity: "O(L+(N-K)*log(N)), L = all members, N = members of the first set, K = members returned",
        summary: "Tells the members of the first sorted set that no other has.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 371,
        name: "zdiffstore",
        arity: -4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::MOVABLEKEYS),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.with(KeyFlags::UPDATE)),
            KeySpec::counted(2, 1, KeyFlags::RO.with(KeyFlags::ACCESS)),
        ],
        since: "6.2.0",
        complexity: "O(L+(N-K)*log(N)), L = all members, N = members of the first set, K = members stored",
        summary: "Stores the members of the first sorted set that no other has.",
        arguments: &[Argument::key("destination", 0), Argument::integer("numkeys"), Argument::key("key", 1).multiple()],
        ..Command::DEFAULT
    },
    Command {
        id: 372,
        name: "zincrby",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE))],
        since: "1.2.0",
        complexity: "O(log(N)), N = members",
        summary: "Adds to the score of a member.",
        arguments: &[Argument::key("key", 0), Argument::integer("increment"), Argument::string("member")],
        ..Command::DEFAULT
    },
    Command {
        id: 373,
        name: "zinter",
        arity: -3,
        flags: Flags::READONLY.with(Flags::MOVABLEKEYS),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::counted(1, 1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "6.2.0",
        complexity: "O(N*K)+O(M*log(M)), N = members of the smallest set, K = sets, M = members returned",
        summary: "Tells the members that all sorted sets share.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::integer("weight").after("WEIGHTS").optional().multiple(),
            Argument::one_of(
                "aggregate",
                &[Argument::word("sum", "SUM"), Argument::word("min", "MIN"), Argument::word("max", "MAX")],
            )
            .after("AGGREGATE")
            .optional(),
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 374,
        name: "zintercard",
        arity: -3,
        flags: Flags::READONLY.with(Flags::MOVABLEKEYS),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::counted(1, 1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "7.0.0",
        complexity: "O(N*K), N = members of the smallest set, K = sets",
        summary: "Counts the members that all sorted sets share.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::integer("limit").after("LIMIT").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 375,
        name: "zinterstore",
        arity: -4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::MOVABLEKEYS),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.with(KeyFlags::UPDATE)),
            KeySpec::counted(2, 1, KeyFlags::RO.with(KeyFlags::ACCESS)),
        ],
        since: "2.0.0",
        complexity: "O(N*K)+O(M*log(M)), N = members of the smallest set, K = sets, M = members stored",
        summary: "Stores the members that all sorted sets share.",
        arguments: &[
            Argument::key("destination", 0),
            Argument::integer("numkeys"),
            Argument::key("key", 1).multiple(),
            Argument::integer("weight").after("WEIGHTS").optional().multiple(),
            Argument::one_of(
                "aggregate",
                &[Argument::word("sum", "SUM"), Argument::word("min", "MIN"), Argument::word("max", "MAX")],
            )
            .after("AGGREGATE")
            .optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 376,
        name: "zlexcount",
        arity: 4,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.8.9",
        complexity: "O(log(N)), N = members",
        summary: "Counts the members in a range of names.",
        arguments: &[Argument::key("key", 0), Argument::string("min"), Argument::string("max")],
        ..Command::DEFAULT
    },
    Command {
        id: 377,
        name: "zmpop",
        arity: -4,
        flags: Flags::WRITE.with(Flags::MOVABLEKEYS),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::counted(1, 1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE))],
        since: "7.0.0",
        complexity: "O(K+M*log(N)), K = keys, M = members taken, N = members of the set",
        summary: "Takes the lowest or highest members of the first sorted set that has any.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::one_of("where", &[Argument::word("min", "MIN"), Argument::word("max", "MAX")]),
            Argument::integer("count").after("COUNT").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 378,
        name: "zmscore",
        arity: -3,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "6.2.0",
        complexity: "O(N), N = members asked for",
        summary: "Tells the scores of several members.",
        arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
        ..Command::DEFAULT
    },
    Command {
        id: 379,
        name: "zpopmax",
        arity: -2,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE))],
        since: "5.0.0",
        complexity: "O(M*log(N)), M = members taken, N = members",
        summary: "Takes the members with the highest scores.",
        arguments: &[Argument::key("key", 0), Argument::integer("count").optional()],
        ..Command::DEFAULT
    },
    Command {
        id: 380,
        name: "zpopmin",
        arity: -2,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE))],
        since: "5.0.0",
        complexity: "O(M*log(N)), M = members taken, N = members",
        summary: "Takes the members with the lowest scores.",
        arguments: &[Argument::key("key", 0), Argument::integer("count").optional()],
        ..Command::DEFAULT
    },
    Command {
        id: 381,
        name: "zrandmember",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        tips: &["nondeterministic_output"],
        since: "6.2.0",
        complexity: "O(N), N = members returned",
        summary: "Picks members of a sorted set at random.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block(
                "options",
                &[Argument::integer("count"), Argument::word("withscores", "WITHSCORES").optional()],
            )
            .optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 382,
        name: "zrange",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "1.2.0",
        complexity: "O(log(N)+M), N = members, M = members returned",
        summary: "Reads members by rank, score or name.",
        history: &[("6.2.0", "REV, BYSCORE, BYLEX and LIMIT.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::string("start"),
            Argument::string("stop"),
            Argument::one_of("sortby", &[Argument::word("byscore", "BYSCORE"), Argument::word("bylex", "BYLEX")])
                .since("6.2.0")
                .optional(),
            Argument::word("rev", "REV").since("6.2.0").optional(),
            Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
                .after("LIMIT")
                .since("6.2.0")
                .optional(),
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 383,
        name: "zrangebylex",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.8.9",
        complexity: "O(log(N)+M), N = members, M = members returned",
        summary: "Reads the members in a range of names.",
        arguments: &[
            Argument::key("key", 0),
            Argument::string("min"),
            Argument::string("max"),
            Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
                .after("LIMIT")
                .optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 384,
        name: "zrangebyscore",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "1.0.5",
        complexity: "O(log(N)+M), N = members, M = members returned",
        summary: "Reads the members whose scores lie in a range.",
        history: &[("2.0.0", "WITHSCORES.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::double("min"),
            Argument::double("max"),
            Argument::word("withscores", "WITHSCORES").since("2.0.0").optional(),
            Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
                .after("LIMIT")
                .optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 385,
        name: "zrangestore",
        arity: -5,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.with(KeyFlags::UPDATE)),
            KeySpec::one(2, KeyFlags::RO.with(KeyFlags::ACCESS)),
        ],
        since: "6.2.0",
        complexity: "O(log(N)+M), N = members, M = members stored",
        summary: "Stores a range of members in another key.",
        arguments: &[
            Argument::key("dst", 0),
            Argument::key("src", 1),
            Argument::string("min"),
            Argument::string("max"),
            Argument::one_of("sortby", &[Argument::word("byscore", "BYSCORE"), Argument::word("bylex", "BYLEX")])
                .optional(),
            Argument::word("rev", "REV").optional(),
            Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
                .after("LIMIT")
                .optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 386,
        name: "zrank",
        arity: -3,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.0.0",
        complexity: "O(log(N))",
        summary: "Tells the place of a member, counted from the lowest score.",
        history: &[("7.2.0", "WITHSCORE.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::string("member"),
            Argument::word("withscore", "WITHSCORE").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 387,
        name: "zrem",
        arity: -3,
        flags: Flags::WRITE.with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::DELETE))],
        since: "1.2.0",
        complexity: "O(M*log(N)), M = members removed, N = members",
        summary: "Removes members, and the sorted set with its last one.",
        history: &[("2.4.0", "Several members in a call.")],
        arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
        ..Command::DEFAULT
    },
    Command {
        id: 388,
        name: "zremrangebylex",
        arity: 4,
        flags: Flags::WRITE,
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::DELETE))],
        since: "2.8.9",
        complexity: "O(log(N)+M), N = members, M = members removed",
        summary: "Removes the members in a range of names.",
        arguments: &[Argument::key("key", 0), Argument::string("min"), Argument::string("max")],
        ..Command::DEFAULT
    },
    Command {
        id: 389,
        name: "zremrangebyrank",
        arity: 4,
        flags: Flags::WRITE,
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::DELETE))],
        since: "2.0.0",
        complexity: "O(log(N)+M), N = members, M = members removed",
        summary: "Removes the members in a range of places.",
        arguments: &[Argument::key("key", 0), Argument::integer("start"), Argument::integer("stop")],
        ..Command::DEFAULT
    },
    Command {
        id: 390,
        name: "zremrangebyscore",
        arity: 4,
        flags: Flags::WRITE,
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::DELETE))],
        since: "1.2.0",
        complexity: "O(log(N)+M), N = members, M = members removed",
        summary: "Removes the members whose scores lie in a range.",
        arguments: &[Argument::key("key", 0), Argument::double("min"), Argument::double("max")],
        ..Command::DEFAULT
    },
    Command {
        id: 391,
        name: "zrevrange",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "1.2.0",
        complexity: "O(log(N)+M), N = members, M = members returned",
        summary: "Reads members by place, counted from the highest score.",
        arguments: &[
            Argument::key("key", 0),
            Argument::integer("start"),
            Argument::integer("stop"),
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 392,
        name: "zrevrangebylex",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.8.9",
        complexity: "O(log(N)+M), N = members, M = members returned",
        summary: "Reads the members in a range of names, the last first.",
        arguments: &[
            Argument::key("key", 0),
            Argument::string("max"),
            Argument::string("min"),
            Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
                .after("LIMIT")
                .optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 393,
        name: "zrevrangebyscore",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.2.0",
        complexity: "O(log(N)+M), N = members, M = members returned",
        summary: "Reads the members whose scores lie in a range, the highest first.",
        history: &[("2.1.6", "Ranges may leave out their ends.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::double("max"),
            Argument::double("min"),
            Argument::word("withscores", "WITHSCORES").optional(),
            Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
                .after("LIMIT")
                .optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 394,
        name: "zrevrank",
        arity: -3,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.0.0",
        complexity: "O(log(N))",
        summary: "Tells the place of a member, counted from the highest score.",
        history: &[("7.2.0", "WITHSCORE.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::string("member"),
            Argument::word("withscore", "WITHSCORE").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 395,
        name: "zscan",
        arity: -3,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        tips: &["nondeterministic_output"],
        since: "2.8.0",
        complexity: "O(1) a call, O(N) for all N members",
        summary: "Walks through the members of a sorted set in steps.",
        history: &[("8.0.0", "NOSCORES.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::integer("cursor"),
            Argument::pattern("pattern").after("MATCH").optional(),
            Argument::integer("count").after("COUNT").optional(),
            Argument::word("noscores", "NOSCORES").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 396,
        name: "zscore",
        arity: 3,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::FAST),
        group: Group::SortedSet,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Tells the score of a member.",
        arguments: &[Argument::key("key", 0), Argument::string("member")],
        ..Command::DEFAULT
    },
    Command {
        id: 397,
        name: "zunion",
        arity: -3,
        flags: Flags::READONLY.with(Flags::MOVABLEKEYS),
        acl: Acl::READ.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[KeySpec::counted(1, 1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "6.2.0",
        complexity: "O(N)+O(M*log(M)), N = members of all sets, M = members returned",
        summary: "Tells the members that any of the sorted sets has, with joined scores.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::integer("weight").after("WEIGHTS").optional().multiple(),
            Argument::one_of(
                "aggregate",
                &[Argument::word("sum", "SUM"), Argument::word("min", "MIN"), Argument::word("max", "MAX")],
            )
            .after("AGGREGATE")
            .optional(),
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 398,
        name: "zunionstore",
        arity: -4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::MOVABLEKEYS),
        acl: Acl::WRITE.with(Acl::SORTEDSET).with(Acl::SLOW),
        group: Group::SortedSet,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.with(KeyFlags::UPDATE)),
            KeySpec::counted(2, 1, KeyFlags::RO.with(KeyFlags::ACCESS)),
        ],
        since: "2.0.0",
        complexity: "O(N)+O(M*log(M)), N = members of all sets, M = members stored",
        summary: "Stores the members that any of the sorted sets has, with joined scores.",
        arguments: &[
            Argument::key("destination", 0),
            Argument::integer("numkeys"),
            Argument::key("key", 1).multiple(),
            Argument::integer("weight").after("WEIGHTS").optional().multiple(),
            Argument::one_of(
                "aggregate",
                &[Argument::word("sum", "SUM"), Argument::word("min", "MIN"), Argument::word("max", "MAX")],
            )
            .after("AGGREGATE")
            .optional(),
        ],
        ..Command::DEFAULT
    },
];
