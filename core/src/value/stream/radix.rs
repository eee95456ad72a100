//! How many nodes Valkey's radix tree of a stream's nodes has, which XINFO STREAM tells.
//!
//! Its keys are the ids of the nodes, 16 bytes each. From the root and behind each byte at which keys part, the
//! bytes that all keys below share are one node of the tree; the byte where they part is one; and each key ends in one.

use super::StreamId;

/// Bytes of a key.
const KEY_BYTES: usize = 16;

fn shared_bytes(a: StreamId, b: StreamId) -> usize {
    let bits = match (a.ms ^ b.ms, a.seq ^ b.seq) {
        (0, seq) => 64 + seq.leading_zeros(),
        (ms, _) => ms.leading_zeros(),
    };
    bits as usize / 8
}

/// The number of nodes of the tree over these ids, which ascend.
pub(super) fn tree_nodes(ids: impl Iterator<Item = StreamId>) -> usize {
    let mut ids = ids.peekable();
    let Some(first) = ids.next() else {
        return 1;
    };
    // The depths at which the keys seen so far part from the last one, ascending: the way to it.
    let mut partings = [0_usize; KEY_BYTES];
    let mut depth = 0;
    let mut last = first;
    let mut nodes = 0;
    // The bytes from one place where keys part to the next, or to the end of a key: one node, if there are any between.
    let chain = |from: Option<usize>, to: usize| usize::from(to > from.map_or(0, |from| from + 1));
    for id in ids {
        let at = shared_bytes(last, id);
        // What was below the new parting is complete.
        let mut end = KEY_BYTES;
        nodes += 1;
        while depth > 0 && partings[depth - 1] > at {
            depth -= 1;
            nodes += chain(Some(partings[depth]), end) + 1;
            end = partings[depth];
        }
        nodes += chain(Some(at), end);
        if depth == 0 || partings[depth - 1] < at {
            partings[depth] = at;
            depth += 1;
        }
        last = id;
    }
    let mut end = KEY_BYTES;
    nodes += 1;
    while depth > 0 {
        depth -= 1;
        nodes += chain(Some(partings[depth]), end) + 1;
        end = partings[depth];
    }
    nodes + chain(None, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Prng;
    use std::collections::BTreeSet;

    /// The same by its definition: a tree of keys, built and counted.
    fn model(keys: &[[u8; KEY_BYTES]], depth: usize) -> usize {
        let at = (depth..KEY_BYTES).find(|&at| keys.iter().any(|key| key[at] != keys[0][at]));
        let end = at.unwrap_or(KEY_BYTES);
        let chain = usize::from(end > depth);
        let Some(at) = at else {
            return chain + 1;
        };
        let bytes: BTreeSet<u8> = keys.iter().map(|key| key[at]).collect();
        let below = |byte: u8| {
            let keys: Vec<_> = keys.iter().filter(|key| key[at] == byte).copied().collect();
            model(&keys, at + 1)
        };
        chain + 1 + bytes.into_iter().map(below).sum::<usize>()
    }

    #[test]
    fn counts_the_nodes_of_a_tree() {
        assert_eq!(tree_nodes(std::iter::empty()), 1);
        assert_eq!(tree_nodes([StreamId::new(1, 1)].into_iter()), 2);
        assert_eq!(tree_nodes([StreamId::new(1, 1), StreamId::new(1, 2)].into_iter()), 4);
        let mut prng = Prng::new(1);
        for round in 0..300 {
            let mut ids = BTreeSet::new();
            for _ in 0..1 + prng.below(60) {
                let mut part = || prng.next_u64() >> prng.below(64) & 0x0303_0303_0303_0303;
                ids.insert(StreamId::new(part(), part()));
            }
            let keys: Vec<[u8; KEY_BYTES]> = ids
                .iter()
                .map(|id| [id.ms.to_be_bytes(), id.seq.to_be_bytes()].concat().try_into().expect("16 bytes"))
                .collect();
            assert_eq!(tree_nodes(ids.into_iter()), model(&keys, 0), "round {round}");
        }
    }
}
