//! Record files: the event records of a ring's servers, merged, as lines of JSON.
//!
//! ```json
//! {"ringtalk_record":1,"net":"default","from":"<rfc3339>","until":"<rfc3339>","servers":[{"name","id","addr"}],"events":2,"nicks":{}}
//! {"server":"oak","seq":17,"at_us":1763995200123456,"what":"sent",…}
//! {"server":"elm","seq":4,"at_us":1763995200123600,"what":"received",…}
//! ```
//! The events are those of [`trace`](super::trace), by `(at_us, server, seq)`. The file may come from anywhere: what is read
//! is bounded, and each line is a JSON object with those four fields, nothing more is promised of it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// The version of files that are written, and the newest that is read.
pub const VERSION: u32 = 1;
/// Most events of one file: 32 servers' whole records, and room.
pub const MAX_EVENTS: usize = 1_000_000;
/// Longest line.
pub const MAX_LINE_BYTES: usize = 256 << 10;
/// Bytes of one file, at most.
pub const MAX_BYTES: u64 = 512 << 20;

/// The first line of a record file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Header {
    /// The format's version.
    pub ringtalk_record: u32,
    /// The net.
    pub net: String,
    /// The first event's time, RFC 3339.
    pub from: String,
    /// The last one's.
    pub until: String,
    /// Whose records are in it.
    pub servers: Vec<Server>,
    /// How many events follow; a file with fewer was cut.
    pub events: usize,
    /// Who people were, as far as it was known: nicks by client id.
    #[serde(default)]
    pub nicks: BTreeMap<String, String>,
}

/// A server whose record is in a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its id, in hexadecimal.
    pub id: String,
    /// Where it was.
    pub addr: String,
    /// Events that it had forgotten before it was asked.
    #[serde(default)]
    pub lost: u64,
}

/// A record file's content.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordFile {
    /// The first line.
    pub header: Header,
    /// The events.
    pub events: Vec<Line>,
}

/// One event of a record file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Microseconds since 1970 by its server's clock.
    pub at_us: u64,
    /// The event, as JSON on one line.
    pub json: Box<str>,
}

/// Why a record file could not be read or written.
#[derive(Debug)]
pub enum RecordFileError {
    /// The system refused. A file that was to be written is as it was, or absent.
    Io {
        /// What was tried, as an infinitive: `open`.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The first line is not that of a record file. Choose another file.
    NoRecord {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer program. Update this one.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file ends before its last event: it was not copied whole. Copy it again.
    Truncated {
        /// The file.
        path: PathBuf,
        /// Whole events in it.
        found: usize,
        /// Events that the first line promises.
        promised: usize,
    },
    /// A line is no event. The file was changed after it was written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file has more events, longer lines or more bytes than any ring's record.
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for RecordFileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { op, path, source } => write!(out, "cannot {op} {}: {source}", path.display()),
            Self::NoRecord { path } => write!(out, "{} is no record file", path.display()),
            Self::Newer { path, found } => {
                write!(out, "{} has record format {found}, this program knows {VERSION}", path.display())
            }
            Self::Truncated { path, found, promised } => {
                write!(out, "{} is cut off: {found} of {promised} events are there", path.display())
            }
            Self::Damaged { path, line } => write!(out, "{}: line {line} is no event of a record", path.display()),
            Self::TooLarge { path } => write!(out, "{} is larger than any record of a ring", path.display()),
        }
    }
}

impl std::error::Error for RecordFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Writes a record file: aside first, then renamed, so that it is whole or not there. The header's version and count are
/// set here.
///
/// # Errors
/// [`RecordFileError::Io`]; the file is as it was.
pub fn write(path: &Path, header: &Header, lines: &[Line]) -> Result<(), RecordFileError> {
    let aside = aside(path);
    let written = write_aside(&aside, header, lines).and_then(|()| std::fs::rename(&aside, path));
    written.map_err(|source| {
        // What is left aside is of no use to anyone.
        let _ = std::fs::remove_file(&aside);
        RecordFileError::Io { op: "write", path: path.to_owned(), source }
    })
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    path.with_file_name(name)
}

fn write_aside(aside: &Path, header: &Header, lines: &[Line]) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(aside)?);
    let header = Header { ringtalk_record: VERSION, events: lines.len(), ..header.clone() };
    serde_json::to_writer(&mut out, &header)?;
    out.write_all(b"\n")?;
    for line in lines {
        out.write_all(line.json.as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Reads a record file.
///
/// # Errors
/// [`RecordFileError`].
pub fn read(path: &Path) -> Result<RecordFile, RecordFileError> {
    let failed = |op| move |source| RecordFileError::Io { op, path: path.to_owned(), source };
    let file = File::open(path).map_err(failed("open"))?;
    if file.metadata().map_err(failed("open"))?.is_dir() {
        return Err(RecordFileError::NoRecord { path: path.to_owned() });
    }
    let mut lines = Lines { path, input: BufReader::new(file.take(MAX_BYTES + 1)), bytes: 0, number: 0 };
    let no_record = |error| match error {
        RecordFileError::Io { source, .. } if source.kind() != io::ErrorKind::InvalidData => failed("read")(source),
        _ => RecordFileError::NoRecord { path: path.to_owned() },
    };
    let Some((first, whole)) = lines.next().map_err(no_record)? else {
        return Err(RecordFileError::NoRecord { path: path.to_owned() });
    };
    let header = header(&first, whole, path)?;
    let mut record = RecordFile { header, events: Vec::new() };
    let promised = record.header.events;
    while let Some((text, whole)) = lines.next()? {
        if !whole || record.events.len() >= promised.min(MAX_EVENTS) {
            return Err(ending(path, whole, record.events.len(), promised));
        }
        let at_us =
            time_of(&text).ok_or_else(|| RecordFileError::Damaged { path: path.to_owned(), line: lines.number })?;
        record.events.push(Line { at_us, json: text.into() });
    }
    if record.events.len() < promised {
        return Err(ending(path, false, record.events.len(), promised));
    }
    Ok(record)
}

/// The file does not end where it should.
fn ending(path: &Path, whole: bool, found: usize, promised: usize) -> RecordFileError {
    let path = path.to_owned();
    match whole {
        true if found >= MAX_EVENTS => RecordFileError::TooLarge { path },
        true => RecordFileError::Damaged { path, line: found + 2 },
        false => RecordFileError::Truncated { path, found, promised },
    }
}

fn header(text: &str, whole: bool, path: &Path) -> Result<Header, RecordFileError> {
    /// What every version of the first line has.
    #[derive(Deserialize)]
    struct Any {
        ringtalk_record: u32,
    }
    let path = path.to_owned();
    match (serde_json::from_str::<Any>(text), serde_json::from_str::<Header>(text)) {
        (Ok(any), _) if any.ringtalk_record > VERSION => {
            Err(RecordFileError::Newer { path, found: any.ringtalk_record })
        }
        (Ok(_), Ok(header)) if whole => Ok(header),
        _ => Err(RecordFileError::NoRecord { path }),
    }
}

/// The time of a line that is an event.
fn time_of(text: &str) -> Option<u64> {
    /// What every event has.
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "they must be there")]
    struct Event<'a> {
        #[serde(borrow)]
        server: std::borrow::Cow<'a, str>,
        seq: u64,
        at_us: u64,
        #[serde(borrow)]
        what: std::borrow::Cow<'a, str>,
    }
    serde_json::from_str::<Event<'_>>(text).ok().map(|event| event.at_us)
}

/// The lines of a file, none longer than [`MAX_LINE_BYTES`], and not more than [`MAX_BYTES`] of them.
struct Lines<'a> {
    path: &'a Path,
    input: BufReader<io::Take<File>>,
    bytes: u64,
    number: usize,
}

impl Lines<'_> {
    /// The next line, and whether it ends as a line does; `None` at the end.
    fn next(&mut self) -> Result<Option<(String, bool)>, RecordFileError> {
        let mut line = Vec::new();
        let read = (&mut self.input).take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut line);
        let read = read.map_err(|source| self.failed(source))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read as u64;
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        if line.len() > MAX_LINE_BYTES || self.bytes > MAX_BYTES {
            return Err(RecordFileError::TooLarge { path: self.path.to_owned() });
        }
        // Half a letter at the end of a file that was cut.
        if !whole && std::str::from_utf8(&line).is_err() {
            return Ok(Some((String::new(), false)));
        }
        let text = String::from_utf8(line);
        let damaged = |_| RecordFileError::Damaged { path: self.path.to_owned(), line: self.number };
        text.map(|text| Some((text, whole))).map_err(damaged)
    }

    fn failed(&self, source: io::Error) -> RecordFileError {
        RecordFileError::Io { op: "read", path: self.path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> (Header, Vec<Line>) {
        let server = |name: &str| Server { name: name.into(), id: "1".into(), addr: "10.0.0.1:1".into(), lost: 2 };
        let header = Header { net: "home".into(), servers: vec![server("oak"), server("elm")], ..Header::default() };
        let line = |n: u64| Line {
            at_us: 100 + n,
            json: json!({ "server": "o\"ak\u{e4}", "seq": n, "at_us": 100 + n, "what": "sent" }).to_string().into(),
        };
        (header, (1..=3).map(line).collect())
    }

    /// A file with these bytes, read.
    fn read_bytes(bytes: &[u8]) -> Result<RecordFile, RecordFileError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    }

    fn written() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        let (header, lines) = sample();
        write(&path, &header, &lines).unwrap();
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing is left aside");
        std::fs::read(&path).unwrap()
    }

    #[test]
    fn file_reads_as_it_was_written() {
        let (header, lines) = sample();
        let record = read_bytes(&written()).unwrap();
        assert_eq!(record.header, Header { ringtalk_record: 1, events: 3, ..header });
        assert_eq!(record.events, lines);
    }

    #[test]
    fn file_that_is_cut_anywhere_is_told_to_be_cut_or_no_record() {
        let bytes = written();
        let head = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in 0..bytes.len() {
            match read_bytes(&bytes[..length]) {
                Err(RecordFileError::NoRecord { .. }) => assert!(length < head, "{length}"),
                Err(RecordFileError::Truncated { found, promised: 3, .. }) => assert!(length >= head && found < 3),
                other => panic!("{length}: {other:?}"),
            }
        }
    }

    #[test]
    fn other_files_and_newer_ones_are_told_from_records() {
        for other in [&b""[..], b"\n", b"hello\n", b"{}\n", b"{\"ringtalk_record\":\"x\"}\n", &[0xff; 100], &[0; 3000]]
        {
            assert!(matches!(read_bytes(other), Err(RecordFileError::NoRecord { .. })), "{other:?}");
        }
        assert!(matches!(read_bytes(&vec![b'x'; MAX_LINE_BYTES * 2]), Err(RecordFileError::NoRecord { .. })));
        let newer = b"{\"ringtalk_record\":2,\"new\":true}\n";
        assert!(matches!(read_bytes(newer), Err(RecordFileError::Newer { found: 2, .. })));
        assert!(matches!(read(Path::new("/nowhere/record")), Err(RecordFileError::Io { op: "open", .. })));
        assert!(matches!(read(&std::env::temp_dir()), Err(RecordFileError::NoRecord { .. })));
    }

    #[test]
    fn line_that_is_no_event_is_told_by_its_number() {
        let text = String::from_utf8(written()).unwrap();
        for harmed in ["{}", "", "null", "{\"server\":1,\"seq\":1,\"at_us\":1,\"what\":\"sent\"}"] {
            let mut lines: Vec<&str> = text.lines().collect();
            lines[2] = harmed;
            let read = read_bytes((lines.join("\n") + "\n").as_bytes());
            assert!(matches!(read, Err(RecordFileError::Damaged { line: 3, .. })), "{harmed}: {read:?}");
        }
        let more = text.clone() + text.lines().last().unwrap() + "\n";
        assert!(matches!(read_bytes(more.as_bytes()), Err(RecordFileError::Damaged { line: 5, .. })));
    }

    #[test]
    fn place_that_cannot_be_written_is_told_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (header, lines) = sample();
        let error = write(&dir.path().join("no/such/record"), &header, &lines).unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert!(write(dir.path(), &header, &lines).is_err(), "a directory is not replaced");
    }
}
