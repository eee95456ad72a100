//! How the replies of several shards or keys become one.

use crate::command::Join;
use crate::resp::reply::Mark;
use crate::resp::{Protocol, Reply, ReplyBuffer};
use smallvec::SmallVec;

/// The reply of one call.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub replies: &'a ReplyBuffer,
    pub from: Mark,
    pub to: Mark,
}

impl Part<'_> {
    pub fn copy_to(&self, out: &mut ReplyBuffer) {
        out.append_range(self.replies, self.from, self.to);
    }

    fn bytes(&self) -> &[u8] {
        &self.replies.bytes[self.from.bytes..self.to.bytes]
    }

    fn is_error(&self) -> bool {
        self.bytes().first() == Some(&b'-')
    }

    /// The number in the first line, and where the next line begins.
    fn head(&self) -> (i64, Mark) {
        let bytes = self.bytes();
        let end = bytes.iter().position(|byte| *byte == b'\r').unwrap_or(bytes.len());
        let number = crate::number::parse_integer(bytes.get(1..end).unwrap_or_default()).unwrap_or(0);
        (number, Mark { bytes: self.from.bytes + end + 2, shared: self.from.shared })
    }
}

/// Makes one reply of those of several shards or keys. `random` decides where it is drawn by lot.
pub(crate) fn join_replies<'a>(
    join: Join,
    protocol: Protocol,
    parts: impl Iterator<Item = Part<'a>>,
    random: u64,
    out: &mut ReplyBuffer,
) {
    let parts: SmallVec<[Part<'a>; 16]> = parts.collect();
    if let Some(error) = parts.iter().find(|part| part.is_error()) {
        return out.append_range(error.replies, error.from, error.to);
    }
    match join {
        Join::Sum => Reply::new(out, protocol).integer(parts.iter().map(|part| part.head().0).sum()),
        Join::Ok => Reply::new(out, protocol).ok(),
        Join::InOrder | Join::Concat => {
            let total = parts.iter().map(|part| part.head().0).sum::<i64>();
            Reply::new(out, protocol).array(total.max(0) as usize);
            parts.iter().for_each(|part| out.append_range(part.replies, part.head().1, part.to));
        }
        Join::ByLot => {
            let total = parts.iter().map(|part| part.head().0).sum::<i64>().max(1) as u64;
            let mut lot = (random % total) as i64;
            for part in &parts {
                let (weight, rest) = part.head();
                if lot < weight {
                    return out.append_range(part.replies, rest, part.to);
                }
                lot -= weight;
            }
            Reply::new(out, protocol).null();
        }
    }
}
