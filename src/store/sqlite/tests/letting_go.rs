//! Processes that are killed while they take away what was let go of.

use super::*;
use crate::ids::{ClientId, EpochId};
use crate::seq::RangeSet;
use crate::store::engine::Direction;

/// Messages of one epoch.
const EACH: u64 = 150;
/// The last messages of the epoch before, which every epoch has once more: as after a cut.
const COPIES: u64 = 10;
/// Entries that one step takes.
const STEP: usize = 6;
/// Turns of the parent that take longer than a step.
const TURNS: u64 = 30_000;
/// How often the process is killed.
const KILLS: u64 = 60;

/// The first and the last message of an epoch.
fn messages_of(num: u64) -> (u64, u64) {
    ((num - 1) * EACH + 1, num * EACH)
}

/// All of an epoch, the copies first.
fn whole(num: u64) -> StoreWrite {
    let (first, last) = messages_of(num);
    let entries = entries(first.saturating_sub(COPIES).max(1), last);
    let committed = entries.len() as u64;
    StoreWrite::Fill { view: view(num, &[]), first: 1, entries, closure: None, committed }
}

fn let_go(num: u64) -> StoreWrite {
    let (first, last) = messages_of(num);
    prune(num, first, last)
}

/// Entries of an epoch that are in the file.
fn rows_of(store: &Store<SqliteEngine>, epoch: EpochId) -> usize {
    let key = |gsn: u64| [&epoch.to_bytes()[..], &gsn.to_be_bytes()].concat();
    store.engine().scan(Table::Entries, &key(0), &key(u64::MAX), 9999, Direction::Up).unwrap().len()
}

/// Not a test by itself: the child of the next one. Learns epoch after epoch and lets go of the one before, until it is killed.
#[test]
fn child_that_lets_go_until_it_is_killed() {
    use std::io::Write;
    let Ok(dir) = std::env::var("RINGTALK_TEST_LETS_GO_IN") else { return };
    let (mut store, found) = open(Path::new(&dir), RANDOM).unwrap();
    let mut out = std::io::stdout();
    let known = found.epochs.len() as u64;
    // Killed before it let go of the last but one: done again, it changes nothing.
    if known > 1 {
        store.apply(&[let_go(known - 1)]).unwrap();
    }
    for num in known + 1.. {
        let mut told = |what: &str, num: u64| writeln!(out, "{what} {num}").unwrap();
        while store.index_some(STEP).unwrap() {
            told("step", 0);
        }
        store.apply(&[whole(num)]).unwrap();
        told("learned", num);
        while !store.is_indexed() {
            store.index_some(256).unwrap();
        }
        if num > 1 {
            store.apply(&[let_go(num - 1)]).unwrap();
            told("let go", num - 1);
        }
    }
}

/// What a child said was durable.
#[derive(Clone, Copy, Default, Debug)]
struct Told {
    learned: u64,
    let_go: u64,
    steps: u64,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let number = |rest: &str| rest.trim().parse().ok();
        if let Some(num) = line.strip_prefix("learned").and_then(number) {
            self.learned = num;
        } else if let Some(num) = line.strip_prefix("let go").and_then(number) {
            self.let_go = num;
        } else if line.starts_with("step") {
            self.steps += 1;
        }
    }
}

/// Runs a child and kills it after so many steps, and so many turns later; what it said before.
fn killed_after(steps: u64, turns: u64, dir: &Path) -> Told {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["store::sqlite::tests::letting_go::child_that_lets_go_until_it_is_killed", "--exact", "--nocapture"])
        .env("RINGTALK_TEST_LETS_GO_IN", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut told = Told::default();
    while told.steps < steps {
        told.hear(&lines.next().unwrap());
    }
    // Else it would always be at the beginning of a step.
    (0..turns).for_each(|_| std::hint::spin_loop());
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut.
    let rest: Vec<String> = lines.collect();
    rest.iter().take(rest.len().saturating_sub(1)).for_each(|line| told.hear(line));
    told
}

#[test]
fn process_that_is_killed_while_rows_go_loses_nothing_that_is_kept_and_goes_on() {
    let dir = quick_dir();
    let (mut told, mut amid) = (Told::default(), 0);
    for kill in 1..=KILLS {
        // In any part of an epoch, whose rows go in some 27 steps.
        let heard = killed_after(kill * 17 % 40 + 1, kill * 7919 % TURNS, dir.path());
        told = Told { learned: told.learned.max(heard.learned), let_go: told.let_go.max(heard.let_go), ..heard };
        let (mut store, found) = open(dir.path(), RANDOM).unwrap();
        assert!(!found.damaged && found.damage.is_none(), "kill {kill}: {:?}", found.damage);
        let (epochs, gone) = (found.epochs.len() as u64, found.epochs.iter().filter(|log| log.pruned).count() as u64);
        assert!(epochs >= told.learned && gone >= told.let_go, "kill {kill}: {epochs} and {gone} of {told:?}");
        assert!(epochs - gone <= 2 && found.epochs.iter().take(gone as usize).all(|log| log.pruned), "kill {kill}");
        let (pruned, kept) = (gone * EACH, (epochs - gone) * EACH);
        let numbers = |first: u64, last: u64| if last == 0 { RangeSet::default() } else { RangeSet::of(first, last) };
        assert_eq!(found.pruned.of(ClientId(5)).cloned().unwrap_or_default(), numbers(1, pruned), "kill {kill}");
        assert_eq!(found.ids.of(ClientId(5)), Some(&numbers(1, pruned + kept)), "kill {kill}");
        assert_eq!(found.messages, kept, "kill {kill}");
        amid += u32::from((1..=gone).any(|num| rows_of(&store, epoch(num, 1)) > 0));
        for num in gone + 1..=epochs {
            let StoreWrite::Fill { entries, .. } = whole(num) else { unreachable!("it is one") };
            assert_eq!(store.read(epoch(num, 1), 1, u64::MAX, usize::MAX).unwrap(), entries, "kill {kill}");
        }
        // Every other time the next process goes on where this one was killed.
        if kill % 2 == 0 {
            let mut steps = 0;
            while store.index_some(STEP).unwrap() {
                steps += 1;
                assert!(steps < 9 * EACH, "kill {kill}: it ends");
            }
            assert!((1..=gone).all(|num| rows_of(&store, epoch(num, 1)) == 0), "kill {kill}");
            let words: Vec<String> = (pruned + 1..=pruned + kept).map(|n| format!("word{n} common")).collect();
            assert_eq!(page(&store), words, "kill {kill}");
            assert_eq!(store.digest().messages, kept, "kill {kill}");
            store.engine().examine().unwrap();
        }
    }
    assert!(amid >= 15, "{amid} of {KILLS} kills while rows went");
}
