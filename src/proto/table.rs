//! The table of ids that a member tells the leader of its view: which of them go into one answer (`PROTOCOL.md` §4).

use crate::ids::{ClientId, Pid};
use crate::proto::settings::Portions;
use crate::seq::{IdSet, RangeSet};
use crate::wire::message::{MAX_ROW_RANGES, Then};
use std::collections::BTreeMap;

/// A client's numbers, or some of them.
pub type Row = (ClientId, RangeSet);

/// The next portion of what is wanted: the rows of clients above one, at least one client's, in pieces, and what follows each.
pub fn portion(ids: &IdSet, buckets: u32, above: Option<ClientId>, size: Portions) -> Vec<(Vec<Row>, Then)> {
    let wanted = |client| buckets >> IdSet::bucket_of(client) & 1 == 1;
    let mut rows: Vec<Row> = Vec::new();
    let mut end = Then::Nothing;
    for (client, numbers) in ids.above(above).filter(|(client, _)| wanted(*client)) {
        if rows.len() >= size.rows * size.pieces {
            end = rows.last().map_or(end, |(last, _)| Then::Above(*last));
            break;
        }
        rows.extend(numbers.pieces(MAX_ROW_RANGES).map(|piece| (client, piece)));
    }
    let mut pieces: Vec<_> = rows.chunks(size.rows).map(|piece| (piece.to_vec(), Then::Piece)).collect();
    match pieces.last_mut() {
        Some((_, then)) => *then = end,
        None => pieces.push((Vec::new(), end)),
    }
    pieces
}

/// Pieces of portions as they come, of each sender in their order: a link may lose one and carry the next, when its queue is full.
#[derive(Clone, Debug, Default)]
pub struct Pieces(BTreeMap<Pid, (u32, u32)>);

impl Pieces {
    /// Whether a piece follows the one before it, or is the first. What follows one that was lost does not: nothing is known of
    /// what comes behind it, and all is asked for again (simulator seed 980000279). With its last piece a portion is over. Two
    /// portions of the same buckets have the same pieces.
    ///
    /// Grows by one for each sender: take those of members of the view only.
    pub fn follows(&mut self, from: Pid, buckets: u32, piece: u32, then: Then) -> bool {
        let next = self.0.entry(from).or_default();
        let follows = piece == 0 || (buckets, piece) == *next;
        if follows {
            *next = (buckets, if then == Then::Piece { piece.saturating_add(1) } else { 0 });
        }
        follows
    }

    /// A portion of other buckets is asked for: it begins with its first piece.
    pub fn asked(&mut self, from: Pid) {
        self.0.remove(&from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{MessageId, ServerId};

    fn ids(clients: u64) -> IdSet {
        let mut ids = IdSet::default();
        for client in 0..clients {
            ids.insert(MessageId { client: ClientId(client * 7), cseq: client + 1 });
        }
        // One with more ranges than a row may have.
        for n in 0..3 * MAX_ROW_RANGES as u64 {
            ids.insert(MessageId { client: ClientId(8), cseq: 2 * n + 1 });
        }
        ids
    }

    #[test]
    fn portion_after_portion_every_wanted_row_comes_once_and_none_is_long() {
        let size = Portions { rows: 4, pieces: 3, ..Portions::default() };
        let all = ids(500);
        for buckets in [u32::MAX, 0x0000_0100, 0x8000_0001] {
            let (mut got, mut above, mut portions) = (IdSet::default(), None, 0);
            loop {
                let pieces = portion(&all, buckets, above, size);
                portions += 1;
                let rows: usize = pieces.iter().map(|(rows, _)| rows.len()).sum();
                assert!(rows < size.rows * size.pieces + 4 && pieces.iter().all(|(rows, _)| rows.len() <= size.rows));
                let (last, others) = pieces.split_last().unwrap();
                assert!(others.iter().all(|(_, then)| *then == Then::Piece));
                for (client, numbers) in pieces.iter().flat_map(|(rows, _)| rows) {
                    assert!(above.is_none_or(|above| *client > above), "each once");
                    got.union(*client, numbers);
                }
                match last.1 {
                    Then::Above(client) => above = Some(client),
                    then => {
                        assert_eq!(then, Then::Nothing);
                        break;
                    }
                }
            }
            let wanted = |client| buckets >> IdSet::bucket_of(client) & 1 == 1;
            let expected: Vec<_> = all.iter().filter(|(client, _)| wanted(*client)).collect();
            assert_eq!(got.iter().collect::<Vec<_>>(), expected);
            assert!(portions > 1, "{buckets:x}");
        }
    }

    #[test]
    fn piece_behind_a_lost_one_counts_for_nothing_until_a_portion_begins() {
        let (mut pieces, one, other) =
            (Pieces::default(), Pid::default(), Pid { server: ServerId(7), ..Pid::default() });
        for (from, piece, follows) in [
            (one, 0, true),
            (one, 1, true),
            (other, 1, false),
            (one, 3, false),
            (one, 4, false),
            (one, 2, true),
            (other, 0, true),
            (one, 0, true),
            (one, u32::MAX, false),
            (one, 1, true),
        ] {
            assert_eq!(pieces.follows(from, 5, piece, Then::Piece), follows, "{from} {piece}");
        }
        assert!(!pieces.follows(one, 4, 2, Then::Piece), "of other buckets");
        pieces.asked(one);
        assert!(!pieces.follows(one, 5, 2, Then::Piece), "of a portion that was asked for before");
        assert!(pieces.follows(one, 5, 0, Then::Nothing) && !pieces.follows(one, 5, 1, Then::Nothing));
    }

    #[test]
    fn who_has_nothing_that_is_wanted_says_so() {
        assert_eq!(portion(&IdSet::default(), u32::MAX, None, Portions::default()), [(Vec::new(), Then::Nothing)]);
    }
}
