//! Rows of the commands for scripts and functions.

use crate::command::keys::{KeyFlags, KeySpec};
use crate::command::row::{Acl, Admin, Argument, Command, Flags, Group, Run, Touches};

/// The rows, by name.
pub static ROWS: &[Command] = &[
    Command {
        id: 118,
        name: "eval",
        arity: -3,
        flags: Flags::NOSCRIPT
            .with(Flags::STALE)
            .with(Flags::SKIP_MONITOR)
            .with(Flags::NO_MANDATORY_KEYS)
            .with(Flags::MOVABLEKEYS),
        acl: Acl::SLOW.with(Acl::SCRIPTING),
        group: Group::Scripting,
        keys: &[KeySpec::counted(2, 1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE))
            .noted("The script may read or write any of them.")],
        since: "2.6.0",
        complexity: "by the script",
        summary: "Runs a Lua script on the server.",
        arguments: &[
            Argument::string("script"),
            Argument::integer("numkeys"),
            Argument::key("key", 0).optional().multiple(),
            Argument::string("arg").optional().multiple(),
        ],
        run: Run::OnShard(super::eval),
        touches: Touches::Told,
        ..Command::DEFAULT
    },
    Command {
        id: 119,
        name: "eval_ro",
        arity: -3,
        flags: Flags::READONLY
            .with(Flags::NOSCRIPT)
            .with(Flags::STALE)
            .with(Flags::SKIP_MONITOR)
            .with(Flags::NO_MANDATORY_KEYS)
            .with(Flags::MOVABLEKEYS),
        acl: Acl::SLOW.with(Acl::SCRIPTING),
        group: Group::Scripting,
        keys: &[KeySpec::counted(2, 1, KeyFlags::RO.with(KeyFlags::ACCESS)).noted("The script may read any.")],
        since: "7.0.0",
        complexity: "by the script",
        summary: "Runs a Lua script that must not write.",
        arguments: &[
            Argument::string("script"),
            Argument::integer("numkeys"),
            Argument::key("key", 0).optional().multiple(),
            Argument::string("arg").optional().multiple(),
        ],
        run: Run::OnShard(super::eval_ro),
        touches: Touches::Told,
        ..Command::DEFAULT
    },
    Command {
        id: 120,
        name: "evalsha",
        arity: -3,
        flags: Flags::NOSCRIPT
            .with(Flags::STALE)
            .with(Flags::SKIP_MONITOR)
            .with(Flags::NO_MANDATORY_KEYS)
            .with(Flags::MOVABLEKEYS),
        acl: Acl::SLOW.with(Acl::SCRIPTING),
        group: Group::Scripting,
        keys: &[KeySpec::counted(2, 1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE))],
        since: "2.6.0",
        complexity: "by the script",
        summary: "Runs a cached Lua script, named by its SHA1.",
        arguments: &[
            Argument::string("sha1"),
            Argument::integer("numkeys"),
            Argument::key("key", 0).optional().multiple(),
            Argument::string("arg").optional().multiple(),
        ],
        run: Run::OnShard(super::evalsha),
        touches: Touches::Told,
        ..Command::DEFAULT
    },
    Command {
        id: 121,
        name: "evalsha_ro",
        arity: -3,
        flags: Flags::READONLY
            .with(Flags::NOSCRIPT)
            .with(Flags::STALE)
            .with(Flags::SKIP_MONITOR)
            .with(Flags::NO_MANDATORY_KEYS)
            .with(Flags::MOVABLEKEYS),
        acl: Acl::SLOW.with(Acl::SCRIPTING),
        group: Group::Scripting,
        keys: &[KeySpec::counted(2, 1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "7.0.0",
        complexity: "by the script",
        summary: "Runs a cached Lua script, named by its SHA1, that must not write.",
        arguments: &[
            Argument::string("sha1"),
            Argument::integer("numkeys"),
            Argument::key("key", 0).optional().multiple(),
            Argument::string("arg").optional().multiple(),
        ],
        run: Run::OnShard(super::evalsha_ro),
        touches: Touches::Told,
        ..Command::DEFAULT
    },
    Command {
        id: 128,
        name: "fcall",
        arity: -3,
        flags: Flags::NOSCRIPT
            .with(Flags::STALE)
            .with(Flags::SKIP_MONITOR)
            .with(Flags::NO_MANDATORY_KEYS)
            .with(Flags::MOVABLEKEYS),
        acl: Acl::SLOW.with(Acl::SCRIPTING),
        group: Group::Scripting,
        keys: &[KeySpec::counted(2, 1, KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE))
            .noted("The function may read or write any of them.")],
        since: "7.0.0",
        complexity: "by the function",
        summary: "Runs a function of a loaded library.",
        arguments: &[
            Argument::string("function"),
            Argument::integer("numkeys"),
            Argument::key("key", 0).optional().multiple(),
            Argument::string("arg").optional().multiple(),
        ],
        touches: Touches::Told,
        run: Run::OnShard(super::fcall),
        ..Command::DEFAULT
    },
    Command {
        id: 129,
        name: "fcall_ro",
        arity: -3,
        flags: Flags::READONLY
            .with(Flags::NOSCRIPT)
            .with(Flags::STALE)
            .with(Flags::SKIP_MONITOR)
            .with(Flags::NO_MANDATORY_KEYS)
            .with(Flags::MOVABLEKEYS),
        acl: Acl::SLOW.with(Acl::SCRIPTING),
        group: Group::Scripting,
        keys: &[KeySpec::counted(2, 1, KeyFlags::RO.with(KeyFlags::ACCESS)).noted("The function may read any.")],
        since: "7.0.0",
        complexity: "by the function",
        summary: "Runs a function of a loaded library that must not write.",
        arguments: &[
            Argument::string("function"),
            Argument::integer("numkeys"),
            Argument::key("key", 0).optional().multiple(),
            Argument::string("arg").optional().multiple(),
        ],
        touches: Touches::Told,
        run: Run::OnShard(super::fcall_ro),
        ..Command::DEFAULT
    },
    Command {
        id: 132,
        name: "function",
        arity: -2,
        acl: Acl::SLOW,
        group: Group::Scripting,
        since: "7.0.0",
        complexity: "by subcommand",
        summary: "Groups the subcommands about function libraries.",
        subcommands: &[
            Command {
                id: 133,
                name: "function|delete",
                arity: 3,
                flags: Flags::WRITE.with(Flags::NOSCRIPT),
                acl: Acl::WRITE.with(Acl::SLOW).with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                since: "7.0.0",
                complexity: "O(1)",
                summary: "Removes a library with its functions.",
                arguments: &[Argument::string("library-name")],
                run: Run::Admin(Admin::FunctionDelete),
                ..Command::DEFAULT
            },
            Command {
                id: 134,
                name: "function|dump",
                arity: 2,
                flags: Flags::NOSCRIPT,
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                since: "7.0.0",
                complexity: "O(N), N = functions",
                summary: "Writes all libraries as bytes that FUNCTION RESTORE understands.",
                run: Run::Admin(Admin::FunctionDump),
                ..Command::DEFAULT
            },
            Command {
                id: 135,
                name: "function|flush",
                arity: -2,
                flags: Flags::WRITE.with(Flags::NOSCRIPT),
                acl: Acl::WRITE.with(Acl::SLOW).with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                since: "7.0.0",
                complexity: "O(N), N = functions removed",
                summary: "Removes all libraries.",
                arguments: &[Argument::one_of(
                    "flush-type",
                    &[Argument::word("async", "ASYNC"), Argument::word("sync", "SYNC")],
                )
                .optional()],
                run: Run::Admin(Admin::FunctionFlush),
                ..Command::DEFAULT
            },
            Command {
                id: 136,
                name: "function|help",
                arity: 2,
                flags: Flags::LOADING.with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                since: "7.0.0",
                complexity: "O(1)",
                summary: "Explains the subcommands of FUNCTION.",
                run: Run::Admin(Admin::FunctionHelp),
                ..Command::DEFAULT
            },
            Command {
                id: 137,
                name: "function|kill",
                arity: 2,
                flags: Flags::NOSCRIPT.with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
                since: "7.0.0",
                complexity: "O(1)",
                summary: "Stops the function that runs now, if it has not written yet.",
                run: Run::Admin(Admin::FunctionKill),
                ..Command::DEFAULT
            },
            Command {
                id: 138,
                name: "function|list",
                arity: -2,
                flags: Flags::NOSCRIPT,
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["nondeterministic_output_order"],
                since: "7.0.0",
                complexity: "O(N), N = functions",
                summary: "Describes the libraries and their functions.",
                arguments: &[
                    Argument::string("library-name-pattern").after("LIBRARYNAME").optional(),
                    Argument::word("withcode", "WITHCODE").optional(),
                ],
                run: Run::Admin(Admin::FunctionList),
                ..Command::DEFAULT
            },
            Command {
                id: 139,
                name: "function|load",
                arity: -3,
                flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::NOSCRIPT),
                acl: Acl::WRITE.with(Acl::SLOW).with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                since: "7.0.0",
                complexity: "O(1), compiling aside",
                summary: "Makes a library from its source.",
                arguments: &[Argument::word("replace", "REPLACE").optional(), Argument::string("function-code")],
                run: Run::Admin(Admin::FunctionLoad),
                ..Command::DEFAULT
            },
            Command {
                id: 140,
                name: "function|restore",
                arity: -3,
                flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::NOSCRIPT),
                acl: Acl::WRITE.with(Acl::SLOW).with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                since: "7.0.0",
                complexity: "O(N), N = functions in the payload",
                summary: "Brings back libraries that FUNCTION DUMP wrote.",
                arguments: &[
                    Argument::string("serialized-value"),
                    Argument::one_of(
                        "policy",
                        &[
                            Argument::word("flush", "FLUSH"),
                            Argument::word("append", "APPEND"),
                            Argument::word("replace", "REPLACE"),
                        ],
                    )
                    .optional(),
                ],
                run: Run::Admin(Admin::FunctionRestore),
                ..Command::DEFAULT
            },
            Command {
                id: 141,
                name: "function|stats",
                arity: 2,
                flags: Flags::NOSCRIPT.with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
                since: "7.0.0",
                complexity: "O(1)",
                summary: "Shows the function that runs now and counts libraries.",
                run: Run::Admin(Admin::FunctionStats),
                ..Command::DEFAULT
            },
        ],
        ..Command::DEFAULT
    },
    Command {
        id: 286,
        name: "script",
        arity: -2,
        acl: Acl::SLOW,
        group: Group::Scripting,
        since: "2.6.0",
        complexity: "by subcommand",
        summary: "Groups the subcommands about Lua scripts.",
        run: Run::Container,
        subcommands: &[
            Command {
                id: 287,
                name: "script|debug",
                arity: -3,
                flags: Flags::NOSCRIPT,
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                since: "3.2.0",
                complexity: "O(1)",
                summary: "Chooses how EVAL is debugged.",
                arguments: &[
                    Argument::one_of(
                        "mode",
                        &[Argument::word("yes", "YES"), Argument::word("sync", "SYNC"), Argument::word("no", "NO")],
                    ),
                    Argument::string("engine").since("9.1.0").optional(),
                ],
                run: Run::Admin(Admin::ScriptDebug),
                ..Command::DEFAULT
            },
            Command {
                id: 288,
                name: "script|exists",
                arity: -3,
                flags: Flags::NOSCRIPT.with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
                since: "2.6.0",
                complexity: "O(N), N = scripts asked for",
                summary: "Tells which scripts are in the cache.",
                arguments: &[Argument::string("sha1").multiple()],
                run: Run::Admin(Admin::ScriptExists),
                ..Command::DEFAULT
            },
            Command {
                id: 289,
                name: "script|flush",
                arity: -2,
                flags: Flags::NOSCRIPT.with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                since: "2.6.0",
                complexity: "O(N), N = scripts in the cache",
                summary: "Empties the cache of scripts.",
                history: &[("6.2.0", "ASYNC and SYNC.")],
                arguments: &[Argument::one_of(
                    "flush-type",
                    &[Argument::word("async", "ASYNC"), Argument::word("sync", "SYNC")],
                )
                .since("6.2.0")
                .optional()],
                run: Run::Admin(Admin::ScriptFlush),
                ..Command::DEFAULT
            },
            Command {
                id: 290,
                name: "script|help",
                arity: 2,
                flags: Flags::LOADING.with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                since: "5.0.0",
                complexity: "O(1)",
                summary: "Explains the subcommands of SCRIPT.",
                run: Run::Admin(Admin::ScriptHelp),
                ..Command::DEFAULT
            },
            Command {
                id: 291,
                name: "script|kill",
                arity: 2,
                flags: Flags::NOSCRIPT.with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
                since: "2.6.0",
                complexity: "O(1)",
                summary: "Stops the script that runs now, if it has not written yet.",
                run: Run::Admin(Admin::ScriptKill),
                ..Command::DEFAULT
            },
            Command {
                id: 292,
                name: "script|load",
                arity: 3,
                flags: Flags::NOSCRIPT.with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                since: "2.6.0",
                complexity: "O(N), N = bytes of the script",
                summary: "Puts a script into the cache and tells its SHA1.",
                arguments: &[Argument::string("script")],
                run: Run::Admin(Admin::ScriptLoad),
                ..Command::DEFAULT
            },
            Command {
                id: 293,
                name: "script|show",
                arity: 3,
                flags: Flags::NOSCRIPT.with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::SCRIPTING),
                group: Group::Scripting,
                since: "8.0.0",
                complexity: "O(1)",
                summary: "Shows the source of a script in the cache.",
                arguments: &[Argument::string("sha1")],
                run: Run::Admin(Admin::ScriptShow),
                ..Command::DEFAULT
            },
        ],
        ..Command::DEFAULT
    },
];
