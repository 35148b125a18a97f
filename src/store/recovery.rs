//! Opening a store: who this is, what is there, and what has to be cut or set aside.
//!
//! A row that is not what was written is never used and never deleted: it goes to [`Table::Aside`]. Of an epoch's log
//! the part before the first bad row stays, so that others can fill what is missing; what was valid behind it is set
//! aside too. Bad rows at the very end, above the length that the head tells, are a write that a power cut tore: they
//! were never durable, and are cut.

mod past;

use super::engine::{Batch, Direction, Engine, Op, Row, Table};
use super::error::StoreError;
use super::finding::Findings;
use super::log::{CHUNK, Log, Store};
use super::migration::migrate;
use super::rows::{
    Census, FORMAT, Head, Identity, Pruned, Totals, entry_key, epoch_of, gsn_of, seal, unseal, unseal_row, word,
};
use super::staged::aside_key;
use crate::ids::{EpochId, Incarnation, Pid, ServerId};
use crate::proto::bugs::Bugs;
use crate::proto::io::{Damage, Recovered, RecoveredEpoch};
use crate::record::{Entry, View};
use crate::seq::IdSet;
use crate::time::Hlc;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rows that are moved in one batch.
const MOVED_AT_ONCE: usize = 1024;

impl<E: Engine> Store<E> {
    /// Opens what the engine holds. Raises the boot counter, durably, before it returns.
    ///
    /// The first start makes the server's id, and so does a copy that has none (`backup`), or one whose identity is
    /// unreadable: it is then a server that installed none of these views. `random_bits` are fresh at every start.
    ///
    /// # Errors
    /// [`StoreError::Newer`] with nothing touched; any error of the engine. Damaged rows are no error:
    /// [`Recovered::damaged`] tells of them.
    pub fn open(engine: E, random_bits: u128) -> Result<(Self, Recovered), StoreError> {
        let mut recovery = Recovery::new(engine, (random_bits >> 64) as u32)?;
        recovery.load_identity()?;
        recovery.load_heads()?;
        recovery.load_views()?;
        recovery.identify(random_bits);
        recovery.load_pruned()?;
        recovery.load_covered()?;
        recovery.check_logs()?;
        recovery.finish()
    }
}

#[expect(clippy::struct_excessive_bools, reason = "what was found out, each apart from the others")]
struct Recovery<E> {
    engine: E,
    batch: Batch,
    identity: Option<Identity>,
    pid: Pid,
    max_num: u64,
    /// As stored.
    heads: BTreeMap<EpochId, Head>,
    logs: BTreeMap<EpochId, Log>,
    ids: IdSet,
    pruned: IdSet,
    totals: Totals,
    hlc: u64,
    damaged: bool,
    /// Every row is to be checked: a read met a bad one.
    suspect: bool,
    /// The store has no format yet, or an older one.
    is_new_format: bool,
    /// What the index says it covers is not to be believed: it begins anew.
    recover_index: bool,
    /// What history comes to is not known: it is made anew from the log.
    forget_history: bool,
    asides: u64,
    findings: Findings,
    /// Whether the medium was looked at for damage of its own.
    is_examined: bool,
}

impl<E: Engine> Recovery<E> {
    fn new(mut engine: E, random: u32) -> Result<Self, StoreError> {
        let format = engine.get(Table::Meta, word::FORMAT)?;
        let found = format.as_ref().and_then(|value| unseal(Table::Meta, word::FORMAT, value));
        if let Some(found) = found.filter(|&found: &u32| found > FORMAT) {
            return Err(StoreError::Newer { found, known: FORMAT });
        }
        // One that cannot be read may be older, too.
        let is_older = format.is_some() && found.is_none_or(|found| found < FORMAT);
        let is_new_format = found != Some(FORMAT);
        if is_new_format {
            migrate(&mut engine)?;
        }
        let suspect = engine.get(Table::Meta, word::SUSPECT)?.is_some();
        let mut new = Self {
            engine,
            batch: Batch::default(),
            identity: None,
            pid: Pid { incarnation: Incarnation { boot: 0, random }, ..Pid::default() },
            max_num: 0,
            heads: BTreeMap::new(),
            logs: BTreeMap::new(),
            ids: IdSet::default(),
            pruned: IdSet::default(),
            totals: Totals::default(),
            hlc: 0,
            damaged: suspect,
            suspect,
            is_new_format,
            // Before format 3 the index had no gists.
            recover_index: suspect || is_older,
            forget_history: false,
            asides: 0,
            findings: Findings::default(),
            is_examined: false,
        };
        new.damaged |= format.is_some() && found.is_none();
        new.max_num = new.single(word::SEEN)?.unwrap_or(0);
        Ok(new)
    }

    /// Reads who this store belongs to, as far as that is readable.
    fn load_identity(&mut self) -> Result<(), StoreError> {
        for word in word::IDENTITY {
            if let Some(identity) = self.single::<Identity>(word)? {
                self.identity = Some(self.identity.filter(|other| other.boot >= identity.boot).unwrap_or(identity));
            }
        }
        Ok(())
    }

    fn load_heads(&mut self) -> Result<(), StoreError> {
        let mut bad = Vec::new();
        let heads = &mut self.heads;
        each_row(&self.engine, Table::Heads, &[], &[0xff; 25], |row| {
            match (epoch_of(&row.0), unseal_row::<Head>(Table::Heads, &row)) {
                (Some(epoch), Some(head)) => {
                    heads.insert(epoch, head);
                }
                _ => bad.push(row),
            }
        })?;
        self.logs = self.heads.iter().map(|(epoch, &head)| (*epoch, Log { head, ..Log::default() })).collect();
        for row in bad {
            self.set_aside(Table::Heads, row);
        }
        Ok(())
    }

    fn load_views(&mut self) -> Result<(), StoreError> {
        let mut bad = Vec::new();
        let mut views: Vec<View> = Vec::new();
        each_row(&self.engine, Table::Views, &[], &[0xff; 25], |row| {
            match unseal_row::<View>(Table::Views, &row).filter(|view| epoch_of(&row.0) == Some(view.epoch)) {
                Some(view) => views.push(view),
                None => bad.push(row),
            }
        })?;
        for row in bad {
            self.set_aside(Table::Views, row);
        }
        let me = self.identity.map(|identity| identity.server);
        for view in &views {
            let own = view.members.iter().any(|member| Some(member.pid.server) == me);
            // A head that was lost: how long the log was only a closure can tell, and it may have been installed.
            let lost = Head { lost: u64::MAX, installed: own, ..Head::default() };
            let log = self.logs.entry(view.epoch).or_insert_with(|| Log { head: lost, ..Log::default() });
            log.view = Some(Arc::new(view.clone()));
            self.max_num = self.max_num.max(view.epoch.num);
            // At least what was stored before it, also where that is not there any more.
            self.hlc = self.hlc.max(view.began.0);
        }
        for (parent, cut) in views.iter().flat_map(|view| &view.parents) {
            // A lost head learns its closure from the epochs that follow it.
            if let Some(log) = self.logs.get_mut(parent) {
                log.close(*cut);
            }
        }
        Ok(())
    }

    /// Decides who this is. A store that lost all trace of an epoch cannot tell what it promised to hold: like a copy
    /// without an identity it is a new server, which installed none of these views.
    fn identify(&mut self, random_bits: u128) {
        let census = self.census();
        if self.identity.is_some_and(|told| told.census != census) {
            log::error!("the store has lost an epoch: this is a new server from now on");
            self.findings.note("an epoch that is gone without a trace: this is a new server from now on");
            self.damaged = true;
            self.identity = None;
        }
        let is_new = self.identity.is_none();
        let fresh = Identity { server: ServerId((random_bits as u64).max(1)), boot: 0, census };
        let mut identity = self.identity.unwrap_or(fresh);
        identity.boot = identity.boot.saturating_add(1);
        identity.census = census;
        self.pid.server = identity.server;
        self.pid.incarnation.boot = identity.boot;
        for word in word::IDENTITY {
            self.put(word, &identity);
        }
        if is_new {
            for log in self.logs.values_mut() {
                log.head = Head { installed: false, lost: 0, ..log.head };
            }
        }
    }

    fn census(&self) -> Census {
        let mut census = Census::default();
        self.logs.keys().for_each(|&epoch| census.add(epoch));
        census
    }

    fn check_logs(&mut self) -> Result<(), StoreError> {
        let epochs: Vec<EpochId> = self.logs.keys().copied().collect();
        for epoch in epochs {
            if let Some(mut log) = self.logs.remove(&epoch) {
                match log.head.pruned {
                    Pruned::No => self.check_log(epoch, &mut log)?,
                    Pruned::UnderWay | Pruned::Stays => self.check_rest(epoch, &log)?,
                    Pruned::Done => {}
                }
                if log.is_damaged() {
                    self.damaged = true;
                }
                if self.heads.get(&epoch) != Some(&log.head) {
                    let key = epoch.to_bytes();
                    self.batch.put(Table::Heads, key, seal(Table::Heads, &key, &log.head));
                }
                self.logs.insert(epoch, log);
            }
        }
        Ok(())
    }

    /// Reads the log above what the index covers, as far as it is whole; takes the rest out of the way.
    fn check_log(&mut self, epoch: EpochId, log: &mut Log) -> Result<(), StoreError> {
        let told = log.head.len;
        let history = log.head.stable.max(log.head.closure.unwrap_or(0));
        let mut len = log.covered;
        let mut rest: Vec<Row> = Vec::new();
        let mut whole = true;
        let mut valid_behind = false;
        let mut from = entry_key(epoch, log.covered + 1).to_vec();
        loop {
            let rows = self.engine.scan(Table::Entries, &from, &entry_key(epoch, u64::MAX), CHUNK, Direction::Up)?;
            let Some(last) = rows.last() else { break };
            from = [last.0.as_slice(), &[0]].concat();
            for row in rows {
                let entry = unseal_row::<Entry>(Table::Entries, &row);
                match entry {
                    Some(entry) if whole && gsn_of(&row.0) == Some(len + 1) => {
                        len += 1;
                        if len > told {
                            log.head.bytes = log.head.bytes.saturating_add(row.1.len() as u64);
                        }
                        self.note(&entry, len <= history);
                    }
                    entry => {
                        whole = false;
                        valid_behind |= entry.is_some();
                        rest.push(row);
                    }
                }
            }
            if !rest.is_empty() && (valid_behind || len < told) {
                self.findings.note(format!("epoch {} from entry {} on", epoch.num, len + 1));
            }
            if rest.len() >= MOVED_AT_ONCE && (valid_behind || len < told) {
                self.damaged = true;
                self.examine()?;
                rest.drain(..).for_each(|row| self.set_aside(Table::Entries, row));
                // The head still tells the old length, so that a crash here is no loss of memory.
                self.engine.commit(std::mem::take(&mut self.batch))?;
            }
        }
        if len < told {
            log::error!("epoch {epoch} is whole up to {len} of {told}; the rest is set aside and asked for again");
            log.head.lost = log.head.lost.max(told);
            log.head.bytes = share(log.head.bytes, len, told);
            self.damaged = true;
            self.findings.note(format!("epoch {} from entry {} on", epoch.num, len + 1));
        }
        for row in rest {
            if valid_behind || len < told {
                self.set_aside(Table::Entries, row);
            } else {
                self.batch.delete(Table::Entries, row.0);
            }
        }
        log.head.len = len;
        if len >= log.head.lost {
            log.head.lost = 0;
        }
        Ok(())
    }

    /// Learns from an entry that is not covered by the index.
    fn note(&mut self, entry: &Entry, is_history: bool) {
        self.hlc = self.hlc.max(entry.hlc.0);
        if is_history {
            for (_, message) in entry.messages() {
                self.ids.insert(message.id);
            }
        }
    }

    /// Before anything is put away for damaged: whether the rows are bad, or the medium that finds them.
    fn examine(&mut self) -> Result<(), StoreError> {
        if !self.damaged || self.is_examined {
            return Ok(());
        }
        self.is_examined = true;
        self.engine.examine()
    }

    fn finish(mut self) -> Result<(Store<E>, Recovered), StoreError> {
        self.examine()?;
        if self.forget_history {
            self.batch.0.push(Op::ForgetAll);
        }
        if self.forget_history {
            (self.totals.messages, self.totals.sum) = (0, 0);
        }
        if self.recover_index {
            let totals = self.totals;
            self.put(word::TOTALS, &totals);
            self.batch.0.push(Op::Clear { table: Table::Covered });
            self.batch.0.push(Op::Clear { table: Table::Ids });
            self.batch.0.push(Op::Clear { table: Table::Gists });
        }
        let census = self.census();
        let max_num = self.max_num;
        self.put(word::SEEN, &max_num);
        if self.is_new_format {
            self.put(word::FORMAT, &FORMAT);
        }
        self.batch.delete(Table::Meta, word::SUSPECT);
        self.engine.commit(std::mem::take(&mut self.batch))?;
        self.engine.sync()?;

        let behind: BTreeSet<EpochId> =
            self.logs.iter().filter(|(_, log)| log.is_behind()).map(|(epoch, _)| *epoch).collect();
        let under_way = self.logs.iter().filter(|(_, log)| log.head.pruned.is_under_way());
        let pruning = under_way.map(|(epoch, _)| (*epoch, 0)).collect();
        let has_pruned = !self.pruned.is_empty();
        let recovered = self.recovered();
        let store = Store {
            engine: self.engine,
            pid: self.pid,
            max_num: self.max_num,
            logs: self.logs,
            census,
            behind,
            pruning,
            has_pruned,
            totals: self.totals,
            damaged: false,
            asides: self.asides,
            bugs: Bugs::NONE,
        };
        Ok((store, recovered))
    }

    fn recovered(&mut self) -> Recovered {
        let epoch = |log: &Log| {
            let view = log.view.as_deref()?.clone();
            Some(RecoveredEpoch {
                view,
                len: log.head.len,
                stable: log.head.stable,
                closure: log.head.closure,
                bytes: log.head.bytes,
                pruned: log.is_pruned(),
            })
        };
        let messages = self.messages();
        for (client, numbers) in self.pruned.iter() {
            self.ids.union(client, numbers);
        }
        let installed = |(_, log): &(&EpochId, &Log)| log.head.installed && log.view.is_some();
        Recovered {
            pid: self.pid,
            max_num: self.max_num,
            last: self.logs.iter().rfind(installed).map(|(epoch, _)| *epoch),
            epochs: self.logs.values().filter_map(epoch).collect(),
            ids: std::mem::take(&mut self.ids),
            pruned: std::mem::take(&mut self.pruned),
            hlc: Hlc(self.hlc),
            messages,
            damaged: self.damaged,
            damage: self.damage(),
        }
    }

    fn damage(&self) -> Option<Damage> {
        if self.suspect && self.findings.is_empty() {
            return Some(Damage { what: "a row that is sound when it is read again".to_owned(), ..Damage::default() });
        }
        self.findings.damage(self.asides)
    }

    /// One row of [`Table::Meta`]; a bad one is set aside.
    fn single<T: serde::de::DeserializeOwned>(&mut self, word: &[u8]) -> Result<Option<T>, StoreError> {
        let Some(value) = self.engine.get(Table::Meta, word)? else { return Ok(None) };
        let body = unseal(Table::Meta, word, &value);
        if body.is_none() {
            self.set_aside(Table::Meta, (word.to_vec(), value));
        }
        Ok(body)
    }

    fn put<T: serde::Serialize>(&mut self, word: &[u8], body: &T) {
        self.batch.put(Table::Meta, word, seal(Table::Meta, word, body));
    }

    fn set_aside(&mut self, table: Table, row: Row) {
        self.damaged = true;
        self.findings.note_row(table, &row.0);
        self.asides += 1;
        let aside = aside_key(self.pid.incarnation, self.asides, table, &row.0);
        self.batch.put(Table::Aside, aside, row.1);
        self.batch.delete(table, row.0);
    }
}

/// The share that `part` of a whole has in `bytes`.
fn share(bytes: u64, part: u64, whole: u64) -> u64 {
    let share = u128::from(bytes) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Calls `found` with each row of a range, ascending, a chunk at a time.
pub(super) fn each_row<E: Engine>(
    engine: &E,
    table: Table,
    from: &[u8],
    to: &[u8],
    mut found: impl FnMut(Row),
) -> Result<(), StoreError> {
    let mut from = from.to_vec();
    loop {
        let rows = engine.scan(table, &from, to, CHUNK, Direction::Up)?;
        let Some(last) = rows.last() else { return Ok(()) };
        from = [last.0.as_slice(), &[0]].concat();
        rows.into_iter().for_each(&mut found);
    }
}
