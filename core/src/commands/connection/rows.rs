//! Rows of the commands for connections.

use crate::command::row::{Acl, Admin, Argument, Command, Flags, Group, Run};

/// The rows, by name.
pub static ROWS: &[Command] = &[
    Command {
        id: 16,
        name: "auth",
        arity: -2,
        flags: Flags::NOSCRIPT
            .with(Flags::LOADING)
            .with(Flags::STALE)
            .with(Flags::FAST)
            .with(Flags::NO_AUTH)
            .with(Flags::ALLOW_BUSY),
        acl: Acl::FAST.with(Acl::CONNECTION),
        group: Group::Connection,
        since: "1.0.0",
        complexity: "O(N), N = passwords of the user",
        summary: "Signs the connection in as a user.",
        history: &[("6.0.0", "A user name may come before the password.")],
        arguments: &[Argument::string("username").since("6.0.0").optional(), Argument::string("password")],
        run: Run::Admin(Admin::Auth),
        ..Command::DEFAULT
    },
    Command {
        id: 32,
        name: "client",
        arity: -2,
        acl: Acl::SLOW,
        group: Group::Connection,
        since: "2.4.0",
        complexity: "by subcommand",
        summary: "Groups the subcommands about connections.",
        subcommands: &[
            Command {
                id: 33,
                name: "client|caching",
                arity: 3,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "6.0.0",
                complexity: "O(1)",
                summary: "Says yes or no to tracking the keys of the next call.",
                arguments: &[Argument::one_of("mode", &[Argument::word("yes", "YES"), Argument::word("no", "NO")])],
                run: Run::Admin(Admin::ClientCaching),
                ..Command::DEFAULT
            },
            Command {
                id: 34,
                name: "client|capa",
                arity: -3,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "8.0.0",
                complexity: "O(1)",
                summary: "Tells the server what this client is able to handle.",
                arguments: &[Argument::string("capability").multiple()],
                run: Run::Admin(Admin::ClientCapa),
                ..Command::DEFAULT
            },
            Command {
                id: 35,
                name: "client|getname",
                arity: 2,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "2.6.9",
                complexity: "O(1)",
                summary: "Tells the name that this connection was given.",
                run: Run::Admin(Admin::ClientGetName),
                ..Command::DEFAULT
            },
            Command {
                id: 36,
                name: "client|getredir",
                arity: 2,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "6.0.0",
                complexity: "O(1)",
                summary: "Tells which connection receives the invalidations of this one.",
                run: Run::Admin(Admin::ClientGetRedir),
                ..Command::DEFAULT
            },
            Command {
                id: 37,
                name: "client|help",
                arity: 2,
                flags: Flags::LOADING.with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "5.0.0",
                complexity: "O(1)",
                summary: "Explains the subcommands of CLIENT.",
                run: Run::Admin(Admin::ClientHelp),
                ..Command::DEFAULT
            },
            Command {
                id: 38,
                name: "client|id",
                arity: 2,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "5.0.0",
                complexity: "O(1)",
                summary: "Tells the number of this connection.",
                run: Run::Admin(Admin::ClientId),
                ..Command::DEFAULT
            },
            Command {
                id: 39,
                name: "client|import-source",
                arity: 3,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "8.1.0",
                complexity: "O(1)",
                summary: "Marks the connection as one that fills a server in import mode.",
                arguments: &[Argument::one_of("enabled", &[Argument::word("on", "ON"), Argument::word("off", "OFF")])],
                run: Run::Admin(Admin::ClientImportSource),
                ..Command::DEFAULT
            },
            Command {
                id: 40,
                name: "client|info",
                arity: 2,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                tips: &["nondeterministic_output"],
                since: "6.2.0",
                complexity: "O(1)",
                summary: "Describes this connection in one line.",
                run: Run::Admin(Admin::ClientInfo),
                ..Command::DEFAULT
            },
            Command {
                id: 41,
                name: "client|kill",
                arity: -3,
                flags: Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE),
                acl: Acl::ADMIN.with(Acl::SLOW).with(Acl::DANGEROUS).with(Acl::CONNECTION),
                group: Group::Connection,
                since: "2.4.0",
                complexity: "O(N), N = connections",
                summary: "Closes the connections that fit an address or filters.",
                history: &[
                    ("2.8.12", "Filters beside the address."),
                    ("2.8.12", "Filter ID."),
                    ("3.2.0", "Type master."),
                    ("5.0.0", "Type replica; slave still works."),
                    ("6.2.0", "Filter LADDR."),
                    ("8.0.0", "Filter MAXAGE."),
                    ("8.0.0", "Type primary; master still works."),
                    ("8.1.0", "Several IDs."),
                    (
                        "9.0.0",
                        "Filters by name, idle time, flags, library, database, capability and IP, and NOT-filters.",
                    ),
                ],
                arguments: &[Argument::one_of(
                    "filter",
                    &[
                        Argument::string("old-format").shown_as("ip:port").deprecated("2.8.12"),
                        Argument::one_of(
                            "new-format",
                            &[
                                Argument::integer("client-id").after("ID").since("2.8.12").optional().multiple(),
                                Argument::one_of(
                                    "client-type",
                                    &[
                                        Argument::word("normal", "NORMAL"),
                                        Argument::word("master", "MASTER").since("3.2.0"),
                                        Argument::word("primary", "PRIMARY").since("8.0.0"),
                                        Argument::word("slave", "SLAVE"),
                                        Argument::word("replica", "REPLICA").since("5.0.0"),
                                        Argument::word("pubsub", "PUBSUB"),
                                    ],
                                )
                                .after("TYPE")
                                .since("2.8.12")
                                .optional(),
                                Argument::string("username").after("USER").optional(),
                                Argument::string("addr").shown_as("ip:port").after("ADDR").optional(),
                                Argument::string("laddr").shown_as("ip:port").after("LADDR").since("6.2.0").optional(),
                                Argument::one_of("skipme", &[Argument::word("yes", "YES"), Argument::word("no", "NO")])
                                    .after("SKIPME")
                                    .optional(),
                                Argument::integer("maxage").after("MAXAGE").since("8.0.0").optional(),
                                Argument::string("name").after("NAME").since("9.0.0").optional(),
                                Argument::integer("idle").after("IDLE").since("9.0.0").optional(),
                                Argument::string("flags").after("FLAGS").since("9.0.0").optional(),
                                Argument::string("lib-name").after("LIB-NAME").since("9.0.0").optional(),
                                Argument::string("lib-ver").after("LIB-VER").since("9.0.0").optional(),
                                Argument::integer("db").after("DB").since("9.0.0").optional(),
                                Argument::string("capa").after("CAPA").since("9.0.0").optional(),
                                Argument::string("ip").after("IP").since("9.0.0").optional(),
                                Argument::one_of(
                                    "not-client-type",
                                    &[
                                        Argument::word("normal", "NORMAL"),
                                        Argument::word("master", "MASTER"),
                                        Argument::word("primary", "PRIMARY"),
                                        Argument::word("slave", "SLAVE"),
                                        Argument::word("replica", "REPLICA"),
                                        Argument::word("pubsub", "PUBSUB"),
                                    ],
                                )
                                .after("NOT-TYPE")
                                .since("9.0.0")
                                .optional(),
                                Argument::integer("not-client-id").after("NOT-ID").since("9.0.0").optional().multiple(),
                                Argument::string("not-username").after("NOT-USER").since("9.0.0").optional(),
                                Argument::string("not-addr")
                                    .shown_as("ip:port")
                                    .after("NOT-ADDR")
                                    .since("9.0.0")
                                    .optional(),
                                Argument::string("not-laddr")
                                    .shown_as("ip:port")
                                    .after("NOT-LADDR")
                                    .since("9.0.0")
                                    .optional(),
                                Argument::string("not-name").after("NOT-NAME").since("9.0.0").optional(),
                                Argument::string("not-flags").after("NOT-FLAGS").since("9.0.0").optional(),
                                Argument::string("not-lib-name").after("NOT-LIB-NAME").since("9.0.0").optional(),
                                Argument::string("not-lib-ver").after("NOT-LIB-VER").since("9.0.0").optional(),
                                Argument::integer("not-db").after("NOT-DB").since("9.0.0").optional(),
                                Argument::string("not-capa").after("NOT-CAPA").since("9.0.0").optional(),
                                Argument::string("not-ip").after("NOT-IP").since("9.0.0").optional(),
                            ],
                        )
                        .multiple(),
                    ],
                )],
                run: Run::Admin(Admin::ClientKill),
                ..Command::DEFAULT
            },
            Command {
                id: 42,
                name: "client|list",
                arity: -2,
                flags: Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE),
                acl: Acl::ADMIN.with(Acl::SLOW).with(Acl::DANGEROUS).with(Acl::CONNECTION),
                group: Group::Connection,
                tips: &["nondeterministic_output"],
                since: "2.4.0",
                complexity: "O(N), N = connections",
                summary: "Describes open connections, one line each.",
                history: &[
                    ("2.8.12", "Field id."),
                    ("5.0.0", "Filter TYPE."),
                    ("6.0.0", "Field user."),
                    ("6.2.0", "Fields argv-mem, tot-mem, laddr and redir; filter ID."),
                    ("7.0.0", "Fields resp, multi-mem, rbs and rbp."),
                    ("7.0.3", "Field ssub."),
                    ("8.0.0", "Type primary; master still works."),
                    ("8.1.0", "Filters USER, ADDR, LADDR, SKIPME and MAXAGE."),
                    (
                        "9.0.0",
                        "Filters by name, idle time, flags, library, database, capability and IP, and NOT-filters.",
                    ),
                ],
                arguments: &[
                    Argument::one_of(
                        "client-type",
                        &[
                            Argument::word("normal", "NORMAL"),
                            Argument::word("master", "MASTER"),
                            Argument::word("replica", "REPLICA"),
                            Argument::word("pubsub", "PUBSUB"),
                        ],
                    )
                    .after("TYPE")
                    .since("5.0.0")
                    .optional(),
                    Argument::integer("client-id").after("ID").since("6.2.0").optional().multiple(),
                    Argument::string("username").after("USER").since("8.1.0").optional(),
                    Argument::string("addr").shown_as("ip:port").after("ADDR").since("8.1.0").optional(),
                    Argument::string("laddr").shown_as("ip:port").after("LADDR").since("8.1.0").optional(),
                    Argument::one_of("skipme", &[Argument::word("yes", "YES"), Argument::word("no", "NO")])
                        .after("SKIPME")
                        .since("8.1.0")
                        .optional(),
                    Argument::integer("maxage").after("MAXAGE").since("8.1.0").optional(),
                    Argument::string("name").after("NAME").since("9.0.0").optional(),
                    Argument::integer("idle").after("IDLE").since("9.0.0").optional(),
                    Argument::string("flags").after("FLAGS").since("9.0.0").optional(),
                    Argument::string("lib-name").after("LIB-NAME").since("9.0.0").optional(),
                    Argument::string("lib-ver").after("LIB-VER").since("9.0.0").optional(),
                    Argument::integer("db").after("DB").since("9.0.0").optional(),
                    Argument::string("capa").after("CAPA").since("9.0.0").optional(),
                    Argument::string("ip").after("IP").since("9.0.0").optional(),
                    Argument::one_of(
                        "not-client-type",
                        &[
                            Argument::word("normal", "NORMAL"),
                            Argument::word("master", "MASTER"),
                            Argument::word("replica", "REPLICA"),
                            Argument::word("pubsub", "PUBSUB"),
                        ],
                    )
                    .after("NOT-TYPE")
                    .since("9.0.0")
                    .optional(),
                    Argument::integer("not-client-id").after("NOT-ID").since("9.0.0").optional().multiple(),
                    Argument::string("not-username").after("NOT-USER").since("9.0.0").optional(),
                    Argument::string("not-addr").shown_as("ip:port").after("NOT-ADDR").since("9.0.0").optional(),
                    Argument::string("not-laddr").shown_as("ip:port").after("NOT-LADDR").since("9.0.0").optional(),
                    Argument::string("not-name").after("NOT-NAME").since("9.0.0").optional(),
                    Argument::string("not-flags").after("NOT-FLAGS").since("9.0.0").optional(),
                    Argument::string("not-lib-name").after("NOT-LIB-NAME").since("9.0.0").optional(),
                    Argument::string("not-lib-ver").after("NOT-LIB-VER").since("9.0.0").optional(),
                    Argument::integer("not-db").after("NOT-DB").since("9.0.0").optional(),
                    Argument::string("not-capa").after("NOT-CAPA").since("9.0.0").optional(),
                    Argument::string("not-ip").after("NOT-IP").since("9.0.0").optional(),
                ],
                run: Run::Admin(Admin::ClientList),
                ..Command::DEFAULT
            },
            Command {
                id: 43,
                name: "client|no-evict",
                arity: 3,
                flags: Flags::ADMIN
                    .with(Flags::NOSCRIPT)
                    .with(Flags::LOADING)
                    .with(Flags::STALE)
                    .with(Flags::ALLOW_BUSY),
                acl: Acl::ADMIN.with(Acl::SLOW).with(Acl::DANGEROUS).with(Acl::CONNECTION),
                group: Group::Connection,
                since: "7.0.0",
                complexity: "O(1)",
                summary: "Protects this connection from being closed when clients use too much memory.",
                arguments: &[Argument::one_of("enabled", &[Argument::word("on", "ON"), Argument::word("off", "OFF")])],
                run: Run::Admin(Admin::ClientNoEvict),
                ..Command::DEFAULT
            },
            Command {
                id: 44,
                name: "client|no-touch",
                arity: 3,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "7.2.0",
                complexity: "O(1)",
                summary: "Lets this connection read keys without marking them as used.",
                arguments: &[Argument::one_of("enabled", &[Argument::word("on", "ON"), Argument::word("off", "OFF")])],
                run: Run::Admin(Admin::ClientNoTouch),
                ..Command::DEFAULT
            },
            Command {
                id: 45,
                name: "client|pause",
                arity: -3,
                flags: Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE),
                acl: Acl::ADMIN.with(Acl::SLOW).with(Acl::DANGEROUS).with(Acl::CONNECTION),
                group: Group::Connection,
                since: "3.0.0",
                complexity: "O(1)",
                summary: "Holds back the calls of all clients for a while.",
                history: &[("6.2.0", "A mode: writes only, or everything.")],
                arguments: &[
                    Argument::integer("timeout"),
                    Argument::one_of("mode", &[Argument::word("write", "WRITE"), Argument::word("all", "ALL")])
                        .since("6.2.0")
                        .optional(),
                ],
                run: Run::Admin(Admin::ClientPause),
                ..Command::DEFAULT
            },
            Command {
                id: 46,
                name: "client|reply",
                arity: 3,
                flags: Flags::NOSCRIPT
                    .with(Flags::LOADING)
                    .with(Flags::STALE)
                    .with(Flags::NO_MULTI)
                    .with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "3.2.0",
                complexity: "O(1)",
                summary: "Switches replies on or off, or leaves out the next one.",
                arguments: &[Argument::one_of(
                    "action",
                    &[Argument::word("on", "ON"), Argument::word("off", "OFF"), Argument::word("skip", "SKIP")],
                )],
                run: Run::Admin(Admin::ClientReply),
                ..Command::DEFAULT
            },
            Command {
                id: 47,
                name: "client|setinfo",
                arity: 4,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                since: "7.2.0",
                complexity: "O(1)",
                summary: "Records the name or version of the client library.",
                arguments: &[Argument::one_of(
                    "attr",
                    &[Argument::string("libname").after("LIB-NAME"), Argument::string("libver").after("LIB-VER")],
                )],
                run: Run::Admin(Admin::ClientSetInfo),
                ..Command::DEFAULT
            },
            Command {
                id: 48,
                name: "client|setname",
                arity: 3,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE).with(Flags::ALLOW_BUSY),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                since: "2.6.9",
                complexity: "O(1)",
                summary: "Names this connection.",
                arguments: &[Argument::string("connection-name")],
                run: Run::Admin(Admin::ClientSetName),
                ..Command::DEFAULT
            },
            Command {
                id: 49,
                name: "client|tracking",
                arity: -3,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "6.0.0",
                complexity: "O(1); more with prefixes",
                summary: "Switches the messages for client-side caches on or off.",
                arguments: &[
                    Argument::one_of("status", &[Argument::word("on", "ON"), Argument::word("off", "OFF")]),
                    Argument::integer("client-id").after("REDIRECT").optional(),
                    Argument::string("prefix").after("PREFIX").optional().multiple().with_token_each_time(),
                    Argument::word("bcast", "BCAST").optional(),
                    Argument::word("optin", "OPTIN").optional(),
                    Argument::word("optout", "OPTOUT").optional(),
                    Argument::word("noloop", "NOLOOP").optional(),
                ],
                run: Run::Admin(Admin::ClientTracking),
                ..Command::DEFAULT
            },
            Command {
                id: 50,
                name: "client|trackinginfo",
                arity: 2,
                flags: Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE),
                acl: Acl::SLOW.with(Acl::CONNECTION),
                group: Group::Connection,
                since: "6.2.0",
                complexity: "O(1)",
                summary: "Shows how tracking is set up for this connection.",
                run: Run::Admin(Admin::ClientTrackingInfo),
                ..Command::DEFAULT
            },
            Command {
                id: 51,
                name: "client|unblock",
                arity: -3,
                flags: Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE),
                acl: Acl::ADMIN.with(Acl::SLOW).with(Acl::DANGEROUS).with(Acl::CONNECTION),
                group: Group::Connection,
                since: "5.0.0",
                complexity: "O(log(N)), N = connections",
                summary: "Ends the waiting of a connection that is blocked in a command.",
                arguments: &[
                    Argument::integer("client-id"),
                    Argument::one_of(
                        "unblock-type",
                        &[Argument::word("timeout", "TIMEOUT"), Argument::word("error", "ERROR")],
                    )
                    .optional(),
                ],
                run: Run::Admin(Admin::ClientUnblock),
                ..Command::DEFAULT
            },
            Command {
                id: 52,
                name: "client|unpause",
                arity: 2,
                flags: Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE),
                acl: Acl::ADMIN.with(Acl::SLOW).with(Acl::DANGEROUS).with(Acl::CONNECTION),
                group: Group::Connection,
                since: "6.2.0",
                complexity: "O(N), N = clients held back",
                summary: "Lets clients go on that CLIENT PAUSE holds back.",
                run: Run::Admin(Admin::ClientUnpause),
                ..Command::DEFAULT
            },
        ],
        run: Run::Container,
        ..Command::DEFAULT
    },
    Command {
        id: 117,
        name: "echo",
        arity: 2,
        flags: Flags::LOADING.with(Flags::STALE).with(Flags::FAST),
        acl: Acl::FAST.with(Acl::CONNECTION),
        group: Group::Connection,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Sends its argument back.",
        arguments: &[Argument::string("message")],
        run: Run::Admin(Admin::Echo),
        ..Command::DEFAULT
    },
    Command {
        id: 159,
        name: "hello",
        arity: -1,
        flags: Flags::NOSCRIPT
            .with(Flags::LOADING)
            .with(Flags::STALE)
            .with(Flags::FAST)
            .with(Flags::NO_AUTH)
            .with(Flags::ALLOW_BUSY),
        acl: Acl::FAST.with(Acl::CONNECTION),
        group: Group::Connection,
        since: "6.0.0",
        complexity: "O(1)",
        summary: "Chooses the protocol, can sign in, and introduces the server.",
        history: &[
            ("8.1.0", "Tells the availability zone if one is set."),
            ("6.2.0", "The protocol version may be left out."),
        ],
        arguments: &[Argument::block(
            "arguments",
            &[
                Argument::integer("protover"),
                Argument::block("auth", &[Argument::string("username"), Argument::string("password")])
                    .after("AUTH")
                    .optional(),
                Argument::string("clientname").after("SETNAME").optional(),
            ],
        )
        .optional()],
        run: Run::Admin(Admin::Hello),
        ..Command::DEFAULT
    },
    Command {
        id: 252,
        name: "ping",
        arity: -1,
        flags: Flags::FAST,
        acl: Acl::FAST.with(Acl::CONNECTION),
        group: Group::Connection,
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Answers PONG, or sends its argument back.",
        arguments: &[Argument::string("message").optional()],
        run: Run::Admin(Admin::Ping),
        ..Command::DEFAULT
    },
    Command {
        id: 266,
        name: "quit",
        arity: -1,
        flags: Flags::NOSCRIPT
            .with(Flags::LOADING)
            .with(Flags::STALE)
            .with(Flags::FAST)
            .with(Flags::NO_AUTH)
            .with(Flags::ALLOW_BUSY),
        acl: Acl::FAST.with(Acl::CONNECTION),
        group: Group::Connection,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Ends the connection.",
        run: Run::Admin(Admin::Quit),
        ..Command::DEFAULT
    },
    Command {
        id: 274,
        name: "reset",
        arity: 1,
        flags: Flags::NOSCRIPT
            .with(Flags::LOADING)
            .with(Flags::STALE)
            .with(Flags::FAST)
            .with(Flags::NO_AUTH)
            .with(Flags::ALLOW_BUSY),
        acl: Acl::FAST.with(Acl::CONNECTION),
        group: Group::Connection,
        since: "6.2.0",
        complexity: "O(1)",
        summary: "Puts the connection back into its first state.",
        run: Run::Admin(Admin::Reset),
        ..Command::DEFAULT
    },
    Command {
        id: 296,
        name: "select",
        arity: 2,
        flags: Flags::LOADING.with(Flags::STALE).with(Flags::FAST).with(Flags::ALLOW_BUSY),
        acl: Acl::FAST.with(Acl::CONNECTION),
        group: Group::Connection,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Chooses the database of this connection.",
        arguments: &[Argument::integer("index")],
        run: Run::Admin(Admin::Select),
        ..Command::DEFAULT
    },
];
