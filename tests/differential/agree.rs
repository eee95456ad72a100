//! How a command is carried out on both servers, and when their replies agree: where the order or the choice is the
//! server's own, as sets, as membership, or with a little time between them.

use ringkey_tests::{Client, Reply};

/// A key for copies.
const SPARE: &str = "spare";

/// How far apart two remaining times may be.
const TIME_TOLERANCE_SECONDS: i64 = 10;

/// What two replies of a command have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    Same,
    /// The elements, in whatever order.
    Unordered,
    /// The pairs, in whatever order.
    Pairs,
    /// Numbers that are times.
    Times,
    /// Everything but when entries were delivered and consumers were heard of.
    Deliveries,
    /// The number of elements, all of them members; nothing changes.
    Pick,
    /// The number of elements, all of them members, and they are gone afterwards.
    Pop,
    /// Everything, and a set that is stored, the encoding of which may follow the order in a table.
    Store,
    /// What is given until the cursor is back at 0.
    Scan,
    /// `DUMP key other`: the value, restored under the other key on both from what one of them has dumped.
    Dump,
}

impl Mode {
    /// Of this command.
    pub fn of(args: &[String]) -> Self {
        match args[0].to_ascii_uppercase().as_str() {
            "SMEMBERS" | "SINTER" | "SUNION" | "SDIFF" | "HKEYS" | "HVALS" => Self::Unordered,
            "HGETALL" => Self::Pairs,
            "HTTL" | "HPTTL" | "HEXPIRETIME" | "HPEXPIRETIME" => Self::Times,
            "XPENDING" | "XINFO" => Self::Deliveries,
            "SRANDMEMBER" | "HRANDFIELD" | "ZRANDMEMBER" => Self::Pick,
            "SPOP" => Self::Pop,
            "SINTERSTORE" | "SUNIONSTORE" | "SDIFFSTORE" => Self::Store,
            "DUMP" if matches!(args.len(), 2 | 3) => Self::Dump,
            "SSCAN" | "HSCAN" | "ZSCAN" if args.len() > 2 => Self::Scan,
            _ => Self::Same,
        }
    }

    /// Can the command be sent together with others?
    pub fn is_plain(self) -> bool {
        matches!(self, Self::Same | Self::Unordered | Self::Pairs | Self::Times | Self::Deliveries)
    }

    /// Do replies to a plain command agree?
    pub fn agree(self, args: &[String], ours: &Reply, theirs: &Reply) -> bool {
        match self {
            Self::Unordered => sorted(ours, 1) == sorted(theirs, 1),
            Self::Pairs => sorted(ours, 2) == sorted(theirs, 2),
            Self::Deliveries => without_times(ours) == without_times(theirs),
            Self::Times => {
                let milliseconds = args[0].to_ascii_uppercase().starts_with("HP");
                let tolerance = TIME_TOLERANCE_SECONDS * if milliseconds { 1000 } else { 1 };
                match (ours, theirs) {
                    (Reply::Array(ours), Reply::Array(theirs)) => {
                        let near = |pair: (&Reply, &Reply)| match pair {
                            (Reply::Integer(a), Reply::Integer(b)) if *a > 0 && *b > 0 => {
                                a.abs_diff(*b) <= tolerance as u64
                            }
                            (a, b) => a == b,
                        };
                        ours.len() == theirs.len() && ours.iter().zip(theirs).all(near)
                    }
                    _ => ours == theirs,
                }
            }
            _ => ours == theirs,
        }
    }
}

/// A reply in which times of deliveries and of consumers are only there or not.
fn without_times(reply: &Reply) -> Reply {
    const NAMES: &[&str] = &["idle", "inactive", "seen-time", "active-time"];
    let is_time = |name: &Reply| matches!(name, Reply::Bulk(name) if NAMES.contains(&text(name).as_str()));
    let hidden = |reply: &Reply| match reply {
        Reply::Integer(time) => Reply::Integer((*time).clamp(-1, 0)),
        other => without_times(other),
    };
    match reply {
        Reply::Map(pairs) => Reply::Map(
            pairs
                .iter()
                .map(|(name, value)| (name.clone(), if is_time(name) { hidden(value) } else { without_times(value) }))
                .collect(),
        ),
        Reply::Array(elements) => {
            // Behind the id, or behind that and the consumer.
            let delivery = match elements.as_slice() {
                [Reply::Bulk(_), Reply::Bulk(_), Reply::Integer(_), Reply::Integer(_)] => Some(2),
                [Reply::Bulk(_), Reply::Integer(_), Reply::Integer(_)] => Some(1),
                _ => None,
            };
            let at = |(index, element): (usize, &Reply)| {
                let is_named = index > 0 && is_time(&elements[index - 1]);
                if is_named || delivery == Some(index) { hidden(element) } else { without_times(element) }
            };
            Reply::Array(elements.iter().enumerate().map(at).collect())
        }
        other => other.clone(),
    }
}

/// The kind of a reply and its elements in groups, sorted.
fn sorted(reply: &Reply, group: usize) -> (u8, Vec<Vec<String>>) {
    let mut groups: Vec<Vec<String>> = match reply {
        Reply::Map(pairs) => pairs.iter().map(|(key, value)| [key.lines(), value.lines()].concat()).collect(),
        Reply::Array(elements) | Reply::Set(elements) => {
            elements.chunks(group).map(|group| group.iter().flat_map(Reply::lines).collect()).collect()
        }
        other => vec![other.lines()],
    };
    groups.sort();
    (kind(reply), groups)
}

/// What kind of reply it is.
fn kind(reply: &Reply) -> u8 {
    match reply {
        Reply::Array(_) => b'*',
        Reply::Set(_) => b'~',
        Reply::Map(_) => b'%',
        Reply::Bulk(_) => b'$',
        Reply::NullBulk | Reply::NullArray | Reply::Null => b'_',
        Reply::Error(_) => b'-',
        _ => b'?',
    }
}

/// All strings of a reply, one after the other.
fn leaves(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Array(elements) | Reply::Set(elements) => elements.iter().flat_map(leaves).collect(),
        Reply::Bulk(bytes) | Reply::Double(bytes) => vec![text(bytes)],
        Reply::NullBulk | Reply::NullArray | Reply::Null => Vec::new(),
        other => vec![other.to_string()],
    }
}

/// Bytes as text; the words that are sent are all UTF-8.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The depth of the first element: pairs are nested in RESP3 and are not in RESP2.
fn nested(reply: &Reply) -> bool {
    matches!(reply, Reply::Array(elements) if matches!(elements.first(), Some(Reply::Array(_))))
}

/// Carries out a command that is not plain; what is wrong, if something is.
pub fn special(mode: Mode, args: &[String], clients: &mut [Client; 2]) -> Result<(), String> {
    match mode {
        Mode::Pick => pick(args, clients),
        Mode::Pop => pop(args, clients),
        Mode::Store => store(args, clients),
        Mode::Dump => dump(args, clients),
        _ => scan(args, clients),
    }
}

fn differ(ours: &Reply, theirs: &Reply) -> String {
    format!("ours:\n{}\nthe reference:\n{}", shortened(ours), shortened(theirs))
}

/// The lines of a reply, not too many of them.
pub fn shortened(reply: &Reply) -> String {
    let lines = reply.lines();
    let more = lines.len().saturating_sub(60);
    let text = lines.into_iter().take(60).collect::<Vec<_>>().join("\n");
    if more > 0 { format!("{text}\n.. and {more} lines") } else { text }
}

/// Two replies of which only the shape must be the same; the strings of ours.
fn same_shape(ours: &Reply, theirs: &Reply) -> Result<Vec<String>, String> {
    let same = match (ours, theirs) {
        (Reply::Error(_), _) | (_, Reply::Error(_)) => ours == theirs,
        _ => {
            kind(ours) == kind(theirs)
                && ours.is_null() == theirs.is_null()
                && leaves(ours).len() == leaves(theirs).len()
                && nested(ours) == nested(theirs)
        }
    };
    if !same {
        return Err(differ(ours, theirs));
    }
    Ok(if matches!(ours, Reply::Error(_)) { Vec::new() } else { leaves(ours) })
}

fn pick(args: &[String], clients: &mut [Client; 2]) -> Result<(), String> {
    let [ours, theirs] = clients.each_mut().map(|client| client.command(args));
    let strings = same_shape(&ours, &theirs)?;
    if strings.is_empty() {
        return Ok(());
    }
    let with = args.get(3).is_some();
    let members: Vec<String> = strings.iter().step_by(if with { 2 } else { 1 }).cloned().collect();
    let question = match args[0].to_ascii_uppercase().as_str() {
        "SRANDMEMBER" => "SMISMEMBER",
        "HRANDFIELD" => "HMGET",
        _ => "ZMSCORE",
    };
    let asked = [vec![question.to_owned(), args[1].clone()], members.clone()].concat();
    let found = clients[1].command(&asked);
    if found.elements().iter().any(|reply| reply.is_null() || *reply == Reply::Integer(0)) {
        return Err(format!("some of these are no members: {}", shortened(&ours)));
    }
    if with && leaves(&found).iter().ne(strings.iter().skip(1).step_by(2)) {
        return Err(format!("{}\nbut the values are\n{}", shortened(&ours), shortened(&found)));
    }
    let positive = args.get(2).is_some_and(|count| !count.starts_with('-'));
    let mut distinct = members.clone();
    distinct.sort();
    distinct.dedup();
    if positive && distinct.len() < members.len() {
        return Err(format!("a member is given twice: {}", shortened(&ours)));
    }
    Ok(())
}

/// The reference pops from a copy, to show what the reply must look like, and then removes what ours has popped.
fn pop(args: &[String], clients: &mut [Client; 2]) -> Result<(), String> {
    let [ours, theirs] = clients;
    theirs.run("DEL spare");
    let mut on_copy = args.to_vec();
    if let Some(key) = on_copy.get_mut(1) {
        theirs.command(&["COPY", key, SPARE]);
        SPARE.clone_into(key);
    }
    let expected = theirs.command(&on_copy);
    theirs.run("DEL spare");
    let popped = ours.command(args);
    let members = same_shape(&popped, &expected)?;
    if members.is_empty() {
        return Ok(());
    }
    let removed = theirs.command(&[vec!["SREM".to_owned(), args[1].clone()], members.clone()].concat());
    if removed != Reply::Integer(members.len() as i64) {
        return Err(format!("ours has popped what was no member, or twice: {}", shortened(&popped)));
    }
    // After a pop of many, an encoding may be what it would not be after their removal.
    if args.len() > 2 {
        write_anew(&args[1], clients)?;
    }
    Ok(())
}

/// A set that is stored from others. Where a table is among these, the order of its members is the server's own, and with it
/// the encoding of what is stored: then only the members are compared, and written anew.
fn store(args: &[String], clients: &mut [Client; 2]) -> Result<(), String> {
    let table = Reply::Bulk(b"hashtable".to_vec());
    let sources = args.get(2..).unwrap_or_default();
    let has_table = sources.iter().any(|key| clients[1].command(&["OBJECT", "ENCODING", key]) == table);
    let [ours, theirs] = clients.each_mut().map(|client| client.command(args));
    if ours != theirs {
        return Err(format!("ours:\n{}\nthe reference:\n{}", shortened(&ours), shortened(&theirs)));
    }
    match ours {
        Reply::Integer(1..) if has_table => write_anew(&args[1], clients),
        _ => Ok(()),
    }
}

/// A value dumped by both, and restored by both under another key from the payload of one of them: so it is in the same order
/// on both afterwards, and each reads what the other writes.
fn dump(args: &[String], clients: &mut [Client; 2]) -> Result<(), String> {
    let (key, other) = (&args[1], args.last().expect("there is a key"));
    let payloads = clients.each_mut().map(|client| client.command(&["DUMP", key]));
    let payload = match &payloads {
        [Reply::Bulk(ours), Reply::Bulk(theirs)] => if key < other { ours } else { theirs }.clone(),
        [ours, theirs] if ours == theirs => return Ok(()),
        [ours, theirs] => return Err(differ(ours, theirs)),
    };
    let words: [&[u8]; 5] = [b"RESTORE", other.as_bytes(), b"0", &payload, b"REPLACE"];
    let [ours, theirs] = clients.each_mut().map(|client| client.command(&words));
    if ours == theirs { Ok(()) } else { Err(format!("{}\n{}", payload.escape_ascii(), differ(&ours, &theirs))) }
}

/// Compares the members of a set and writes them anew on both, in one order.
fn write_anew(key: &str, clients: &mut [Client; 2]) -> Result<(), String> {
    let [found, expected] = clients.each_mut().map(|client| {
        let mut members = leaves(&client.command(&["SMEMBERS", key]));
        members.sort();
        members
    });
    if found != expected {
        return Err(format!("there are the members\n{found:?}\nbut should be\n{expected:?}"));
    }
    for client in clients {
        client.command(&["DEL", key]);
        if !expected.is_empty() {
            client.command(&[vec!["SADD".to_owned(), key.to_owned()], expected.clone()].concat());
        }
    }
    Ok(())
}

/// Walks through on both.
fn scan(args: &[String], clients: &mut [Client; 2]) -> Result<(), String> {
    let [ours, theirs] = clients.each_mut().map(|client| walk(args, client));
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Ok(()),
        (Err(ours), Err(theirs)) if ours == theirs => Ok(()),
        (Err(ours), Err(theirs)) => Err(differ(ours, theirs)),
        _ => Err(format!("walks differ; ours:\n{ours:?}\nthe reference:\n{theirs:?}")),
    }
}

/// All that a walk gives, or its error.
fn walk(args: &[String], client: &mut Client) -> Result<Vec<Vec<String>>, Reply> {
    let without = args.iter().any(|arg| arg.eq_ignore_ascii_case("NOVALUES") || arg.eq_ignore_ascii_case("NOSCORES"));
    let single = args[0].eq_ignore_ascii_case("SSCAN") || without;
    let mut args = args.to_vec();
    let mut all = Vec::new();
    loop {
        let reply = client.command(&args);
        let Reply::Array(parts) = &reply else { return Err(reply) };
        let found = leaves(&parts[1]);
        all.extend(found.chunks(if single { 1 } else { 2 }).map(<[String]>::to_vec));
        args[2] = parts[0].text();
        if args[2] == "0" {
            break;
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}
