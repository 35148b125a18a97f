//! Letting go of history: what goes, what stays, in any order and through crashes and damage; and stores of format 1.

use super::*;
use crate::seq::RangeSet;
use crate::store::log::CHUNK;
use crate::store::rows::{FORMAT, Head, Totals, seal, unseal, word};

/// The numbers `first..=last` of client 5.
fn numbers(first: u64, last: u64) -> Vec<(ClientId, RangeSet)> {
    vec![(ClientId(5), RangeSet::of(first, last))]
}

pub(crate) fn prune(num: u64, first: u64, last: u64) -> Write {
    Write::Prune { epoch: Some(epoch(num, 1)), ids: numbers(first, last), stays: false }
}

pub(crate) fn told(first: u64, last: u64) -> Write {
    Write::Prune { epoch: None, ids: numbers(first, last), stays: false }
}

fn found_words<A: Archive>(archive: &A, word: &str) -> usize {
    archive.search(word, &HistoryQuery { limit: 99, ..HistoryQuery::default() }).unwrap().records.len()
}

fn bodies(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("word{n} common")).collect()
}

pub(crate) fn entries_that_a_server_would_keep_stay_in_the_file_out_of_history(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let (one, two) = (view(1, &[]), view(2, &[(epoch(1, 1), 6)]));
    store.apply(&[installed(&one), append(1, 1, 8), commit(1, 6), installed(&two)]).unwrap();
    index_all(&mut store);
    store.apply(&[Write::Prune { epoch: Some(epoch(1, 1)), ids: numbers(1, 6), stays: true }]).unwrap();
    assert!(store.index_some(2).unwrap());
    (store, _) = open(medium.again(store.into_engine()));
    index_all(&mut store);
    for _ in 0..2 {
        assert_eq!(all_bodies(store.engine()), Vec::<String>::new());
        assert_eq!(rows(store.engine(), Table::Entries), 8);
        assert_eq!(store.read(epoch(1, 1), 1, 8, 9999).unwrap(), []);
        let found;
        (store, found) = open(medium.again(store.into_engine()));
        assert!(!found.damaged && found.epochs[0].pruned && found.messages == 0 && !store.index_some(9).unwrap());
    }
}

pub(crate) fn pruned_epoch_is_history_no_more_and_keeps_its_view_and_lengths(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let (one, two) = (view(1, &[]), view(2, &[(epoch(1, 1), 6)]));
    store.apply(&[installed(&one), append(1, 1, 8), commit(1, 5), installed(&two)]).unwrap();
    let append = Write::Append { epoch: epoch(2, 1), first: 1, entries: entries(9, 11) };
    store.apply(&[append, commit(2, 3)]).unwrap();
    index_all(&mut store);
    store.apply(&[prune(1, 1, 6)]).unwrap();
    assert!(store.is_indexed());
    index_all(&mut store);
    let digest = store.digest();
    for _ in 0..2 {
        let found;
        (store, found) = open(medium.again(store.into_engine()));
        assert!(!found.damaged && !store.index_some(9).unwrap());
        assert_eq!(all_bodies(store.engine()), bodies(9..=11));
        assert_eq!((found_words(store.engine(), "word3"), found_words(store.engine(), "common")), (0, 3));
        assert_eq!(store.rooms().unwrap()[0].messages, 3);
        assert_eq!(store.place(MessageId { client: ClientId(5), cseq: 4 }).unwrap(), None);
        assert_eq!((rows(store.engine(), Table::Entries), rows(store.engine(), Table::Covered)), (3, 1));
        let kept = &found.epochs[0];
        assert_eq!((&kept.view, kept.len, kept.stable, kept.closure), (&one, 8, 5, Some(6)));
        assert_eq!((kept.pruned, kept.bytes, found.epochs[1].pruned), (true, 0, false));
        assert!((100..400).contains(&found.epochs[1].bytes), "{}", found.epochs[1].bytes);
        assert_eq!(found.pruned.of(ClientId(5)).unwrap().ranges(), &[(1, 6)]);
        assert_eq!(found.ids.of(ClientId(5)).unwrap().ranges(), &[(1, 6), (9, 11)]);
        assert_eq!((found.messages, found.last, found.max_num), (3, Some(epoch(2, 1)), 2));
        assert!(found.hlc >= Hlc(8 << 16));
        assert_eq!((store.digest(), store.committed(epoch(1, 1))), (digest, 6));
    }
}

pub(crate) fn pruning_goes_on_where_it_stopped(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    store.apply(&[fill(&view(1, &[]), 1, entries(1, 9), 9), fill(&view(2, &[]), 1, entries(1, 12), 12)]).unwrap();
    index_all(&mut store);
    store.apply(&[prune(1, 1, 9)]).unwrap();
    for left in [7, 5, 3, 1, 0, 0, 0] {
        store.index_some(2).unwrap();
        store.engine_mut().sync().unwrap();
        let found;
        (store, found) = open(medium.again(store.into_engine()));
        assert!(!found.damaged && found.epochs[0].pruned);
        assert_eq!((found.epochs[0].len, found.messages), (9, 3));
        assert_eq!(found.ids.of(ClientId(5)).unwrap().ranges(), &[(1, 12)]);
        assert_eq!(rows(store.engine(), Table::Entries), left + 12);
        assert_eq!(all_bodies(store.engine()), bodies((9 - left as u64 + 1).min(10)..=12));
    }
    assert!(!store.index_some(2).unwrap());
    assert_eq!(store.digest().messages, 3);
}

pub(crate) fn pruning_before_anything_is_indexed_covers_its_clock(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let many = CHUNK as u64 * 3;
    store.apply(&[fill(&view(1, &[]), 1, entries(1, many), many), fill(&view(2, &[]), 1, entries(1, 2), 2)]).unwrap();
    store.apply(&[prune(1, 1, many)]).unwrap();
    for steps in [0, 2, 99] {
        (0..steps).for_each(|_| assert!(store.index_some(usize::MAX).is_ok()));
        let found;
        (store, found) = open(medium.again(store.into_engine()));
        assert!(found.hlc >= Hlc(many << 16) && !found.damaged);
        assert_eq!((found.messages, store.digest().messages, all_bodies(store.engine()).len()), (0, 0, 0));
    }
    assert_eq!(rows(store.engine(), Table::Entries), 2);
}

pub(crate) fn later_copy_of_a_pruned_message_is_no_history_in_either_order(medium: &mut impl Medium) {
    let old = fill(&view(1, &[]), 1, entries(1, 6), 6);
    let new = fill(&view(2, &[]), 1, entries(4, 9), 6);
    let (mut never, _) = open(medium.fresh());
    never.apply(&[told(1, 6), new.clone()]).unwrap();
    index_all(&mut never);
    assert_eq!(all_bodies(never.engine()), bodies(7..=9));
    let orders = [
        [&old, &new, &prune(1, 1, 6)],
        [&old, &prune(1, 1, 6), &new],
        [&new, &old, &prune(1, 1, 6)],
        [&new, &told(1, 6), &old],
        [&told(1, 6), &old, &new],
    ];
    for order in orders {
        for indexes in [false, true] {
            let (mut store, _) = open(medium.fresh());
            for write in order {
                store.apply(std::slice::from_ref(write)).unwrap();
                if indexes {
                    index_all(&mut store);
                }
            }
            index_all(&mut store);
            assert_eq!(store.digest(), never.digest(), "{order:?}");
            assert_eq!(all_bodies(store.engine()), bodies(7..=9));
            let (store, found) = open(medium.again(store.into_engine()));
            assert_eq!((found.messages, store.digest()), (3, never.digest()));
            assert_eq!(found.pruned.of(ClientId(5)).unwrap().ranges(), &[(1, 6)]);
        }
    }
}

pub(crate) fn pruned_epoch_takes_and_gives_no_entries(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let one = view(1, &[]);
    store.apply(&[installed(&one), append(1, 1, 5), commit(1, 5)]).unwrap();
    store.apply(&[prune(1, 1, 5), append(1, 6, 7), fill(&one, 5, entries(5, 9), 9)]).unwrap();
    store.apply(&[append(1, 1, 7), fill(&one, 90, entries(90, 99), 99), prune(1, 1, 5)]).unwrap();
    for _ in 0..2 {
        assert_eq!(store.read(epoch(1, 1), 1, 9, usize::MAX).unwrap(), []);
        assert!(!store.is_damaged());
        index_all(&mut store);
        let found;
        (store, found) = open(medium.again(store.into_engine()));
        assert_eq!((found.damaged, found.epochs[0].len, found.epochs[0].pruned), (false, 5, true));
        assert_eq!((rows(store.engine(), Table::Entries), rows(store.engine(), Table::Aside)), (0, 0));
    }
}

pub(crate) fn what_others_let_go_of_goes_at_once(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    store.apply(&[fill(&view(1, &[]), 1, entries(1, 9), 9)]).unwrap();
    index_all(&mut store);
    // Of an epoch that is not known here the messages are let go of all the same.
    store.apply(&[told(2, 3), prune(7, 5, u64::MAX >> 2), told(1, 3), told(9, 9)]).unwrap();
    for _ in 0..2 {
        let found;
        (store, found) = open(medium.again(store.into_engine()));
        assert_eq!(all_bodies(store.engine()), bodies([4]));
        assert_eq!((store.digest().messages, found.messages, found.epochs.len()), (1, 1, 1));
        assert_eq!(found.pruned.of(ClientId(5)).unwrap().ranges(), &[(1, 3), (5, u64::MAX >> 2)]);
        assert_eq!(store.read(epoch(1, 1), 1, 9, usize::MAX).unwrap(), entries(1, 9));
    }
}

pub(crate) fn what_is_let_go_of_while_the_index_is_made_anew_is_no_history(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    store.apply(&[fill(&view(1, &[]), 1, entries(1, 9), 9)]).unwrap();
    index_all(&mut store);
    flip(store.engine_mut(), Table::Ids, 0);
    let (mut store, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.messages, all_bodies(store.engine()).len()), (9, 9));
    assert_eq!(store.engine().numbers(ClientId(5), 3, u64::MAX).unwrap(), (3..=9).collect::<Vec<u64>>());
    store.apply(&[told(1, 4)]).unwrap();
    index_all(&mut store);
    assert_eq!((all_bodies(store.engine()), store.digest().messages), (bodies(5..=9), 5));
}

pub(crate) fn bad_entry_of_a_pruned_epoch_is_set_aside_and_history_made_anew(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    store.apply(&[fill(&view(1, &[]), 1, entries(1, 9), 9), fill(&view(2, &[]), 1, entries(8, 12), 5)]).unwrap();
    index_all(&mut store);
    store.apply(&[prune(1, 1, 9)]).unwrap();
    flip(store.engine_mut(), Table::Entries, 4);
    let mut steps = 0;
    while store.index_some(3).unwrap() {
        steps += 1;
        assert!(steps < 20, "it goes on for ever");
    }
    assert!(store.is_damaged());
    let (mut store, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.damaged, found.messages, found.epochs[0].len), (true, 3, 9));
    assert_eq!(found.damage.unwrap().what, "an entry of epoch 1, which was let go of");
    assert_eq!(rows(store.engine(), Table::Aside), 1);
    index_all(&mut store);
    assert_eq!((all_bodies(store.engine()), store.digest().messages), (bodies(10..=12), 3));
    let (store, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.damaged, rows(store.engine(), Table::Entries), store.digest().messages), (false, 5, 3));
}

pub(crate) fn bad_row_of_what_was_let_go_of_is_set_aside_until_it_is_told_again(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let other = Write::Prune { epoch: None, ids: vec![(ClientId(6), RangeSet::of(1, 3))], stays: false };
    store.apply(&[told(1, 4), other, fill(&view(2, &[]), 1, entries(3, 9), 7)]).unwrap();
    index_all(&mut store);
    let digest = store.digest();
    flip(store.engine_mut(), Table::Pruned, 0);
    assert!(store.apply(&[told(5, 5)]).unwrap_err().is_damage(), "it is not written over");
    let (mut store, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.damaged, found.messages, rows(store.engine(), Table::Aside)), (true, 7, 1));
    assert_eq!(found.damage.unwrap().what, "which messages were let go of");
    assert_eq!(found.pruned.iter().count(), 1);
    index_all(&mut store);
    store.apply(&[told(1, 4)]).unwrap();
    assert_eq!((store.digest(), all_bodies(store.engine())), (digest, bodies(5..=9)));
    let (store, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.damaged, found.messages, store.digest()), (false, 5, digest));
}

pub(crate) fn size_of_an_epoch_is_that_of_its_entries(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let one = view(1, &[]);
    store.apply(&[installed(&one), append(1, 1, 3), append(1, 4, 9)]).unwrap();
    store.apply(&[fill(&one, 5, entries(5, 10), 9)]).unwrap();
    let stored = store.engine().scan(Table::Entries, &[], &[0xff; 40], 99, Direction::Up).unwrap();
    let size: u64 = stored.iter().map(|row| row.1.len() as u64).sum();
    let (mut store, found) = open(medium.again(store.into_engine()));
    assert_eq!(found.epochs[0].bytes, size);
    flip(store.engine_mut(), Table::Entries, 5);
    let (_, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.epochs[0].len, found.epochs[0].bytes), (5, size / 2));
}

/// Writes the rows of a store as a program of format 1 would have.
pub(crate) fn as_format_1<E: Engine>(engine: &mut E) {
    let mut batch = Batch::default();
    let every = |table| engine.scan(table, &[], &[0xff; 40], 99, Direction::Up).unwrap();
    for (key, value) in every(Table::Views) {
        let View { epoch, members, parents, .. } = unseal(Table::Views, &key, &value).unwrap();
        let value = seal(Table::Views, &key, &(epoch, members, parents));
        batch.put(Table::Views, key, value);
    }
    for (key, value) in every(Table::Heads) {
        let head: Head = unseal(Table::Heads, &key, &value).unwrap();
        let value = seal(Table::Heads, &key, &(head.installed, head.len, head.stable, head.closure, head.lost));
        batch.put(Table::Heads, key, value);
    }
    let totals: Totals =
        unseal(Table::Meta, word::TOTALS, &engine.get(Table::Meta, word::TOTALS).unwrap().unwrap()).unwrap();
    let totals = (totals.messages, totals.messages, totals.sum, totals.hlc);
    batch.put(Table::Meta, word::TOTALS, seal(Table::Meta, word::TOTALS, &totals));
    batch.put(Table::Meta, word::FORMAT, seal(Table::Meta, word::FORMAT, &1_u32));
    batch.0.push(Op::Clear { table: Table::Gists });
    engine.commit(batch).unwrap();
    engine.sync().unwrap();
}

pub(crate) fn store_of_format_1_is_migrated_whole(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let two = view(4, &[(epoch(1, 1), 7)]);
    store.apply(&[installed(&view(1, &[])), append(1, 1, 9), commit(1, 6), installed(&two), append(4, 1, 2)]).unwrap();
    store.apply(&[Write::Close { epoch: epoch(3, 2), cut: 5 }]).unwrap();
    index_all(&mut store);
    let (store, before) = open(medium.again(store.into_engine()));
    let digest = store.digest();
    let mut engine = store.into_engine();
    as_format_1(&mut engine);
    let (mut store, found) = open(medium.again(engine));
    assert_eq!(found.pid.incarnation.boot, before.pid.incarnation.boot + 1);
    assert_eq!(Recovered { pid: before.pid, ..found }, before);
    assert_eq!(store.digest(), digest);
    let format = store.engine().get(Table::Meta, word::FORMAT).unwrap().unwrap();
    assert_eq!(unseal::<u32>(Table::Meta, word::FORMAT, &format), Some(FORMAT));
    assert_eq!(store.gists(epoch(1, 1), None, usize::MAX).unwrap().gists, [], "format 1 has none");
    index_all(&mut store);
    assert_eq!(store.digest(), digest);
    assert_eq!(store.gists(epoch(1, 1), None, usize::MAX).unwrap().upto, 7);
    store.apply(&[prune(1, 1, 7)]).unwrap();
    index_all(&mut store);
    let (_, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.damaged, found.messages, found.epochs.len()), (false, 0, 2));
}
