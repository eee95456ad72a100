//! What a client that listens to channels hears: messages between the replies, in both protocols; and clients on all cores.

use crate::client::Client;
use crate::reply::Reply;
use crate::server::{Kind, Server};

/// A message that a subscriber got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The pattern that it came for, if it came for one.
    pub pattern: Option<String>,
    /// The channel.
    pub channel: String,
    /// What was published.
    pub text: String,
    /// Is it of a shard channel?
    pub is_sharded: bool,
}

/// The message that this is, if it is one.
pub fn message(reply: &Reply) -> Option<Message> {
    let (Reply::Array(words) | Reply::Push(words)) = reply else { return None };
    let words: Vec<String> = words.iter().filter(|word| matches!(word, Reply::Bulk(_))).map(Reply::text).collect();
    let named = |pattern: Option<&String>, channel: &String, text: &String| Message {
        pattern: pattern.cloned(),
        channel: channel.clone(),
        text: text.clone(),
        is_sharded: words[0] == "smessage",
    };
    match &words[..] {
        [kind, channel, text] if kind == "message" || kind == "smessage" => Some(named(None, channel, text)),
        [kind, pattern, channel, text] if kind == "pmessage" => Some(named(Some(pattern), channel, text)),
        _ => None,
    }
}

impl Client {
    /// Reads a message; anything else fails the test.
    pub fn read_message(&mut self) -> Message {
        let reply = self.read_reply().unwrap_or_else(|error| panic!("no message: {error}"));
        message(&reply).unwrap_or_else(|| panic!("not a message: {reply}"))
    }

    /// Reads up to a reply that is no message; the messages before it, and the reply.
    pub fn read_past_messages(&mut self) -> (Vec<Message>, Reply) {
        let mut messages = Vec::new();
        loop {
            let reply = self.read_reply().unwrap_or_else(|error| panic!("no reply: {error}"));
            match message(&reply) {
                Some(one) => messages.push(one),
                None => return (messages, reply),
            }
        }
    }

    /// Listens to channels and the like (`SUBSCRIBE a b`), and waits until that is so.
    pub fn listen(&mut self, command: &str) {
        let words: Vec<&str> = command.split(' ').collect();
        let mut reply = self.command(&words);
        for (number, name) in words[1..].iter().enumerate() {
            if number > 0 {
                reply = self.read_reply().unwrap_or_else(|error| panic!("{command}: {error}"));
            }
            let confirms = |words: &[Reply]| {
                words.len() == 3 && words[0].text().eq_ignore_ascii_case(command.split(' ').next().unwrap_or_default())
            };
            let (Reply::Array(told) | Reply::Push(told)) = &reply else { panic!("{command}: {reply}") };
            assert!(confirms(told) && told[1].text() == *name, "{command}: {reply}");
        }
    }
}

/// So many clients on each of the cores of a server: the first on the first core, the next on the next, and so on around.
/// Where there are fewer cores they are just as many.
pub fn clients_on_all_cores(server: &Server, cores: usize, each: usize) -> Vec<Client> {
    let mut asker = server.client();
    if server.kind() == Kind::Reference || connections(&mut asker).len() != cores {
        return (0..cores * each).map(|_| server.client()).collect();
    }
    let mut found: Vec<Vec<Client>> = (0..cores).map(|_| Vec::new()).collect();
    // Who is too many stays until the end: the next one then comes to another core.
    let mut spare = Vec::new();
    for _ in 0..cores * each * 20 {
        let before = connections(&mut asker);
        let mut client = server.client();
        client.run("PING");
        let after = connections(&mut asker);
        let changed: Vec<usize> = (0..cores).filter(|core| before[*core] != after[*core]).collect();
        match changed[..] {
            [core] if after[core] == before[core] + 1 && found[core].len() < each => found[core].push(client),
            // Or somebody has left meanwhile, and nobody knows where this one is.
            _ => spare.push(client),
        }
        if found.iter().all(|clients| clients.len() == each) {
            let mut of_core: Vec<_> = found.into_iter().map(Vec::into_iter).collect();
            return (0..cores * each).filter_map(|number| of_core[number % cores].next()).collect();
        }
    }
    panic!("some cores get no connections");
}

/// How many each core has.
fn connections(asker: &mut Client) -> Vec<usize> {
    let text = asker.run("INFO everything").text();
    let field = |line: &str| line.split(',').find_map(|field| field.strip_prefix("connections=")?.parse().ok());
    let of_core = |core: usize| text.lines().find_map(|line| line.strip_prefix(&format!("core{core}:")));
    (0..).map_while(of_core).filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_from_replies() {
        let bulk = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
        let words = |all: &[&str]| all.iter().map(|word| bulk(word)).collect::<Vec<_>>();
        let told = message(&Reply::Push(words(&["pmessage", "p*", "pq", "x"])));
        let expected =
            Message { pattern: Some("p*".into()), channel: "pq".into(), text: "x".into(), is_sharded: false };
        assert_eq!(told, Some(expected));
        assert!(message(&Reply::Array(words(&["smessage", "c", "x"]))).is_some_and(|message| message.is_sharded));
        assert_eq!(message(&Reply::Array(vec![bulk("subscribe"), bulk("c"), Reply::Integer(1)])), None);
        assert_eq!(message(&bulk("message")), None);
    }
}
