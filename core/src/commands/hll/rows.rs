//! Rows of the commands for HyperLogLogs.

use crate::command::keys::{KeyFlags, KeySpec};
use crate::command::row::{Acl, Argument, Command, Flags, Group, Run, Touches};

/// The rows, by name.
pub static ROWS: &[Command] = &[
    Command {
        id: 247,
        name: "pfadd",
        arity: -2,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        acl: Acl::WRITE.with(Acl::HYPERLOGLOG).with(Acl::FAST),
        group: Group::Hyperloglog,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::INSERT))],
        since: "2.8.9",
        complexity: "O(1) for each element",
        summary: "Counts elements into a HyperLogLog, which is made if it was absent.",
        arguments: &[Argument::key("key", 0), Argument::string("element").optional().multiple()],
        run: Run::OnShard(super::pfadd),
        ..Command::DEFAULT
    },
    Command {
        id: 248,
        name: "pfcount",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::HYPERLOGLOG).with(Acl::SLOW),
        group: Group::Hyperloglog,
        keys: &[KeySpec::to_end(1, 1, KeyFlags::RW.with(KeyFlags::ACCESS))
            .noted("It may renew the count that is kept in the key.")],
        since: "2.8.9",
        complexity: "O(1) for one key, O(N) for N keys with large constants",
        summary: "Estimates how many different elements were counted.",
        arguments: &[Argument::key("key", 0).multiple()],
        run: Run::OnShard(super::pfcount),
        ..Command::DEFAULT
    },
    Command {
        id: 249,
        name: "pfdebug",
        arity: 3,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::ADMIN),
        acl: Acl::WRITE.with(Acl::HYPERLOGLOG).with(Acl::ADMIN).with(Acl::SLOW).with(Acl::DANGEROUS),
        group: Group::Hyperloglog,
        keys: &[KeySpec::one(2, KeyFlags::RW.with(KeyFlags::ACCESS))],
        since: "2.8.9",
        system: true,
        complexity: "by subcommand",
        summary: "Shows the inside of a HyperLogLog, for tests.",
        arguments: &[Argument::string("subcommand"), Argument::key("key", 0)],
        run: Run::OnShard(super::pfdebug),
        touches: Touches::Told,
        ..Command::DEFAULT
    },
    Command {
        id: 250,
        name: "pfmerge",
        arity: -2,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        acl: Acl::WRITE.with(Acl::HYPERLOGLOG).with(Acl::SLOW),
        group: Group::Hyperloglog,
        keys: &[
            KeySpec::one(1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::INSERT)),
            KeySpec::to_end(2, 1, KeyFlags::RO.with(KeyFlags::ACCESS)),
        ],
        since: "2.8.9",
        complexity: "O(N), N = HyperLogLogs, with large constants",
        summary: "Merges HyperLogLogs into one.",
        arguments: &[Argument::key("destkey", 0), Argument::key("sourcekey", 1).optional().multiple()],
        run: Run::OnShard(super::pfmerge),
        ..Command::DEFAULT
    },
    Command {
        id: 251,
        name: "pfselftest",
        arity: 1,
        flags: Flags::ADMIN,
        acl: Acl::HYPERLOGLOG.with(Acl::ADMIN).with(Acl::SLOW).with(Acl::DANGEROUS),
        group: Group::Hyperloglog,
        since: "2.8.9",
        system: true,
        complexity: "fixed, but slow",
        summary: "Tests the HyperLogLog code, for developers.",
        run: Run::OnShard(super::pfselftest),
        ..Command::DEFAULT
    },
];
