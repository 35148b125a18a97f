//! The outbox file: the client's id, and what it has said that is not acknowledged yet.
//!
//! ```text
//! "rtoutbx1"  client id  checksum            20 bytes, little endian
//! length  checksum  row (postcard)           again and again, only ever appended to
//! ```
//! Checksums are the low half of XXH3-64. A tail that was cut off in the middle of a row is no message yet: it was not
//! durable, so nothing of it was sent. The file is locked while it is used: two processes with one id would number twice.

use super::error::OpenError;
use crate::ids::ClientId;
use crate::proto::client::{Draft, Loaded, Save};
use crate::record::Kind;
use crate::time::Hlc;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: [u8; 8] = *b"rtoutbx1";
const HEAD_BYTES: usize = 20;
/// A row is a message of the greatest size and a little.
const MAX_ROW_BYTES: usize = 128 << 10;
/// A file longer than this, most of which is done with, is written anew.
const COMPACT_BYTES: u64 = 1 << 20;

/// An open outbox file.
#[derive(Debug)]
pub(super) struct OutboxFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    content: Content,
}

/// What the file says, all rows taken together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Content {
    client: ClientId,
    last_cseq: u64,
    floor: Hlc,
    messages: BTreeMap<u64, Row>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Row {
    Message {
        cseq: u64,
        room: String,
        kind: Kind,
        body: String,
    },
    Done {
        cseq: u64,
        floor: Hlc,
    },
    /// What was known by then: first of a file that was written anew, and before a message whose writer had seen more since.
    Known {
        last_cseq: u64,
        floor: Hlc,
    },
}

impl OutboxFile {
    /// Opens the file, or makes one with a new id.
    ///
    /// # Errors
    /// [`OpenError`]; the file is as it was, but for a torn tail.
    pub(super) fn open(path: &Path) -> Result<(Loaded, Self), OpenError> {
        let mut file = lock(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read", path))?;
        // A head that was torn: nothing was ever said with it.
        let fresh = bytes.len() < HEAD_BYTES && MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]);
        if fresh {
            file.set_len(0).map_err(failed("cut", path))?;
            bytes = head(super::driver::random_client());
        }
        let (content, sound) = Content::read(&bytes).ok_or_else(|| OpenError::NoOutbox { path: path.to_owned() })?;
        if has_row_behind(&bytes[sound..]) {
            return Err(OpenError::OutboxDamaged { path: path.to_owned() });
        }
        let sound = if fresh { 0 } else { sound as u64 };
        let mut outbox = Self { path: path.to_owned(), file, bytes: sound, content };
        if fresh {
            outbox.append(&bytes, true)?;
            sync_directory(path)?;
        } else {
            outbox.file.set_len(outbox.bytes).map_err(failed("cut", path))?;
        }
        outbox.compact()?;
        Ok((outbox.content.loaded(), outbox))
    }

    /// Writes changes together; tells the last message that is durable now, if there is a new one.
    ///
    /// # Errors
    /// [`OpenError::Outbox`]; of these changes any number may be lost.
    pub(super) fn save(&mut self, saves: &[Save]) -> Result<Option<u64>, OpenError> {
        let mut bytes = Vec::new();
        let mut last = None;
        for save in saves {
            if let Save::Message { floor, .. } = *save
                && floor > self.content.floor
            {
                encode(&Row::Known { last_cseq: self.content.last_cseq, floor }, &mut bytes);
                self.content.floor = floor;
            }
            let row = Row::of(save);
            encode(&row, &mut bytes);
            if let Row::Message { cseq, .. } = row {
                last = Some(cseq);
            }
            self.content.apply(row);
        }
        self.append(&bytes, last.is_some())?;
        self.compact()?;
        Ok(last)
    }

    fn append(&mut self, bytes: &[u8], durable: bool) -> Result<(), OpenError> {
        self.file.seek(SeekFrom::End(0)).map_err(failed("write", &self.path))?;
        self.file.write_all(bytes).map_err(failed("write", &self.path))?;
        if durable {
            self.file.sync_data().map_err(failed("sync", &self.path))?;
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Writes the file anew, aside, when little of it still counts.
    fn compact(&mut self) -> Result<(), OpenError> {
        if self.bytes < COMPACT_BYTES {
            return Ok(());
        }
        let bytes = self.content.encoded();
        if (bytes.len() as u64) * 2 > self.bytes {
            return Ok(());
        }
        let aside = self.path.with_extension("new");
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&aside);
        let mut file = options.map_err(failed("write", &aside))?;
        file.lock().map_err(failed("lock", &aside))?;
        file.write_all(&bytes).map_err(failed("write", &aside))?;
        file.sync_all().map_err(failed("sync", &aside))?;
        std::fs::rename(&aside, &self.path).map_err(failed("rename", &aside))?;
        sync_directory(&self.path)?;
        self.bytes = bytes.len() as u64;
        self.file = file;
        Ok(())
    }
}

impl Content {
    /// What the bytes say and how many of them are sound; `None` when they are no outbox.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let (head, mut rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let sum = u32::from_le_bytes(head[16..].try_into().ok()?);
        if head[..8] != MAGIC || xxh3_64(&head[..16]) as u32 != sum {
            return None;
        }
        let client = ClientId(u64::from_le_bytes(head[8..16].try_into().ok()?));
        let mut content = Self { client, ..Self::default() };
        let mut sound = HEAD_BYTES;
        while let Some((row, more)) = decode(rest) {
            sound += rest.len() - more.len();
            rest = more;
            content.apply(row);
        }
        Some((content, sound))
    }

    fn apply(&mut self, row: Row) {
        match row {
            Row::Message { cseq, .. } => {
                self.last_cseq = self.last_cseq.max(cseq);
                self.messages.insert(cseq, row);
            }
            Row::Done { cseq, floor } => {
                self.floor = self.floor.max(floor);
                self.messages.remove(&cseq);
            }
            Row::Known { last_cseq, floor } => {
                self.last_cseq = self.last_cseq.max(last_cseq);
                self.floor = self.floor.max(floor);
            }
        }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut bytes = head(self.client);
        encode(&Row::Known { last_cseq: self.last_cseq, floor: self.floor }, &mut bytes);
        self.messages.values().for_each(|row| encode(row, &mut bytes));
        bytes
    }

    fn loaded(&self) -> Loaded {
        let acked_upto = self.messages.keys().next().map_or(self.last_cseq, |first| first - 1);
        let messages = self.messages.values().filter_map(|row| match row {
            Row::Message { cseq, room, kind, body } => {
                Some((*cseq, Draft { room: room.clone(), kind: kind.clone(), body: body.clone() }))
            }
            Row::Done { .. } | Row::Known { .. } => None,
        });
        let (client, last_cseq, floor) = (self.client, self.last_cseq, self.floor);
        Loaded { client, last_cseq, acked_upto, floor, messages: messages.collect(), seen: None }
    }
}

impl Row {
    fn of(save: &Save) -> Self {
        match save.clone() {
            Save::Message { cseq, draft: Draft { room, kind, body }, .. } => Self::Message { cseq, room, kind, body },
            Save::Done { cseq, floor } => Self::Done { cseq, floor },
        }
    }
}

fn head(client: ClientId) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&client.0.to_le_bytes());
    let sum = xxh3_64(&bytes) as u32;
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

fn encode(row: &Row, to: &mut Vec<u8>) {
    let body = postcard::to_stdvec(row).unwrap_or_default();
    to.extend_from_slice(&(body.len() as u32).to_le_bytes());
    to.extend_from_slice(&(xxh3_64(&body) as u32).to_le_bytes());
    to.extend_from_slice(&body);
}

/// The next row and what follows it; `None` at the end and at a torn tail.
fn decode(bytes: &[u8]) -> Option<(Row, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let body = rest.get(..length).filter(|_| length <= MAX_ROW_BYTES)?;
    let row = postcard::from_bytes(body).ok().filter(|_| xxh3_64(body) as u32 == u32::from_le_bytes(*sum))?;
    Some((row, &rest[length..]))
}

/// Whether a sound row follows one that is not: then it is no torn tail, and numbers that were given may be unknown.
fn has_row_behind(unsound: &[u8]) -> bool {
    let length = unsound.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    length <= MAX_ROW_BYTES && unsound.get(8 + length..).is_some_and(|behind| decode(behind).is_some())
}

/// Opens and locks the file that the path names now: another process may have just put a new one in its place.
fn lock(path: &Path) -> Result<File, OpenError> {
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(failed("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::OutboxInUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed("lock", path)(source)),
        }
        let named = std::fs::metadata(path).map_err(failed("open", path))?;
        if named.ino() == file.metadata().map_err(failed("open", path))?.ino() {
            return Ok(file);
        }
    }
}

fn sync_directory(path: &Path) -> Result<(), OpenError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("sync", directory))
}

fn failed(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Outbox { op, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(body: &str) -> Draft {
        Draft { room: "lobby".into(), kind: Kind::Text, body: body.into() }
    }

    fn message(cseq: u64, body: &str) -> Save {
        Save::Message { cseq, draft: draft(body), floor: Hlc(0) }
    }

    fn reopened(path: &Path) -> Loaded {
        OutboxFile::open(path).unwrap().0
    }

    #[test]
    fn outbox_goes_on_after_a_crash_with_its_id_its_numbers_and_what_is_not_acknowledged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let (first, mut file) = OutboxFile::open(&path).unwrap();
        assert_eq!(file.save(&[message(1, "a"), message(2, "b"), message(3, "c")]).unwrap(), Some(3));
        assert_eq!(file.save(&[Save::Done { cseq: 1, floor: Hlc(7) }]).unwrap(), None);
        drop(file);
        let again = reopened(&path);
        let messages = vec![(2, draft("b")), (3, draft("c"))];
        let expected =
            Loaded { client: first.client, last_cseq: 3, acked_upto: 1, floor: Hlc(7), messages, seen: None };
        assert_eq!(again, expected);
    }

    /// Found by the simulator (`--people --seed 171`): a message that was written after others' had been read, and sent by
    /// another process, sorted before those.
    #[test]
    fn what_the_writer_of_a_message_had_seen_is_known_after_a_crash() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let (_, mut file) = OutboxFile::open(&path).unwrap();
        file.save(&[message(1, "a"), Save::Done { cseq: 1, floor: Hlc(3) }]).unwrap();
        file.save(&[Save::Message { cseq: 2, draft: draft("b"), floor: Hlc(9) }]).unwrap();
        file.save(&[Save::Message { cseq: 3, draft: draft("c"), floor: Hlc(4) }]).unwrap();
        drop(file);
        assert_eq!((reopened(&path).floor, reopened(&path).last_cseq), (Hlc(9), 3));
    }

    #[test]
    fn numbers_are_never_given_twice_even_when_all_is_done() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let (_, mut file) = OutboxFile::open(&path).unwrap();
        file.save(&[message(1, "a"), Save::Done { cseq: 1, floor: Hlc(1) }]).unwrap();
        drop(file);
        assert_eq!((reopened(&path).last_cseq, reopened(&path).acked_upto), (1, 1));
    }

    #[test]
    fn torn_tail_is_cut_wherever_it_was_torn_and_the_file_is_written_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let (_, mut file) = OutboxFile::open(&path).unwrap();
        file.save(&[message(1, "first")]).unwrap();
        let sound = file.bytes as usize;
        file.save(&[message(2, "second")]).unwrap();
        drop(file);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..HEAD_BYTES {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(reopened(&path).last_cseq, 0);
        }
        for cut in sound..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (loaded, mut file) = OutboxFile::open(&path).unwrap();
            assert_eq!(loaded.messages, vec![(1, draft("first"))], "cut at {cut}");
            file.save(&[message(2, "again")]).unwrap();
            drop(file);
            assert_eq!(reopened(&path).messages.len(), 2);
        }
    }

    #[test]
    fn flipped_bit_before_sound_rows_is_told_and_nothing_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let (_, mut file) = OutboxFile::open(&path).unwrap();
        file.save(&[message(1, "first"), message(2, "second")]).unwrap();
        drop(file);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEAD_BYTES + 12] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(OutboxFile::open(&path), Err(OpenError::OutboxDamaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn second_process_and_another_file_are_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let _held = OutboxFile::open(&path).unwrap();
        assert!(matches!(OutboxFile::open(&path), Err(OpenError::OutboxInUse { .. })));
        let other = directory.path().join("letter");
        std::fs::write(&other, "Dear Sir or Madam, I write to you").unwrap();
        assert!(matches!(OutboxFile::open(&other), Err(OpenError::NoOutbox { .. })));
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "Dear Sir or Madam, I write to you");
    }

    #[test]
    fn file_stays_small_however_much_was_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let (_, mut file) = OutboxFile::open(&path).unwrap();
        let body = "x".repeat(60_000);
        for cseq in 1..=60 {
            file.save(&[message(cseq, &body), Save::Done { cseq, floor: Hlc(cseq) }]).unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 2 * COMPACT_BYTES);
        assert!(matches!(OutboxFile::open(&path), Err(OpenError::OutboxInUse { .. })), "still locked");
        drop(file);
        let loaded = reopened(&path);
        assert_eq!((loaded.last_cseq, loaded.acked_upto, loaded.floor), (60, 60, Hlc(60)));
    }
}
