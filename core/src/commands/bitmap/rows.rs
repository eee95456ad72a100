//! Rows of the commands for strings as rows of bits.

use crate::command::keys::{KeyFlags, KeyRule, KeySpec};
use crate::command::row::{Acl, Argument, Command, Flags, Group, Run, Touches};

/// The rows, by name.
pub static ROWS: &[Command] = &[
    Command {
        id: 19,
        name: "bitcount",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::BITMAP).with(Acl::SLOW),
        group: Group::Bitmap,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.6.0",
        complexity: "O(N), N = bytes looked at",
        summary: "Counts the one bits of a string, or of a part of it.",
        history: &[("7.0.0", "BYTE and BIT."), ("8.0.0", "The end may be left out.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::block(
                "range",
                &[
                    Argument::integer("start"),
                    Argument::block(
                        "end-unit-block",
                        &[
                            Argument::integer("end"),
                            Argument::one_of("unit", &[Argument::word("byte", "BYTE"), Argument::word("bit", "BIT")])
                                .since("7.0.0")
                                .optional(),
                        ],
                    )
                    .optional(),
                ],
            )
            .optional(),
        ],
        run: Run::OnShard(super::bitcount),
        ..Command::DEFAULT
    },
    Command {
        id: 20,
        name: "bitfield",
        arity: -2,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        acl: Acl::WRITE.with(Acl::BITMAP).with(Acl::SLOW),
        group: Group::Bitmap,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE).with(KeyFlags::VARIABLE_FLAGS),
        )
        .noted("Reads, writes or both, as its operations say.")],
        key_rule: KeyRule::Bitfield,
        since: "3.2.0",
        complexity: "O(1) for each operation",
        summary: "Reads, sets and adds to integers of any width inside a string.",
        arguments: &[
            Argument::key("key", 0),
            Argument::one_of(
                "operation",
                &[
                    Argument::block("get-block", &[Argument::string("encoding"), Argument::integer("offset")])
                        .after("GET"),
                    Argument::block(
                        "write",
                        &[
                            Argument::one_of(
                                "overflow-block",
                                &[
                                    Argument::word("wrap", "WRAP"),
                                    Argument::word("sat", "SAT"),
                                    Argument::word("fail", "FAIL"),
                                ],
                            )
                            .after("OVERFLOW")
                            .optional(),
                            Argument::one_of(
                                "write-operation",
                                &[
                                    Argument::block(
                                        "set-block",
                                        &[
                                            Argument::string("encoding"),
                                            Argument::integer("offset"),
                                            Argument::integer("value"),
                                        ],
                                    )
                                    .after("SET"),
                                    Argument::block(
                                        "incrby-block",
                                        &[
                                            Argument::string("encoding"),
                                            Argument::integer("offset"),
                                            Argument::integer("increment"),
                                        ],
                                    )
                                    .after("INCRBY"),
                                ],
                            ),
                        ],
                    ),
                ],
            )
            .optional()
            .multiple(),
        ],
        run: Run::OnShard(super::bitfield),
        touches: Touches::Told,
        ..Command::DEFAULT
    },
    Command {
        id: 21,
        name: "bitfield_ro",
        arity: -2,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::BITMAP).with(Acl::FAST),
        group: Group::Bitmap,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "6.0.0",
        complexity: "O(1) for each operation",
        summary: "Reads integers of any width inside a string.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block("get-block", &[Argument::string("encoding"), Argument::integer("offset")])
                .after("GET")
                .optional()
                .multiple()
                .with_token_each_time(),
        ],
        run: Run::OnShard(super::bitfield_ro),
        ..Command::DEFAULT
    },
    Command {
        id: 22,
        name: "bitop",
        arity: -4,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        acl: Acl::WRITE.with(Acl::BITMAP).with(Acl::SLOW),
        group: Group::Bitmap,
        keys: &[
            KeySpec::one(2, KeyFlags::OW.with(KeyFlags::UPDATE)),
            KeySpec::to_end(3, 1, KeyFlags::RO.with(KeyFlags::ACCESS)),
        ],
        since: "2.6.0",
        complexity: "O(N), N = bytes of the longest input",
        summary: "Combines strings bit by bit and stores what comes out.",
        arguments: &[
            Argument::one_of(
                "operation",
                &[
                    Argument::word("and", "AND"),
                    Argument::word("or", "OR"),
                    Argument::word("xor", "XOR"),
                    Argument::word("not", "NOT"),
                ],
            ),
            Argument::key("destkey", 0),
            Argument::key("key", 1).multiple(),
        ],
        run: Run::OnShard(super::bitop),
        ..Command::DEFAULT
    },
    Command {
        id: 23,
        name: "bitpos",
        arity: -3,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::BITMAP).with(Acl::SLOW),
        group: Group::Bitmap,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.8.7",
        complexity: "O(N), N = bytes looked at",
        summary: "Finds the first bit of a string that is one, or zero.",
        history: &[("7.0.0", "BYTE and BIT.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::integer("bit"),
            Argument::block(
                "range",
                &[
                    Argument::integer("start"),
                    Argument::block(
                        "end-unit-block",
                        &[
                            Argument::integer("end"),
                            Argument::one_of("unit", &[Argument::word("byte", "BYTE"), Argument::word("bit", "BIT")])
                                .since("7.0.0")
                                .optional(),
                        ],
                    )
                    .optional(),
                ],
            )
            .optional(),
        ],
        run: Run::OnShard(super::bitpos),
        ..Command::DEFAULT
    },
    Command {
        id: 153,
        name: "getbit",
        arity: 3,
        flags: Flags::READONLY.with(Flags::FAST),
        acl: Acl::READ.with(Acl::BITMAP).with(Acl::FAST),
        group: Group::Bitmap,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "2.2.0",
        complexity: "O(1)",
        summary: "Reads one bit of a string.",
        arguments: &[Argument::key("key", 0), Argument::integer("offset")],
        run: Run::OnShard(super::getbit),
        ..Command::DEFAULT
    },
    Command {
        id: 298,
        name: "setbit",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        acl: Acl::WRITE.with(Acl::BITMAP).with(Acl::SLOW),
        group: Group::Bitmap,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE))],
        since: "2.2.0",
        complexity: "O(1)",
        summary: "Sets or clears one bit of a string, which is made if it was absent.",
        arguments: &[Argument::key("key", 0), Argument::integer("offset"), Argument::integer("value")],
        run: Run::OnShard(super::setbit),
        ..Command::DEFAULT
    },
];
