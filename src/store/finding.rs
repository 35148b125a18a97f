//! What the opening of a store found not to be what was written, in a few words for people.

use super::engine::Table;
use super::rows::epoch_of;
use crate::proto::io::Damage;

/// Findings that are told one by one; more are counted.
const TOLD: usize = 3;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    told: Vec<String>,
    more: usize,
}

impl Findings {
    /// Whether nothing was.
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Notes something, once.
    pub(super) fn note(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.told.contains(&what) {
            return;
        }
        if self.told.len() < TOLD { self.told.push(what) } else { self.more += 1 }
    }

    /// Notes a row that is set aside. Entries are told with their epoch.
    pub(super) fn note_row(&mut self, table: Table, key: &[u8]) {
        let epoch = epoch_of(key).map_or_else(|| "an epoch".to_owned(), |epoch| format!("epoch {}", epoch.num));
        match table {
            Table::Entries => {}
            Table::Views => self.note(format!("the view of {epoch}")),
            Table::Heads => self.note(format!("the length of {epoch}")),
            Table::Meta => self.note(format!("the row \"{}\"", key.escape_ascii())),
            Table::Pruned => self.note("which messages were let go of"),
            Table::Aside | Table::Covered | Table::Ids | Table::Gists => self.note("a row of the index"),
        }
    }

    /// Notes a row that is not what was written.
    #[cfg(feature = "host")]
    pub(super) fn note_bad_row(&mut self, table: Table, key: &[u8]) {
        match (table, key.get(..24).and_then(epoch_of), super::rows::gsn_of(key)) {
            (Table::Entries, Some(epoch), Some(gsn)) => self.note(format!("entry {gsn} of epoch {}", epoch.num)),
            (Table::Entries, ..) => self.note("an entry"),
            _ => self.note_row(table, key),
        }
    }

    /// All of it, when so many rows were set aside; `None` when nothing was found.
    pub(super) fn damage(&self, asides: u64) -> Option<Damage> {
        if self.is_empty() {
            return None;
        }
        let more = if self.more == 0 { String::new() } else { format!(" and {} more", self.more) };
        let what = self.told.join(", ") + &more;
        let aside = match asides {
            0 => String::new(),
            1 => "1 row, in the table \"aside\"".to_owned(),
            rows => format!("{rows} rows, in the table \"aside\""),
        };
        Some(Damage { what, aside, lost: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EpochId, Pid};

    #[test]
    fn findings_are_told_once_and_never_too_many() {
        let mut findings = Findings::default();
        assert_eq!(findings.damage(0), None);
        let epoch = EpochId { num: 7, leader: Pid::default() };
        findings.note("epoch 7 from entry 3 on");
        findings.note("epoch 7 from entry 3 on");
        findings.note_row(Table::Views, &epoch.to_bytes());
        findings.note_row(Table::Meta, b"identity");
        let damage = findings.damage(2).unwrap();
        assert_eq!(damage.what, "epoch 7 from entry 3 on, the view of epoch 7, the row \"identity\"");
        assert_eq!(damage.aside, "2 rows, in the table \"aside\"");
        for epoch in 1..500 {
            findings.note(format!("epoch {epoch} from entry {} on", u64::MAX));
        }
        let what = findings.damage(500).unwrap().what;
        assert!(what.ends_with(" and 499 more") && what.len() < crate::wire::event::MAX_WORDS_BYTES, "{what}");
    }
}
