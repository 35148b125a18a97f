//! Gists of epochs: made behind the log, whole or made anew.

use super::{Medium, append, commit, entry, epoch, flip, index_all, installed, open, prune, remove, rows, view};
use crate::proto::gist::Gists;
use crate::proto::io::Write;
use crate::record::tests::message;
use crate::record::{Entry, Kind, Submission};
use crate::store::Store;
use crate::store::engine::{Batch, Engine, Op, Table};

/// People who come, talk, go and take other names, in a few rooms.
fn talk() -> Vec<Entry> {
    let say = |n: u64| {
        let kinds = [Kind::Join, Kind::Text, Kind::Topic, Kind::Leave, Kind::Text, Kind::Nick];
        let said = message(n % 3, 1 + n / 3, &format!("words {n}"));
        let (nick, room) = (format!("n{}", n % 5), format!("r{}", n % 4));
        Submission { kind: kinds[(n as usize / 2) % kinds.len()].clone(), nick, room, ..said }
    };
    (1..=40).map(|n| entry(n, &[say(2 * n), say(2 * n + 1)])).collect()
}

fn talked<E: Engine>(engine: E) -> Store<E> {
    let (mut store, _) = open(engine);
    let write = Write::Append { epoch: epoch(1, 1), first: 1, entries: talk() };
    store.apply(&[installed(&view(1, &[])), write, commit(1, 40)]).unwrap();
    store
}

/// What the whole log says.
fn right(upto: u64) -> Gists {
    Gists::of(&view(1, &[]), talk().iter().take(upto as usize))
}

/// What the store says, page by page.
fn told<E: Engine>(store: &Store<E>, budget_bytes: usize) -> Gists {
    let mut all = store.gists(epoch(1, 1), None, budget_bytes).unwrap();
    while let Some(after) = all.more.take() {
        let next = store.gists(epoch(1, 1), Some(&after), budget_bytes).unwrap();
        assert!(!next.gists.is_empty());
        all.gists.extend(next.gists);
        all.more = next.more;
    }
    all
}

pub(crate) fn gists_are_those_of_the_log_whatever_steps_made_them(medium: &mut impl Medium) {
    let mut store = talked(medium.fresh());
    assert_eq!(told(&store, 1), Gists::default());
    store.index_some(1).unwrap();
    store.index_some(16).unwrap();
    assert_eq!(told(&store, usize::MAX), right(17));
    let (mut store, found) = open(medium.again(store.into_engine()));
    assert!(!found.damaged);
    store.apply(&[installed(&view(4, &[(epoch(1, 1), 40)])), append(4, 1, 2), commit(4, 2)]).unwrap();
    index_all(&mut store);
    for budget_bytes in [1, 300, usize::MAX] {
        assert_eq!(told(&store, budget_bytes), right(40), "{budget_bytes}");
    }
    store.apply(&[prune(1, 1, 1)]).unwrap();
    assert_eq!(told(&store, 1), Gists::default());
    index_all(&mut store);
    let left = rows(store.engine(), Table::Gists);
    let (store, found) = open(medium.again(store.into_engine()));
    let second = store.gists(epoch(4, 1), None, usize::MAX).unwrap();
    assert_eq!((found.damaged, second.upto, left), (false, 2, second.gists.len() + 1), "and the count of them");
}

/// All of a table is hidden, the row that counts it among it.
fn clear<E: Engine>(engine: &mut E, table: Table, _: usize) {
    engine.commit(Batch(vec![Op::Clear { table }])).unwrap();
}

pub(crate) fn gists_that_are_not_whole_are_made_anew(medium: &mut impl Medium) {
    let many = right(40).gists.len();
    for which in [0, 1, many / 2, many] {
        for harm in [flip, remove, clear] {
            let mut store = talked(medium.fresh());
            index_all(&mut store);
            harm(store.engine_mut(), Table::Gists, which);
            let (mut store, found) = open(medium.again(store.into_engine()));
            assert_eq!(told(&store, 1), Gists::default(), "row {which}");
            index_all(&mut store);
            assert_eq!((told(&store, usize::MAX), found.damaged), (right(40), false), "row {which}");
        }
    }
}
