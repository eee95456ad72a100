//! What a row of the table of directives says: how its value is written, when it may change, and what it does here.

use super::rows::Setting;

/// One directive.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name as it stands in files and answers.
    pub name: &'static str,
    /// An older name for the same value.
    pub alias: Option<&'static str>,
    /// How the value is written, and its bounds.
    pub kind: Kind,
    /// The default, written as CONFIG GET shows it.
    pub default: &'static str,
    /// Cannot be changed after the start.
    pub at_start: bool,
    /// CONFIG SET refuses it unless `enable-protected-configs` allows it.
    pub protected: bool,
    /// Holds a secret: its value must not reach a log.
    pub sensitive: bool,
    /// Shown by its exact name only, never by a pattern.
    pub hidden: bool,
    /// CONFIG SET refuses it while data is being loaded.
    pub not_while_loading: bool,
    /// Numbers outside of this are moved to its ends without a word.
    pub clamped: Option<(i64, i64)>,
    /// What the directive does in this server.
    pub effect: Effect,
}

/// What a directive does in this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// As documented for Valkey.
    Works,
    /// Accepted and kept, but it names something that does not exist here; the text says why.
    Meaningless(&'static str),
    /// Accepted and kept, but without effect in this version; the text says what is missing.
    NotYet(&'static str),
}

/// How a value is written, and its bounds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    YesNo,
    /// A port, or `no`, which is kept as 0.
    PortOrNo,
    /// A decimal number.
    Integer {
        /// The smallest number allowed.
        min: i64,
        /// The largest number allowed.
        max: i64,
    },
    /// Bytes with a unit (`100mb`). Kept as the bits of an unsigned number, so the bound is compared as signed.
    Memory {
        /// The smallest amount allowed.
        min: i64,
        /// Whether a plain negative number down to `min` may stand in its place.
        plain_negative: bool,
    },
    /// Bytes with a unit, or a percentage up to 100, which is kept as a negative number.
    MemoryOrPercent,
    /// File permissions.
    Octal {
        /// The largest number allowed.
        max: i64,
    },
    /// One of several names; names with the same number mean the same.
    Choice(&'static [(&'static str, i64)]),
    /// Any of several names, each a bit.
    Choices(&'static [(&'static str, i64)]),
    /// A text that ends at its first NUL byte.
    Text(Check),
    /// Any bytes.
    Binary,
    /// `save`: pairs of seconds and changes.
    SavePoints,
    /// `bind`: addresses.
    Addresses,
    /// `client-output-buffer-limit`: groups of class, hard limit, soft limit, soft seconds.
    OutputLimits,
    /// `oom-score-adj-values`: three numbers.
    OomScores,
    /// `replicaof`: a host and a port, or `no one`.
    Primary,
    /// `latency-tracking-info-percentiles`: numbers from 0 to 100.
    Percentiles,
}

impl Kind {
    /// Whether the value may be several words in a file.
    pub const fn takes_words(self) -> bool {
        match self {
            Self::Choices(_)
            | Self::SavePoints
            | Self::Addresses
            | Self::OutputLimits
            | Self::OomScores
            | Self::Primary
            | Self::Percentiles => true,
            Self::YesNo
            | Self::PortOrNo
            | Self::Integer { .. }
            | Self::Memory { .. }
            | Self::MemoryOrPercent
            | Self::Octal { .. }
            | Self::Choice(_)
            | Self::Text(_)
            | Self::Binary => false,
        }
    }
}

/// What a text has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Anything.
    Any,
    /// Not empty.
    NotEmpty,
    /// A name of a file without a path.
    FileName,
    /// A name of a directory without a path.
    DirectoryName,
    /// Empty or an IPv4 address.
    Ipv4,
    /// Empty or an IPv6 address.
    Ipv6,
    /// Letters, digits, hyphens and dots.
    HostName,
    /// A node's name, without the separators of the cluster's own file.
    NodeName,
    /// An announced address, likewise.
    AnnouncedAddress,
    /// A template with known variables.
    TitleTemplate,
    /// Classes of keyspace events, kept in one canonical order.
    KeyEvents,
}

impl Row {
    const fn new(kind: Kind, default: &'static str) -> Self {
        Self {
            name: "",
            alias: None,
            kind,
            default,
            at_start: false,
            protected: false,
            sensitive: false,
            hidden: false,
            not_while_loading: false,
            clamped: None,
            effect: Effect::Works,
        }
    }

    pub(super) const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    pub(super) const fn alias(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }

    pub(super) const fn at_start(self) -> Self {
        Self { at_start: true, ..self }
    }

    pub(super) const fn protected(self) -> Self {
        Self { protected: true, ..self }
    }

    pub(super) const fn sensitive(self) -> Self {
        Self { sensitive: true, ..self }
    }

    pub(super) const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    pub(super) const fn not_while_loading(self) -> Self {
        Self { not_while_loading: true, ..self }
    }

    pub(super) const fn clamped(self, min: i64, max: i64) -> Self {
        Self { clamped: Some((min, max)), ..self }
    }

    pub(super) const fn meaningless(self, reason: &'static str) -> Self {
        Self { effect: Effect::Meaningless(reason), ..self }
    }

    pub(super) const fn not_yet(self, reason: &'static str) -> Self {
        Self { effect: Effect::NotYet(reason), ..self }
    }

    pub(super) const fn checked(self, check: Check) -> Self {
        Self { kind: Kind::Text(check), ..self }
    }

    /// The line to log when somebody gives this directive a value that has no effect; nothing for one that works.
    pub fn remark(&self) -> Option<String> {
        match self.effect {
            Effect::Works => None,
            Effect::Meaningless(reason) => {
                Some(format!("'{}' is accepted but means nothing here: {reason}", self.name))
            }
            Effect::NotYet(reason) => {
                Some(format!("'{}' is kept but has no effect in this version: {reason}", self.name))
            }
        }
    }
}

pub(super) const fn yes_no(default: &'static str) -> Row {
    Row::new(Kind::YesNo, default)
}

pub(super) const fn port_or_no(default: &'static str) -> Row {
    Row::new(Kind::PortOrNo, default)
}

pub(super) const fn integer(min: i64, max: i64, default: &'static str) -> Row {
    Row::new(Kind::Integer { min, max }, default)
}

pub(super) const fn memory(min: i64, default: &'static str) -> Row {
    Row::new(Kind::Memory { min, plain_negative: false }, default)
}

pub(super) const fn memory_or_minus_one(default: &'static str) -> Row {
    Row::new(Kind::Memory { min: -1, plain_negative: true }, default)
}

pub(super) const fn memory_or_percent(default: &'static str) -> Row {
    Row::new(Kind::MemoryOrPercent, default)
}

pub(super) const fn octal(max: i64, default: &'static str) -> Row {
    Row::new(Kind::Octal { max }, default)
}

pub(super) const fn choice(names: &'static [(&'static str, i64)], default: &'static str) -> Row {
    Row::new(Kind::Choice(names), default)
}

pub(super) const fn choices(names: &'static [(&'static str, i64)], default: &'static str) -> Row {
    Row::new(Kind::Choices(names), default)
}

pub(super) const fn text(default: &'static str) -> Row {
    Row::new(Kind::Text(Check::Any), default)
}

pub(super) const fn binary(default: &'static str) -> Row {
    Row::new(Kind::Binary, default)
}

pub(super) const fn save_points(default: &'static str) -> Row {
    Row::new(Kind::SavePoints, default)
}

pub(super) const fn addresses(default: &'static str) -> Row {
    Row::new(Kind::Addresses, default)
}

pub(super) const fn output_limits(default: &'static str) -> Row {
    Row::new(Kind::OutputLimits, default)
}

pub(super) const fn oom_scores(default: &'static str) -> Row {
    Row::new(Kind::OomScores, default)
}

pub(super) const fn primary(default: &'static str) -> Row {
    Row::new(Kind::Primary, default)
}

pub(super) const fn percentiles(default: &'static str) -> Row {
    Row::new(Kind::Percentiles, default)
}

impl Setting {
    /// The row of this directive.
    pub fn row(self) -> &'static Row {
        &super::rows::ROWS[self as usize]
    }

    /// Finds a directive by its name or its older name, in any case of letters; gives the name that was meant too.
    pub fn find(name: &[u8]) -> Option<(Self, &'static str)> {
        let is = |candidate: &str| candidate.as_bytes().eq_ignore_ascii_case(name);
        Self::ALL.iter().find_map(|setting| {
            let row = setting.row();
            let found = if is(row.name) { Some(row.name) } else { row.alias.filter(|alias| is(alias)) };
            found.map(|name| (*setting, name))
        })
    }
}
