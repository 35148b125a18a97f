//! What every engine, and the store above it, must do: one suite, run on each medium by [`conformance_tests!`].

mod gists;
mod pruning;

pub(crate) use gists::*;
pub(crate) use pruning::*;

use super::engine::{Archive, Batch, Direction, Engine, HistoryRow, Op, Table};
use super::{Store, StoreError};
use crate::ids::{ClientId, EpochId, Incarnation, MessageId, Pid, RecordKey, ServerId};
use crate::proto::io::{Recovered, Write};
use crate::record::tests::message;
use crate::record::{Entry, Kind, Member, Record, Submission, Taken, View, encode_batch};
use crate::time::Hlc;
use crate::wire::session::HistoryQuery;

/// Where engines live: an empty one, and the one that is there after a clean stop of the machine.
pub(crate) trait Medium {
    /// The engine.
    type Engine: Engine + Archive;
    /// An empty engine.
    fn fresh(&mut self) -> Self::Engine;
    /// The same, opened anew.
    fn again(&mut self, engine: Self::Engine) -> Self::Engine;
}

/// Makes a test of each guarantee on a medium.
macro_rules! conformance_tests {
    ($medium:expr) => {
        crate::store::conformance::conformance_tests!(@ $medium,
            batch_is_read_back_in_the_order_of_keys,
            scan_ends_at_its_limit_and_bounds,
            history_rows_are_found_by_id_until_forgotten,
            first_start_makes_a_server_and_each_start_a_new_life,
            restart_recovers_what_was_applied,
            misplaced_entries_are_refused_and_nothing_is_written,
            two_writers_of_one_place_are_an_error_and_the_first_stays,
            fill_skips_what_is_there_and_sets_what_is_history,
            closures_and_commits_only_rise,
            newer_format_is_refused,
            flipped_entry_is_never_read_and_is_filled_again,
            hole_is_set_aside_and_the_prefix_stays,
            torn_tail_above_the_head_is_cut_without_damage,
            damage_is_remembered_until_the_epoch_is_whole_or_closed,
            lost_view_comes_back_with_a_fill,
            lost_epoch_makes_a_new_server,
            message_ordered_twice_keeps_its_least_key,
            digest_is_the_same_in_any_order_of_learning,
            index_goes_on_where_it_stopped,
            history_pages_by_key_in_both_directions,
            direct_messages_are_shown_to_the_two_only,
            search_takes_any_text_and_finds_all_words,
            rooms_count_what_was_said,
            pruned_epoch_is_history_no_more_and_keeps_its_view_and_lengths,
            pruning_goes_on_where_it_stopped,
            entries_that_a_server_would_keep_stay_in_the_file_out_of_history,
            pruning_before_anything_is_indexed_covers_its_clock,
            later_copy_of_a_pruned_message_is_no_history_in_either_order,
            pruned_epoch_takes_and_gives_no_entries,
            what_others_let_go_of_goes_at_once,
            what_is_let_go_of_while_the_index_is_made_anew_is_no_history,
            bad_entry_of_a_pruned_epoch_is_set_aside_and_history_made_anew,
            bad_row_of_what_was_let_go_of_is_set_aside_until_it_is_told_again,
            size_of_an_epoch_is_that_of_its_entries,
            store_of_format_1_is_migrated_whole,
            gists_are_those_of_the_log_whatever_steps_made_them,
            gists_that_are_not_whole_are_made_anew
        );
    };
    (@ $medium:expr, $($name:ident),*) => {
        $(#[test]
        fn $name() {
            crate::store::conformance::$name(&mut $medium);
        })*
    };
}
pub(crate) use conformance_tests;

/// A server for tests.
pub(crate) fn pid(server: u64) -> Pid {
    Pid { server: ServerId(server), incarnation: Incarnation { boot: 1, random: 7 } }
}

/// An epoch led by a server.
pub(crate) fn epoch(num: u64, leader: u64) -> EpochId {
    EpochId { num, leader: pid(leader) }
}

/// A view of servers 1 to 3, led by 1.
pub(crate) fn view(num: u64, parents: &[(EpochId, u64)]) -> View {
    let members = (1..=3).map(|n| Member { pid: pid(n), name: format!("s{n}") }).collect();
    View { epoch: epoch(num, 1), members, parents: parents.to_vec(), ..View::default() }
}

/// An entry with these messages.
pub(crate) fn entry(hlc: u64, messages: &[Submission]) -> Entry {
    let taken = Taken::first(messages.len());
    Entry { origin: pid(2), oseq: hlc, hlc: Hlc(hlc << 16), taken, batch: encode_batch(messages) }
}

/// Entries `first..=last` of a log whose n-th holds message n of client 5.
pub(crate) fn entries(first: u64, last: u64) -> Vec<Entry> {
    (first..=last).map(|n| entry(n, &[message(5, n, &format!("word{n} common"))])).collect()
}

/// Opens a store; the random bits make server 9.
pub(crate) fn open<E: Engine>(engine: E) -> (Store<E>, Recovered) {
    Store::open(engine, 9 | 3 << 64).unwrap()
}

fn installed(view: &View) -> Write {
    Write::Install { view: view.clone() }
}

fn append(num: u64, first: u64, last: u64) -> Write {
    Write::Append { epoch: epoch(num, 1), first, entries: entries(first, last) }
}

fn fill(view: &View, first: u64, entries: Vec<Entry>, committed: u64) -> Write {
    Write::Fill { view: view.clone(), first, entries, closure: None, committed }
}

fn commit(num: u64, upto: u64) -> Write {
    Write::Commit { epoch: epoch(num, 1), upto }
}

fn all_bodies(archive: &impl Archive) -> Vec<String> {
    let query = HistoryQuery { limit: 500, ..HistoryQuery::default() };
    archive.history(&query).unwrap().records.into_iter().map(|(record, _)| record.message.body).collect()
}

fn index_all<E: Engine>(store: &mut Store<E>) {
    while store.index_some(3).unwrap() {}
}

/// Damages the stored entry by changing one byte of it.
fn flip<E: Engine>(engine: &mut E, table: Table, which: usize) {
    let (key, mut value) = engine.scan(table, &[], &[0xff; 40], 99, Direction::Up).unwrap().swap_remove(which);
    *value.last_mut().unwrap() ^= 4;
    let mut batch = Batch::default();
    batch.put(table, key, value);
    engine.commit(batch).unwrap();
    engine.sync().unwrap();
}

fn remove<E: Engine>(engine: &mut E, table: Table, which: usize) {
    let (key, _) = engine.scan(table, &[], &[0xff; 40], 99, Direction::Up).unwrap().swap_remove(which);
    let mut batch = Batch::default();
    batch.delete(table, key);
    engine.commit(batch).unwrap();
    engine.sync().unwrap();
}

fn rows<E: Engine>(engine: &E, table: Table) -> usize {
    engine.scan(table, &[], &[0xff; 64], 999, Direction::Up).unwrap().len()
}

pub(crate) fn batch_is_read_back_in_the_order_of_keys(medium: &mut impl Medium) {
    let mut engine = medium.fresh();
    let mut batch = Batch::default();
    for key in [3_u8, 1, 2] {
        batch.put(Table::Meta, [key], vec![key; 3]);
    }
    batch.put(Table::Views, [1], vec![]);
    batch.delete(Table::Meta, [2]);
    batch.delete(Table::Meta, [77]);
    batch.put(Table::Meta, [1], vec![9]);
    engine.commit(batch).unwrap();
    engine.sync().unwrap();
    let engine = medium.again(engine);
    let up = engine.scan(Table::Meta, &[], &[0xff], 99, Direction::Up).unwrap();
    assert_eq!(up, [(vec![1], vec![9]), (vec![3], vec![3; 3])]);
    let down = engine.scan(Table::Meta, &[], &[0xff], 99, Direction::Down).unwrap();
    assert_eq!(down, up.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(engine.get(Table::Views, &[1]).unwrap(), Some(vec![]));
    assert_eq!(engine.get(Table::Views, &[2]).unwrap(), None);
}

pub(crate) fn scan_ends_at_its_limit_and_bounds(medium: &mut impl Medium) {
    let mut engine = medium.fresh();
    let mut batch = Batch::default();
    (0..20_u8).for_each(|key| batch.put(Table::Ids, [key], vec![key]));
    engine.commit(batch).unwrap();
    let keys = |from: u8, to: u8, limit, direction| -> Vec<u8> {
        engine.scan(Table::Ids, &[from], &[to], limit, direction).unwrap().into_iter().map(|row| row.0[0]).collect()
    };
    assert_eq!(keys(5, 8, 99, Direction::Up), [5, 6, 7, 8]);
    assert_eq!(keys(5, 8, 2, Direction::Down), [8, 7]);
    assert_eq!(keys(8, 5, 99, Direction::Up), [0_u8; 0]);
    let mut batch = Batch::default();
    batch.0.push(Op::Clear { table: Table::Ids });
    engine.commit(batch).unwrap();
    assert_eq!(rows(&engine, Table::Ids), 0);
}

pub(crate) fn history_rows_are_found_by_id_until_forgotten(medium: &mut impl Medium) {
    let mut engine = medium.fresh();
    let key = RecordKey { hlc: Hlc(u64::MAX - 1), epoch: epoch(1, u64::MAX), gsn: 3, idx: 1 };
    let kinds = [
        Kind::Text,
        Kind::Action,
        Kind::Topic,
        Kind::Direct { to: ClientId(u64::MAX) },
        Kind::Join,
        Kind::Leave,
        Kind::Nick,
        Kind::Gone { client: ClientId(4) },
    ];
    for (kind, n) in kinds.into_iter().zip(1..) {
        let mut one = message(u64::MAX, n, "h\u{0}i \u{1f980}");
        (one.kind, one.floor, one.acked_upto) = (kind, Hlc(0), 0);
        let key = RecordKey { gsn: n, ..key };
        let row = HistoryRow { record: Record { key, message: one }, leader: "\u{f6}ak".into() };
        engine.commit(Batch(vec![Op::Remember(Box::new(row.clone()))])).unwrap();
        assert_eq!(engine.message(row.record.message.id).unwrap(), Some(row.clone()));
        if n == 2 {
            engine.commit(Batch(vec![Op::Forget(key)])).unwrap();
            assert_eq!(engine.message(row.record.message.id).unwrap(), None);
        }
    }
    engine.sync().unwrap();
    let engine = medium.again(engine);
    assert!(engine.message(MessageId { client: ClientId(u64::MAX), cseq: 8 }).unwrap().is_some());
}

pub(crate) fn first_start_makes_a_server_and_each_start_a_new_life(medium: &mut impl Medium) {
    let (store, first) = open(medium.fresh());
    assert_eq!(first.pid, Pid { server: ServerId(9), incarnation: Incarnation { boot: 1, random: 3 } });
    assert_eq!(Recovered { pid: first.pid, ..Recovered::default() }, first);
    let (store, second) = Store::open(medium.again(store.into_engine()), 1 | 8 << 64).unwrap();
    assert_eq!(second.pid, Pid { server: ServerId(9), incarnation: Incarnation { boot: 2, random: 8 } });
    assert_eq!(store.pid(), second.pid);
}

pub(crate) fn restart_recovers_what_was_applied(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let (one, two) = (view(1, &[]), view(4, &[(epoch(1, 1), 7)]));
    let group = [installed(&one), append(1, 1, 4), Write::Seen { num: 3 }, append(1, 5, 9), commit(1, 6)];
    store.apply(&group).unwrap();
    store.apply(&[installed(&two), append(4, 1, 2)]).unwrap();
    for indexed in [false, true] {
        let engine = medium.again(store.into_engine());
        let found;
        (store, found) = open(engine);
        assert_eq!(found.last, Some(epoch(4, 1)));
        assert_eq!(found.max_num, 4);
        let lengths: Vec<_> = found.epochs.iter().map(|e| (e.view.clone(), e.len, e.stable, e.closure)).collect();
        assert_eq!(lengths, [(one.clone(), 9, 6, Some(7)), (two.clone(), 2, 0, None)]);
        assert_eq!(found.messages, 7);
        assert_eq!(found.ids.of(ClientId(5)).unwrap().ranges(), &[(1, 7)]);
        assert!(found.hlc >= Hlc(if indexed { 7 } else { 9 } << 16));
        assert!(!found.damaged);
        index_all(&mut store);
    }
    assert_eq!(store.committed(epoch(1, 1)), 7);
    assert_eq!(store.read(epoch(1, 1), 3, 99, usize::MAX).unwrap(), entries(3, 9));
    assert_eq!(store.read(epoch(1, 1), 3, 99, 0).unwrap(), entries(3, 3));
    assert_eq!(store.read(epoch(2, 1), 1, 9, 99).unwrap(), []);
}

pub(crate) fn misplaced_entries_are_refused_and_nothing_is_written(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    assert!(matches!(store.apply(&[append(1, 1, 1)]), Err(StoreError::NoView { .. })));
    store.apply(&[installed(&view(1, &[])), append(1, 1, 2)]).unwrap();
    for first in [0, 1, 2, 3, 5, u64::MAX] {
        let wrong = Write::Append { epoch: epoch(1, 1), first, entries: entries(1, 1) };
        let result = store.apply(&[append(1, 3, 3), wrong]);
        assert!(matches!(result, Err(StoreError::Misplaced { len: 3, .. })), "{first}: {result:?}");
        assert_eq!(store.len(epoch(1, 1)), 2);
    }
    assert!(store.apply(&[fill(&view(1, &[]), 9, entries(9, 9), 9)]).unwrap_err().is_harmless());
}

pub(crate) fn two_writers_of_one_place_are_an_error_and_the_first_stays(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let one = view(1, &[]);
    store.apply(&[fill(&one, 1, entries(1, 3), 3)]).unwrap();
    let result = store.apply(&[fill(&one, 2, entries(3, 3), 3)]);
    assert!(matches!(result, Err(StoreError::Conflict { gsn: 2, .. })));
    let twice = [fill(&one, 4, entries(4, 4), 4), fill(&one, 4, entries(5, 5), 4)];
    assert!(matches!(store.apply(&twice), Err(StoreError::Conflict { gsn: 4, .. })));
    let mut other = one.clone();
    other.members.pop();
    assert!(matches!(store.apply(&[installed(&other)]), Err(StoreError::Conflict { gsn: 0, .. })));
    assert_eq!(store.read(epoch(1, 1), 1, 9, usize::MAX).unwrap(), entries(1, 3));
}

pub(crate) fn fill_skips_what_is_there_and_sets_what_is_history(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let one = view(1, &[]);
    store.apply(&[fill(&one, 1, entries(1, 3), 9), fill(&one, 2, entries(2, 5), 2)]).unwrap();
    store.apply(&[fill(&one, 1, entries(1, 6), 2)]).unwrap();
    assert_eq!((store.len(epoch(1, 1)), store.committed(epoch(1, 1))), (6, 6));
    let (_, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.last, found.epochs[0].stable, found.messages), (None, 9, 6));
}

pub(crate) fn closures_and_commits_only_rise(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    store.apply(&[installed(&view(1, &[])), append(1, 1, 9), commit(1, 4), commit(1, 3)]).unwrap();
    let close = |cut| Write::Close { epoch: epoch(1, 1), cut };
    store.apply(&[close(6), close(5)]).unwrap();
    assert_eq!(store.committed(epoch(1, 1)), 6);
    store.apply(&[Write::Seen { num: 8 }, Write::Seen { num: 2 }, close(20)]).unwrap();
    assert_eq!(store.committed(epoch(1, 1)), 9);
    let (_, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.max_num, found.epochs[0].closure), (8, Some(20)));
}

pub(crate) fn newer_format_is_refused(medium: &mut impl Medium) {
    let (store, _) = open(medium.fresh());
    let mut engine = store.into_engine();
    let mut batch = Batch::default();
    let word = super::rows::word::FORMAT;
    batch.put(Table::Meta, word, super::rows::seal(Table::Meta, word, &99_u32));
    engine.commit(batch).unwrap();
    engine.sync().unwrap();
    let before = engine.scan(Table::Meta, &[], &[0xff], 99, Direction::Up).unwrap();
    let engine = medium.again(engine);
    assert_eq!(engine.scan(Table::Meta, &[], &[0xff], 99, Direction::Up).unwrap(), before);
    let refused = Store::open(engine, 1).map(|_| ());
    assert!(matches!(refused, Err(StoreError::Newer { found: 99, known: 3 })));
}

pub(crate) fn flipped_entry_is_never_read_and_is_filled_again(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let one = view(1, &[]);
    store.apply(&[fill(&one, 1, entries(1, 9), 9)]).unwrap();
    index_all(&mut store);
    let whole = store.digest();
    flip(store.engine_mut(), Table::Entries, 4);
    assert_eq!(store.read(epoch(1, 1), 3, 9, usize::MAX).unwrap(), entries(3, 4));
    assert!(store.is_damaged());

    let (mut store, found) = open(medium.again(store.into_engine()));
    assert!(found.damaged);
    assert_eq!((found.epochs[0].len, found.messages), (4, 4));
    assert_eq!(found.ids.of(ClientId(5)).unwrap().ranges(), &[(1, 4)]);
    assert_eq!(rows(store.engine(), Table::Aside), 5);
    store.apply(&[fill(&one, 5, entries(5, 9), 9)]).unwrap();
    index_all(&mut store);
    assert_eq!(store.digest(), whole);

    let (mut store, found) = open(medium.again(store.into_engine()));
    assert!(!found.damaged);
    assert_eq!((found.epochs[0].len, found.messages), (9, 9));
    assert_eq!(store.read(epoch(1, 1), 1, 9, usize::MAX).unwrap(), entries(1, 9));
}

pub(crate) fn hole_is_set_aside_and_the_prefix_stays(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    store.apply(&[installed(&view(1, &[])), append(1, 1, 9)]).unwrap();
    remove(store.engine_mut(), Table::Entries, 6);
    let (mut store, found) = open(medium.again(store.into_engine()));
    assert!(found.damaged);
    assert_eq!(found.epochs[0].len, 6);
    assert_eq!((rows(store.engine(), Table::Aside), rows(store.engine(), Table::Entries)), (2, 6));
    assert_eq!(store.read(epoch(1, 1), 1, 9, usize::MAX).unwrap(), entries(1, 6));
    assert!(!store.is_damaged());
}

pub(crate) fn torn_tail_above_the_head_is_cut_without_damage(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    store.apply(&[installed(&view(1, &[])), append(1, 1, 3)]).unwrap();
    // A batch of which the head, its last row, never got to the disk, and entry 5 in part.
    let mut torn = Batch::default();
    for (entry, gsn) in entries(4, 5).iter().zip(4..) {
        let key = super::rows::entry_key(epoch(1, 1), gsn);
        let mut value = super::rows::seal(Table::Entries, &key, entry);
        value.truncate(if gsn == 5 { 11 } else { value.len() });
        torn.put(Table::Entries, key, value);
    }
    store.engine_mut().commit(torn).unwrap();
    let (store, found) = open(medium.again(store.into_engine()));
    assert!(!found.damaged);
    assert_eq!(found.epochs[0].len, 4);
    assert_eq!((rows(store.engine(), Table::Aside), rows(store.engine(), Table::Entries)), (0, 4));
}

pub(crate) fn damage_is_remembered_until_the_epoch_is_whole_or_closed(medium: &mut impl Medium) {
    for closed in [false, true] {
        let (mut store, _) = open(medium.fresh());
        let one = view(1, &[]);
        store.apply(&[installed(&one), append(1, 1, 5)]).unwrap();
        flip(store.engine_mut(), Table::Entries, 4);
        for _ in 0..2 {
            let found;
            (store, found) = open(medium.again(store.into_engine()));
            assert!(found.damaged);
            assert_eq!((found.epochs[0].len, found.last), (4, Some(epoch(1, 1))));
        }
        let mend = if closed { Write::Close { epoch: epoch(1, 1), cut: 5 } } else { fill(&one, 5, entries(5, 5), 5) };
        store.apply(&[mend]).unwrap();
        let (_, found) = open(medium.again(store.into_engine()));
        assert!(!found.damaged);
    }
}

pub(crate) fn lost_view_comes_back_with_a_fill(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let one = view(1, &[]);
    store.apply(&[installed(&one), append(1, 1, 5)]).unwrap();
    flip(store.engine_mut(), Table::Views, 0);
    for _ in 0..2 {
        let found;
        (store, found) = open(medium.again(store.into_engine()));
        assert!(found.damaged);
        assert_eq!((found.last, found.epochs.len(), found.pid.server), (None, 0, ServerId(9)));
    }
    store.apply(&[fill(&one, 1, entries(1, 2), 5)]).unwrap();
    let (_, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.last, found.epochs[0].len, found.messages), (Some(epoch(1, 1)), 5, 5));
    assert!(!found.damaged);
}

pub(crate) fn lost_epoch_makes_a_new_server(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    store.apply(&[installed(&view(1, &[])), append(1, 1, 5), commit(1, 5)]).unwrap();
    store.apply(&[installed(&view(2, &[])), append(2, 1, 5)]).unwrap();
    flip(store.engine_mut(), Table::Views, 1);
    flip(store.engine_mut(), Table::Heads, 1);
    let (mut store, found) = Store::open(medium.again(store.into_engine()), 77).unwrap();
    assert!(found.damaged);
    assert_eq!((found.pid.server, found.last), (ServerId(77), None));
    assert_eq!((found.epochs.len(), found.messages), (1, 5));
    store.apply(&[fill(&view(2, &[]), 1, entries(1, 5), 5)]).unwrap();
    let (_, found) = open(medium.again(store.into_engine()));
    assert_eq!((found.pid.server, found.last, found.epochs[1].len), (ServerId(77), None, 5));
    assert!(!found.damaged);
}

pub(crate) fn message_ordered_twice_keeps_its_least_key(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let (one, two) = (view(1, &[]), view(2, &[]));
    let twice = message(5, 1, "twice");
    let late = vec![entry(8, &[twice.clone(), message(6, 1, "once")])];
    store.apply(&[fill(&one, 1, late, 1)]).unwrap();
    index_all(&mut store);
    assert_eq!(all_bodies(store.engine()), ["twice", "once"]);
    store
        .apply(&[fill(&two, 1, vec![entry(3, std::slice::from_ref(&twice)), entry(4, &[message(7, 1, "x")])], 2)])
        .unwrap();
    store.apply(&[fill(&two, 3, vec![entry(9, &[twice])], 3)]).unwrap();
    index_all(&mut store);
    assert_eq!(all_bodies(store.engine()), ["twice", "x", "once"]);
    assert_eq!(store.digest().messages, 3);
    let page = store.search("twice", &HistoryQuery { limit: 9, ..HistoryQuery::default() }).unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!(page.records[0].0.key.hlc, Hlc(3 << 16));
    assert_eq!(page.records[0].1, "s1");
    let place = |cseq| store.place(MessageId { client: ClientId(5), cseq }).unwrap();
    assert_eq!(place(1), page.records.first().cloned());
    assert_eq!(place(2), None);
    let (_, found) = open(medium.again(store.into_engine()));
    assert_eq!(found.messages, 3);
}

pub(crate) fn digest_is_the_same_in_any_order_of_learning(medium: &mut impl Medium) {
    let parts: Vec<Write> = (1..=4)
        .map(|num| {
            let own = (1..=6).map(|n| message(5, n, "same")).chain([message(num, 99, "own")]).collect::<Vec<_>>();
            fill(&view(num, &[]), 1, vec![entry(20 - num, &own), entry(30 + num, &[message(num + 50, 1, "z")])], 2)
        })
        .collect();
    let mut digests = Vec::new();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let (mut store, _) = open(medium.fresh());
        for part in order {
            store.apply(&[parts[part].clone()]).unwrap();
            index_all(&mut store);
        }
        digests.push((store.digest(), all_bodies(store.engine())));
    }
    assert_eq!(digests[0].0.messages, 6 + 4 + 4);
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

pub(crate) fn index_goes_on_where_it_stopped(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    store.apply(&[fill(&view(1, &[]), 1, entries(1, 9), 9)]).unwrap();
    assert!(store.index_some(4).unwrap());
    store.engine_mut().sync().unwrap();
    let (mut store, found) = open(medium.again(store.into_engine()));
    assert_eq!((store.digest().messages, found.messages), (4, 9));
    assert_eq!(all_bodies(store.engine()).len(), 4);
    assert!(!store.index_some(99).unwrap());
    assert_eq!(all_bodies(store.engine()).len(), 9);
    store.apply(&[fill(&view(1, &[]), 10, entries(10, 11), 10)]).unwrap();
    assert!(!store.index_some(99).unwrap());
    assert_eq!(store.digest().messages, 10);
}

pub(crate) fn history_pages_by_key_in_both_directions(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let said = |n: u64| {
        let mut one = message(5, n, &format!("{n}"));
        one.room = if n.is_multiple_of(3) { "Ops".into() } else { "lobby".into() };
        one.nick = if n.is_multiple_of(2) { "Bob".into() } else { "ana".into() };
        one.kind = if n.is_multiple_of(10) { Kind::Join } else { Kind::Text };
        entry(n, &[one])
    };
    store.apply(&[fill(&view(1, &[]), 1, (1..=40).map(said).collect(), 40)]).unwrap();
    index_all(&mut store);
    let read = |query: &HistoryQuery| {
        let page = store.history(query).unwrap();
        let numbers: Vec<u64> = page.records.iter().map(|(record, _)| record.message.id.cseq).collect();
        (numbers, page.more, page.records.last().map(|(record, _)| record.key), page.records.first().map(|r| r.0.key))
    };
    let base = HistoryQuery { limit: 7, ..HistoryQuery::default() };
    let every = |events: bool| (1..=40).filter(move |n| events || n % 10 != 0).collect::<Vec<u64>>();
    for events in [false, true] {
        let (mut all, mut query) = (Vec::new(), HistoryQuery { events, ..base.clone() });
        loop {
            let (numbers, more, last, _) = read(&query);
            assert!(numbers.len() <= 7);
            all.extend(numbers);
            query.after = last;
            if !more {
                break;
            }
        }
        assert_eq!(all, every(events));
        let (mut all, mut query) = (Vec::new(), HistoryQuery { newest: true, events, ..base.clone() });
        loop {
            let (numbers, more, _, first) = read(&query);
            all.splice(0..0, numbers);
            query.before = first;
            if !more {
                break;
            }
        }
        assert_eq!(all, every(events));
    }
    let rooms = HistoryQuery { rooms: vec!["OPS".into()], from: Some("bob".into()), limit: 99, ..base.clone() };
    assert_eq!(read(&rooms).0, [6, 12, 18, 24, 36]);
    let both = HistoryQuery { rooms: vec!["ops".into(), "lobby".into(), "none".into()], limit: 99, ..base.clone() };
    assert_eq!(read(&both).0, every(false));
    assert_eq!(read(&HistoryQuery { events: true, ..both }).0, every(true));
    let times = HistoryQuery { since_ms: Some(5), until_ms: Some(8), ..base.clone() };
    assert_eq!(read(&times).0, [5, 6, 7, 8]);
    assert_eq!(read(&HistoryQuery { since_ms: Some(8), until_ms: Some(5), ..base.clone() }).0, [0_u64; 0]);
    assert_eq!(read(&HistoryQuery { limit: 0, ..base.clone() }).0, [1]);
    assert_eq!(read(&HistoryQuery { limit: u32::MAX, ..base }).0.len(), 36);
}

pub(crate) fn direct_messages_are_shown_to_the_two_only(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let mut secret = message(5, 1, "secret plan");
    (secret.kind, secret.room) = (Kind::Direct { to: ClientId(6) }, String::new());
    store.apply(&[fill(&view(1, &[]), 1, vec![entry(1, &[secret, message(5, 2, "public plan")])], 1)]).unwrap();
    index_all(&mut store);
    for (reader, seen) in [(None, 1), (Some(5), 2), (Some(6), 2), (Some(7), 1)] {
        for events in [false, true] {
            let query = HistoryQuery { limit: 9, events, reader: reader.map(ClientId), ..HistoryQuery::default() };
            assert_eq!(store.history(&query).unwrap().records.len(), seen);
            assert_eq!(store.search("plan", &query).unwrap().records.len(), seen);
            let in_room = HistoryQuery { rooms: vec!["lobby".into()], ..query };
            assert_eq!(store.history(&in_room).unwrap().records.len(), 1);
        }
    }
    assert_eq!(store.rooms().unwrap().len(), 1);
}

pub(crate) fn search_takes_any_text_and_finds_all_words(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let texts = ["The CAF\u{c9} opens", "cafe closes", "an \"odd\" NEAR(x)", "caf", "opens the door"];
    let all: Vec<_> = texts.iter().zip(1..).map(|(text, n)| message(5, n, text)).collect();
    store.apply(&[fill(&view(1, &[]), 1, vec![entry(1, &all)], 1)]).unwrap();
    index_all(&mut store);
    let query = HistoryQuery { limit: 99, ..HistoryQuery::default() };
    let found = |words: &str| -> Vec<u64> {
        let page = store.search(words, &query).unwrap();
        page.records.iter().map(|(record, _)| record.message.id.cseq).collect()
    };
    assert_eq!(found("cafe"), [1, 2]);
    assert_eq!(found("Caf\u{e9} OPENS"), [1]);
    assert_eq!(found("opens"), [1, 5]);
    assert_eq!(found("odd near x"), [3]);
    assert_eq!(found("missing"), [0_u64; 0]);
    for hostile in [
        "",
        "\"",
        "\"\"",
        "*",
        "a*",
        "NEAR(",
        "text:x",
        "-x",
        "AND OR NOT",
        "(((",
        "\0",
        "x\0y",
        "'; DROP",
        "\u{301}",
        "^",
        "{",
        "+",
    ] {
        found(hostile);
    }
    found(&"word ".repeat(100_000));
    found(&"x".repeat(1_000_000));
}

pub(crate) fn rooms_count_what_was_said(medium: &mut impl Medium) {
    let (mut store, _) = open(medium.fresh());
    let said = |n: u64, room: &str, kind: Kind, body: &str| {
        let mut one = message(5, n, body);
        (one.room, one.kind) = (room.into(), kind);
        entry(n, &[one])
    };
    let log = vec![
        said(1, "Zoo", Kind::Text, "a"),
        said(2, "zoo", Kind::Topic, "animals"),
        said(3, "ZOO", Kind::Join, ""),
        said(4, "bar", Kind::Action, "b"),
        said(5, "zoo", Kind::Topic, "lions"),
        said(6, "empty", Kind::Join, ""),
    ];
    store.apply(&[fill(&view(1, &[]), 1, log, 6)]).unwrap();
    index_all(&mut store);
    let rooms: Vec<_> =
        store.rooms().unwrap().into_iter().map(|room| (room.room, room.messages, room.last_ms, room.topic)).collect();
    assert_eq!(rooms, [("bar".into(), 1, 4, String::new()), ("Zoo".into(), 3, 5, "lions".into())]);
}
