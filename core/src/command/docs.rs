//! The replies of COMMAND, made from rows only.

use super::keys::{Begin, Find, KeyFlags, KeySpec};
use super::names::Names;
use super::row::{Acl, Argument, Command};
use crate::glob::glob_match;
use crate::resp::{Args, CommandError, Reply};

/// COMMAND: every command in full.
///
/// # Errors
/// None.
pub fn write_all(_: &Args<'_>, names: &Names, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    reply.array(names.existing().count());
    names.existing().for_each(|row| write_row(row, reply));
    Ok(())
}

/// COMMAND COUNT: how many commands there are.
///
/// # Errors
/// None.
pub fn write_count(_: &Args<'_>, names: &Names, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    reply.integer(names.existing().count() as i64);
    Ok(())
}

/// COMMAND LIST: the names, subcommands included.
///
/// # Errors
/// An unknown filter.
pub fn write_list(args: &Args<'_>, names: &Names, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    let filter = Filter::parse(args)?;
    let told: Vec<&str> = names
        .existing()
        .flat_map(|row| std::iter::once(row).chain(row.existing_subcommands()))
        .filter(|row| filter.passes(row))
        .map(|row| row.name)
        .collect();
    reply.array(told.len());
    told.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(())
}

/// Which names COMMAND LIST is to tell.
enum Filter<'a> {
    All,
    /// Of a module; we have none.
    Nothing,
    Category(Acl),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        if args.len() == 2 {
            return Ok(Self::All);
        }
        if args.len() != 5 || !args.get(2).eq_ignore_ascii_case(b"filterby") {
            return Err(CommandError::Syntax);
        }
        let (kind, wanted) = (args.get(3), args.get(4));
        match () {
            () if kind.eq_ignore_ascii_case(b"module") => Ok(Self::Nothing),
            () if kind.eq_ignore_ascii_case(b"aclcat") => Ok(category(wanted).map_or(Self::Nothing, Self::Category)),
            () if kind.eq_ignore_ascii_case(b"pattern") => Ok(Self::Pattern(wanted)),
            () => Err(CommandError::Syntax),
        }
    }

    fn passes(&self, row: &Command) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Category(category) => row.acl.has(*category),
            Self::Pattern(pattern) => glob_match(pattern, row.name.as_bytes(), true),
        }
    }
}

/// The ACL category of this name, written without its `@`.
fn category(name: &[u8]) -> Option<Acl> {
    Acl::WORDS.iter().find(|(_, word)| word.as_bytes()[1..].eq_ignore_ascii_case(name)).map(|(category, _)| *category)
}

/// COMMAND INFO: the named commands, or all.
///
/// # Errors
/// None.
pub fn write_info(args: &Args<'_>, names: &Names, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    if args.len() == 2 {
        return write_all(args, names, reply);
    }
    reply.array(args.len() - 2);
    for name in args.iter_from(2) {
        match names.lookup_full(name) {
            Some(row) => write_row(row, reply),
            None => reply.null(),
        }
    }
    Ok(())
}

fn write_row(row: &Command, reply: &mut Reply<'_>) {
    reply.array(10);
    reply.bulk(row.name.as_bytes());
    reply.integer(i64::from(row.arity));
    write_words(row.flags.words(), reply);
    let (first, last, step) = row.legacy_range();
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    write_words(row.acl.words(), reply);
    reply.set(row.tips.len());
    row.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(row.keys.len());
    row.keys.iter().for_each(|spec| write_spec(spec, reply));
    reply.array(row.existing_subcommands().count());
    row.existing_subcommands().for_each(|child| write_row(child, reply));
}

/// A set of simple strings.
fn write_words(words: impl Iterator<Item = &'static str> + Clone, reply: &mut Reply<'_>) {
    reply.set(words.clone().count());
    words.for_each(|word| reply.simple(word));
}

fn write_spec(spec: &KeySpec, reply: &mut Reply<'_>) {
    reply.map(if spec.notes.is_empty() { 3 } else { 4 });
    write_text("notes", spec.notes, reply);
    reply.bulk(b"flags");
    write_words(spec.flags.words(), reply);
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => write_step("index", &[("index", i64::from(index))], reply),
        Begin::Keyword { word, from } => {
            write_kind("keyword", 2, reply);
            write_text("keyword", word, reply);
            write_number("startfrom", i64::from(from), reply);
        }
        Begin::Unknown => write_step("unknown", &[], reply),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            let fields = [("lastkey", last.into()), ("keystep", step.into()), ("limit", limit.into())];
            write_step("range", &fields, reply);
        }
        Find::KeyNum { number_at, first, step } => {
            let fields = [("keynumidx", number_at.into()), ("firstkey", first.into()), ("keystep", step.into())];
            write_step("keynum", &fields, reply);
        }
        Find::Unknown => write_step("unknown", &[], reply),
    }
}

/// One half of a key specification: its type and its numbers.
fn write_step(kind: &str, fields: &[(&str, i64)], reply: &mut Reply<'_>) {
    write_kind(kind, fields.len(), reply);
    fields.iter().for_each(|(name, value)| write_number(name, *value, reply));
}

/// The head of one half of a key specification; `fields` pairs must follow.
fn write_kind(kind: &str, fields: usize, reply: &mut Reply<'_>) {
    reply.map(2);
    write_text("type", kind, reply);
    reply.bulk(b"spec");
    reply.map(fields);
}

fn write_number(name: &str, value: i64, reply: &mut Reply<'_>) {
    reply.bulk(name.as_bytes());
    reply.integer(value);
}

/// A pair of a map, left out if the text is empty.
fn write_text(name: &str, text: &str, reply: &mut Reply<'_>) {
    if !text.is_empty() {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
}

/// COMMAND DOCS: what the named commands, or all, do and take. Unknown names are left out.
///
/// # Errors
/// None.
pub fn write_docs(args: &Args<'_>, names: &Names, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    let rows: Vec<&Command> = if args.len() == 2 {
        names.existing().collect()
    } else {
        args.iter_from(2).filter_map(|name| names.lookup_full(name)).collect()
    };
    reply.map(rows.len());
    for row in rows {
        write_docs_of(row, reply);
    }
    Ok(())
}

/// The name of a command and all about it.
fn write_docs_of(row: &Command, reply: &mut Reply<'_>) {
    reply.bulk(row.name.as_bytes());
    let children = row.existing_subcommands().count();
    let texts = [("summary", row.summary), ("since", row.since), ("group", row.group.word())];
    let has_flags = row.system || row.deprecated.is_some();
    reply.map(
        texts.len()
            + usize::from(!row.complexity.is_empty())
            + usize::from(has_flags)
            + 2 * usize::from(row.deprecated.is_some())
            + usize::from(!row.history.is_empty())
            + usize::from(!row.arguments.is_empty())
            + usize::from(children > 0),
    );
    texts.iter().for_each(|(name, text)| write_text(name, text, reply));
    write_text("complexity", row.complexity, reply);
    if has_flags {
        reply.bulk(b"doc_flags");
        let flags = [(row.deprecated.is_some(), "deprecated"), (row.system, "syscmd")];
        write_words(flags.into_iter().filter_map(|(holds, word)| holds.then_some(word)), reply);
    }
    if let Some(deprecated) = row.deprecated {
        write_text("deprecated_since", deprecated.since, reply);
        write_text("replaced_by", deprecated.replaced_by, reply);
    }
    if !row.history.is_empty() {
        reply.bulk(b"history");
        reply.set(row.history.len());
        for (version, change) in row.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    write_arguments(row.arguments, reply);
    if children > 0 {
        reply.bulk(b"subcommands");
        reply.map(children);
        row.existing_subcommands().for_each(|child| write_docs_of(child, reply));
    }
}

/// The pair `arguments` of a map, left out if there are none.
fn write_arguments(arguments: &[Argument], reply: &mut Reply<'_>) {
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        reply.array(arguments.len());
        arguments.iter().for_each(|argument| write_argument(argument, reply));
    }
}

fn write_argument(argument: &Argument, reply: &mut Reply<'_>) {
    let shown_as = match (argument.arguments.is_empty(), argument.shown_as) {
        (false, text) => text,
        (true, "") => argument.name,
        (true, text) => text,
    };
    let texts =
        [("summary", argument.summary), ("since", argument.since), ("deprecated_since", argument.deprecated_since)];
    let flags =
        [(argument.optional, "optional"), (argument.multiple, "multiple"), (argument.multiple_token, "multiple_token")];
    let flags = flags.into_iter().filter_map(|(holds, word)| holds.then_some(word));
    let has_flags = flags.clone().next().is_some();
    reply.map(
        2 + usize::from(!shown_as.is_empty())
            + usize::from(argument.key_spec.is_some())
            + usize::from(argument.token.is_some())
            + texts.iter().filter(|(_, text)| !text.is_empty()).count()
            + usize::from(has_flags)
            + usize::from(!argument.arguments.is_empty()),
    );
    write_text("name", argument.name, reply);
    write_text("type", argument.kind.word(), reply);
    write_text("display_text", shown_as, reply);
    if let Some(spec) = argument.key_spec {
        write_number("key_spec_index", i64::from(spec), reply);
    }
    if let Some(token) = argument.token {
        reply.bulk(b"token");
        reply.bulk(token.as_bytes());
    }
    texts.iter().for_each(|(name, text)| write_text(name, text, reply));
    if has_flags {
        reply.bulk(b"flags");
        write_words(flags, reply);
    }
    write_arguments(argument.arguments, reply);
}

/// COMMAND GETKEYS: the keys of a call.
///
/// # Errors
/// The call is no command, has no keys, or does not fit the command.
pub fn write_get_keys(args: &Args<'_>, names: &Names, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    let (call, keys) = keys_of_call(args, names)?;
    reply.array(keys.len());
    keys.iter().for_each(|(index, _)| reply.bulk(call.get(*index)));
    Ok(())
}

/// COMMAND GETKEYSANDFLAGS: the keys of a call and what it does with them.
///
/// # Errors
/// The call is no command, has no keys, or does not fit the command.
pub fn write_get_keys_and_flags(args: &Args<'_>, names: &Names, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    let (call, keys) = keys_of_call(args, names)?;
    reply.array(keys.len());
    for (index, flags) in keys {
        reply.array(2);
        reply.bulk(call.get(index));
        write_words(flags.words(), reply);
    }
    Ok(())
}

/// The call behind COMMAND GETKEYS, and its keys.
fn keys_of_call<'a>(args: &Args<'a>, names: &Names) -> Result<(Args<'a>, Vec<(usize, KeyFlags)>), CommandError> {
    let call = args.skip(2);
    let row = names.find(&call).ok_or(CommandError::text("Invalid command specified"))?;
    if !row.has_keys() {
        return Err(CommandError::text("The command has no key arguments"));
    }
    if !row.accepts(call.len()) {
        return Err(CommandError::text("Invalid number of arguments specified for command"));
    }
    let keys = row.strict_keys(&call).map_err(|_| CommandError::text("Invalid arguments specified for command"))?;
    Ok((call, keys))
}

/// COMMAND HELP, line by line.
const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Describe every command.",
    "COUNT",
    "    Count the commands.",
    "LIST",
    "    Name the commands.",
    "INFO [<command-name> ...]",
    "    Describe the named commands, or every command if none is named.",
    "DOCS [<command-name> ...]",
    "    Tell what the named commands do and take, or every command if none is named.",
    "GETKEYS <full-command>",
    "    Pick the keys out of a call.",
    "GETKEYSANDFLAGS <full-command>",
    "    Pick the keys out of a call and tell what it does with them.",
    "HELP",
    "    Show these lines.",
];

/// COMMAND HELP: the subcommands.
///
/// # Errors
/// None.
pub fn write_help(_: &Args<'_>, _: &Names, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    reply.array(HELP.len());
    HELP.iter().for_each(|line| reply.simple(line));
    Ok(())
}
