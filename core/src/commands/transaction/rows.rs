//! Rows of the commands for transactions.

use crate::command::keys::{KeyFlags, KeySpec};
use crate::command::row::{Acl, Admin, Argument, Command, Flags, Group, Join, Run, Spread};

/// The rows, by name.
pub static ROWS: &[Command] = &[
    Command {
        id: 115,
        name: "discard",
        arity: 1,
        flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::FAST).with(Flags::ALLOW_BUSY),
        acl: Acl::FAST.with(Acl::TRANSACTION),
        group: Group::Transactions,
        since: "2.0.0",
        complexity: "O(N), N = calls in the queue",
        summary: "Drops the transaction under way.",
        run: Run::Admin(Admin::Discard),
        ..Command::DEFAULT
    },
    Command {
        id: 122,
        name: "exec",
        arity: 1,
        flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::SKIP_COMMANDLOG),
        acl: Acl::SLOW.with(Acl::TRANSACTION),
        group: Group::Transactions,
        since: "1.2.0",
        complexity: "by the calls in the queue",
        summary: "Carries out the queued calls of a transaction in one go.",
        run: Run::Admin(Admin::Exec),
        ..Command::DEFAULT
    },
    Command {
        id: 236,
        name: "multi",
        arity: 1,
        flags: Flags::NOSCRIPT
            .with(Flags::LOADING)
            .with(Flags::STALE)
            .with(Flags::FAST)
            .with(Flags::NO_MULTI)
            .with(Flags::ALLOW_BUSY),
        acl: Acl::FAST.with(Acl::TRANSACTION),
        group: Group::Transactions,
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Begins a transaction: what follows is queued.",
        run: Run::Admin(Admin::Multi),
        ..Command::DEFAULT
    },
    Command {
        id: 338,
        name: "unwatch",
        arity: 1,
        flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::FAST).with(Flags::ALLOW_BUSY),
        acl: Acl::FAST.with(Acl::TRANSACTION),
        group: Group::Transactions,
        since: "2.2.0",
        complexity: "O(1)",
        summary: "Forgets the keys that this connection watches.",
        run: Run::Admin(Admin::Unwatch),
        ..Command::DEFAULT
    },
    Command {
        id: 341,
        name: "watch",
        arity: -2,
        flags: Flags::NOSCRIPT
            .with(Flags::LOADING)
            .with(Flags::STALE)
            .with(Flags::FAST)
            .with(Flags::NO_MULTI)
            .with(Flags::ALLOW_BUSY),
        acl: Acl::FAST.with(Acl::TRANSACTION),
        group: Group::Transactions,
        keys: &[KeySpec::to_end(1, 1, KeyFlags::RO)],
        since: "2.2.0",
        complexity: "O(1) for each key",
        summary: "Makes the next transaction fail if one of the keys changes before it.",
        arguments: &[Argument::key("key", 0).multiple()],
        spread: Spread::EachKey { stride: 1, join: Join::Ok },
        run: Run::OnShard(super::watch),
        ..Command::DEFAULT
    },
];
