//! The table of ids that a member tells the leader of its view: which of them go into one answer (`PROTOCOL.md` §4).

use crate::ids::ClientId;
use crate::proto::settings::Portions;
use crate::seq::{IdSet, RangeSet};
use crate::wire::message::{MAX_ROW_RANGES, Then};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MessageId;

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
    fn who_has_nothing_that_is_wanted_says_so() {
        assert_eq!(portion(&IdSet::default(), u32::MAX, None, Portions::default()), [(Vec::new(), Then::Nothing)]);
    }
}
