//! Rows of the commands for places.

use crate::command::keys::{Begin, Find, KeyFlags, KeyRule, KeySpec};
use crate::command::row::{Acl, Argument, Command, Flags, Group, Run};

/// The rows, by name.
pub static ROWS: &[Command] = &[
    Command {
        id: 142,
        name: "geoadd",
        arity: -5,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        acl: Acl::WRITE.with(Acl::GEO).with(Acl::SLOW),
        group: Group::Geo,
        keys: &[KeySpec::one(1, KeyFlags::RW.with(KeyFlags::UPDATE))],
        since: "3.2.0",
        complexity: "O(log(N)) for each place, N = members",
        summary: "Adds places with longitude and latitude, or moves them.",
        history: &[("6.2.0", "CH, NX and XX.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")])
                .since("6.2.0")
                .optional(),
            Argument::word("change", "CH").since("6.2.0").optional(),
            Argument::block(
                "data",
                &[Argument::double("longitude"), Argument::double("latitude"), Argument::string("member")],
            )
            .multiple(),
        ],
        run: Run::OnShard(super::geoadd),
        ..Command::DEFAULT
    },
    Command {
        id: 143,
        name: "geodist",
        arity: -4,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::GEO).with(Acl::SLOW),
        group: Group::Geo,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "3.2.0",
        complexity: "O(1)",
        summary: "Tells how far two places are apart.",
        arguments: &[
            Argument::key("key", 0),
            Argument::string("member1"),
            Argument::string("member2"),
            Argument::one_of(
                "unit",
                &[
                    Argument::word("m", "M"),
                    Argument::word("km", "KM"),
                    Argument::word("ft", "FT"),
                    Argument::word("mi", "MI"),
                ],
            )
            .optional(),
        ],
        run: Run::OnShard(super::geodist),
        ..Command::DEFAULT
    },
    Command {
        id: 144,
        name: "geohash",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::GEO).with(Acl::SLOW),
        group: Group::Geo,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "3.2.0",
        complexity: "O(1) for each member",
        summary: "Writes positions as geohash texts.",
        arguments: &[Argument::key("key", 0), Argument::string("member").optional().multiple()],
        run: Run::OnShard(super::geohash),
        ..Command::DEFAULT
    },
    Command {
        id: 145,
        name: "geopos",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::GEO).with(Acl::SLOW),
        group: Group::Geo,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "3.2.0",
        complexity: "O(1) for each member",
        summary: "Tells the longitude and latitude of places.",
        arguments: &[Argument::key("key", 0), Argument::string("member").optional().multiple()],
        run: Run::OnShard(super::geopos),
        ..Command::DEFAULT
    },
    Command {
        id: 146,
        name: "georadius",
        arity: -6,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::MOVABLEKEYS),
        acl: Acl::WRITE.with(Acl::GEO).with(Acl::SLOW),
        group: Group::Geo,
        keys: &[
            KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS)),
            KeySpec::new(
                Begin::Keyword { word: "STORE", from: 6 },
                Find::Range { last: 0, step: 1, limit: 0 },
                KeyFlags::OW.with(KeyFlags::UPDATE).with(KeyFlags::VARIABLE_FLAGS),
            ),
            KeySpec::new(
                Begin::Keyword { word: "STOREDIST", from: 6 },
                Find::Range { last: 0, step: 1, limit: 0 },
                KeyFlags::OW.with(KeyFlags::UPDATE).with(KeyFlags::VARIABLE_FLAGS),
            ),
        ],
        key_rule: KeyRule::GeoRadius,
        since: "3.2.0",
        complexity: "O(N+log(M)), N = members in the box around the circle, M = all members",
        summary: "Finds places around a point, and may store them.",
        history: &[("6.2.0", "ANY behind COUNT."), ("7.0.0", "Units in upper case.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::double("longitude"),
            Argument::double("latitude"),
            Argument::double("radius"),
            Argument::one_of(
                "unit",
                &[
                    Argument::word("m", "M"),
                    Argument::word("km", "KM"),
                    Argument::word("ft", "FT"),
                    Argument::word("mi", "MI"),
                ],
            ),
            Argument::word("withcoord", "WITHCOORD").optional(),
            Argument::word("withdist", "WITHDIST").optional(),
            Argument::word("withhash", "WITHHASH").optional(),
            Argument::block(
                "count-block",
                &[Argument::integer("count").after("COUNT"), Argument::word("any", "ANY").since("6.2.0").optional()],
            )
            .optional(),
            Argument::one_of("order", &[Argument::word("asc", "ASC"), Argument::word("desc", "DESC")]).optional(),
            Argument::one_of(
                "store",
                &[
                    Argument::key("storekey", 1).shown_as("key").after("STORE"),
                    Argument::key("storedistkey", 2).shown_as("key").after("STOREDIST"),
                ],
            )
            .optional(),
        ],
        run: Run::OnShard(super::georadius),
        ..Command::DEFAULT
    },
    Command {
        id: 147,
        name: "georadius_ro",
        arity: -6,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::GEO).with(Acl::SLOW),
        group: Group::Geo,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "3.2.10",
        complexity: "O(N+log(M)), N = members in the box around the circle, M = all members",
        summary: "Finds places around a point.",
        history: &[("6.2.0", "ANY behind COUNT."), ("7.0.0", "Units in upper case.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::double("longitude"),
            Argument::double("latitude"),
            Argument::double("radius"),
            Argument::one_of(
                "unit",
                &[
                    Argument::word("m", "M"),
                    Argument::word("km", "KM"),
                    Argument::word("ft", "FT"),
                    Argument::word("mi", "MI"),
                ],
            ),
            Argument::word("withcoord", "WITHCOORD").optional(),
            Argument::word("withdist", "WITHDIST").optional(),
            Argument::word("withhash", "WITHHASH").optional(),
            Argument::block(
                "count-block",
                &[Argument::integer("count").after("COUNT"), Argument::word("any", "ANY").since("6.2.0").optional()],
            )
            .optional(),
            Argument::one_of("order", &[Argument::word("asc", "ASC"), Argument::word("desc", "DESC")]).optional(),
        ],
        run: Run::OnShard(super::georadius_ro),
        ..Command::DEFAULT
    },
    Command {
        id: 148,
        name: "georadiusbymember",
        arity: -5,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::MOVABLEKEYS),
        acl: Acl::WRITE.with(Acl::GEO).with(Acl::SLOW),
        group: Group::Geo,
        keys: &[
            KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS)),
            KeySpec::new(
                Begin::Keyword { word: "STORE", from: 5 },
                Find::Range { last: 0, step: 1, limit: 0 },
                KeyFlags::OW.with(KeyFlags::UPDATE).with(KeyFlags::VARIABLE_FLAGS),
            ),
            KeySpec::new(
                Begin::Keyword { word: "STOREDIST", from: 5 },
                Find::Range { last: 0, step: 1, limit: 0 },
                KeyFlags::OW.with(KeyFlags::UPDATE).with(KeyFlags::VARIABLE_FLAGS),
            ),
        ],
        key_rule: KeyRule::GeoRadius,
        since: "3.2.0",
        complexity: "O(N+log(M)), N = members in the box around the circle, M = all members",
        summary: "Finds places around one of them, and may store them.",
        history: &[("6.2.0", "ANY behind COUNT."), ("7.0.0", "Units in upper case.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::string("member"),
            Argument::double("radius"),
            Argument::one_of(
                "unit",
                &[
                    Argument::word("m", "M"),
                    Argument::word("km", "KM"),
                    Argument::word("ft", "FT"),
                    Argument::word("mi", "MI"),
                ],
            ),
            Argument::word("withcoord", "WITHCOORD").optional(),
            Argument::word("withdist", "WITHDIST").optional(),
            Argument::word("withhash", "WITHHASH").optional(),
            Argument::block(
                "count-block",
                &[Argument::integer("count").after("COUNT"), Argument::word("any", "ANY").optional()],
            )
            .optional(),
            Argument::one_of("order", &[Argument::word("asc", "ASC"), Argument::word("desc", "DESC")]).optional(),
            Argument::one_of(
                "store",
                &[
                    Argument::key("storekey", 1).shown_as("key").after("STORE"),
                    Argument::key("storedistkey", 2).shown_as("key").after("STOREDIST"),
                ],
            )
            .optional(),
        ],
        run: Run::OnShard(super::georadiusbymember),
        ..Command::DEFAULT
    },
    Command {
        id: 149,
        name: "georadiusbymember_ro",
        arity: -5,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::GEO).with(Acl::SLOW),
        group: Group::Geo,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "3.2.10",
        complexity: "O(N+log(M)), N = members in the box around the circle, M = all members",
        summary: "Finds places around one of them.",
        history: &[("6.2.0", "ANY behind COUNT."), ("7.0.0", "Units in upper case.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::string("member"),
            Argument::double("radius"),
            Argument::one_of(
                "unit",
                &[
                    Argument::word("m", "M"),
                    Argument::word("km", "KM"),
                    Argument::word("ft", "FT"),
                    Argument::word("mi", "MI"),
                ],
            ),
            Argument::word("withcoord", "WITHCOORD").optional(),
            Argument::word("withdist", "WITHDIST").optional(),
            Argument::word("withhash", "WITHHASH").optional(),
            Argument::block(
                "count-block",
                &[Argument::integer("count").after("COUNT"), Argument::word("any", "ANY").optional()],
            )
            .optional(),
            Argument::one_of("order", &[Argument::word("asc", "ASC"), Argument::word("desc", "DESC")]).optional(),
        ],
        run: Run::OnShard(super::georadiusbymember_ro),
        ..Command::DEFAULT
    },
    Command {
        id: 150,
        name: "geosearch",
        arity: -7,
        flags: Flags::READONLY,
        acl: Acl::READ.with(Acl::GEO).with(Acl::SLOW),
        group: Group::Geo,
        keys: &[KeySpec::one(1, KeyFlags::RO.with(KeyFlags::ACCESS))],
        since: "6.2.0",
        complexity: "O(N+log(M)), N = members in the box around the shape, M = members inside it",
        summary: "Finds places inside a circle, a rectangle or a polygon.",
        history: &[("7.0.0", "Units in upper case."), ("9.0.0", "BYPOLYGON.")],
        arguments: &[
            Argument::key("key", 0),
            Argument::one_of(
                "from",
                &[
                    Argument::string("member").after("FROMMEMBER"),
                    Argument::block("fromlonlat", &[Argument::double("longitude"), Argument::double("latitude")])
                        .after("FROMLONLAT"),
                ],
            )
            .optional(),
            Argument::one_of(
                "by",
                &[
                    Argument::block(
                        "circle",
                        &[
                            Argument::double("radius").after("BYRADIUS"),
                            Argument::one_of(
                                "unit",
                                &[
                                    Argument::word("m", "M"),
                                    Argument::word("km", "KM"),
                                    Argument::word("ft", "FT"),
                                    Argument::word("mi", "MI"),
                                ],
                            ),
                        ],
                    ),
                    Argument::block(
                        "box",
                        &[
                            Argument::double("width").after("BYBOX"),
                            Argument::double("height"),
                            Argument::one_of(
                                "unit",
                                &[
                                    Argument::word("m", "M"),
                                    Argument::word("km", "KM"),
                                    Argument::word("ft", "FT"),
                                    Argument::word("mi", "MI"),
                                ],
                            ),
                        ],
                    ),
                    Argument::block(
                        "polygon",
                        &[
                            Argument::integer("num-vertices").after("BYPOLYGON"),
                            Argument::block("vertices", &[Argument::double("longitude"), Argument::double("latitude")])
                                .multiple(),
                        ],
                    )
                    .since("9.0.0"),
                ],
            ),
            Argument::one_of("order", &[Argument::word("asc", "ASC"), Argument::word("desc", "DESC")]).optional(),
            Argument::block(
                "count-block",
                &[Argument::integer("count").after("COUNT"), Argument::word("any", "ANY").optional()],
            )
            .optional(),
            Argument::word("withcoord", "WITHCOORD").optional(),
            Argument::word("withdist", "WITHDIST").optional(),
            Argument::word("withhash", "WITHHASH").optional(),
        ],
        run: Run::OnShard(super::geosearch),
        ..Command::DEFAULT
    },
    Command {
        id: 151,
        name: "geosearchstore",
        arity: -8,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        acl: Acl::WRITE.with(Acl::GEO).with(Acl::SLOW),
        group: Group::Geo,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.with(KeyFlags::UPDATE)),
            KeySpec::one(2, KeyFlags::RO.with(KeyFlags::ACCESS)),
        ],
        since: "6.2.0",
        complexity: "O(N+log(M)), N = members in the box around the shape, M = members inside it",
        summary: "Stores the places inside a circle, a rectangle or a polygon in another key.",
        history: &[("7.0.0", "Units in upper case."), ("9.0.0", "BYPOLYGON.")],
        arguments: &[
            Argument::key("destination", 0),
            Argument::key("source", 1),
            Argument::one_of(
                "from",
                &[
                    Argument::string("member").after("FROMMEMBER"),
                    Argument::block("fromlonlat", &[Argument::double("longitude"), Argument::double("latitude")])
                        .after("FROMLONLAT"),
                ],
            )
            .optional(),
            Argument::one_of(
                "by",
                &[
                    Argument::block(
                        "circle",
                        &[
                            Argument::double("radius").after("BYRADIUS"),
                            Argument::one_of(
                                "unit",
                                &[
                                    Argument::word("m", "M"),
                                    Argument::word("km", "KM"),
                                    Argument::word("ft", "FT"),
                                    Argument::word("mi", "MI"),
                                ],
                            ),
                        ],
                    ),
                    Argument::block(
                        "box",
                        &[
                            Argument::double("width").after("BYBOX"),
                            Argument::double("height"),
                            Argument::one_of(
                                "unit",
                                &[
                                    Argument::word("m", "M"),
                                    Argument::word("km", "KM"),
                                    Argument::word("ft", "FT"),
                                    Argument::word("mi", "MI"),
                                ],
                            ),
                        ],
                    ),
                    Argument::block(
                        "polygon",
                        &[
                            Argument::integer("num-vertices").after("BYPOLYGON"),
                            Argument::block("vertices", &[Argument::double("longitude"), Argument::double("latitude")])
                                .multiple(),
                        ],
                    )
                    .since("9.0.0"),
                ],
            ),
            Argument::one_of("order", &[Argument::word("asc", "ASC"), Argument::word("desc", "DESC")]).optional(),
            Argument::block(
                "count-block",
                &[Argument::integer("count").after("COUNT"), Argument::word("any", "ANY").optional()],
            )
            .optional(),
            Argument::word("storedist", "STOREDIST").optional(),
        ],
        run: Run::OnShard(super::geosearchstore),
        ..Command::DEFAULT
    },
];
