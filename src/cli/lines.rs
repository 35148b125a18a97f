//! Lines of stdin, read by a thread of its own so that nothing else waits for them.

use super::failure::{Code, Failure, plain};
use crate::record::MAX_BODY_BYTES;
use crossbeam_channel::{Receiver, TryRecvError, bounded};
use std::io::{self, BufRead, Read};

/// Lines read ahead; the reader then waits, and so does who writes to us.
const AHEAD: usize = 256;
/// What is read of a line that is too long: enough to say how much too long, no more.
const MAX_LINE_BYTES: u64 = 4 * MAX_BODY_BYTES as u64;

/// A source of lines.
#[derive(Debug)]
pub(crate) struct Lines {
    read: Receiver<io::Result<String>>,
}

/// What a look for a line brings.
#[derive(Debug)]
pub(crate) enum NextLine {
    /// A line.
    Line(String),
    /// None is here yet.
    NotYet,
    /// None will come.
    End,
}

impl Lines {
    /// The lines of stdin, without their ends. Bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn of_stdin() -> Result<Self, Failure> {
        let (to, read) = bounded(AHEAD);
        let run = move || {
            let mut stdin = io::stdin().lock();
            loop {
                match next_line(&mut stdin).transpose() {
                    Some(line) => {
                        let failed = line.is_err();
                        if to.send(line).is_err() || failed {
                            return;
                        }
                    }
                    None => return,
                }
            }
        };
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(run)
            .map_err(|error| Failure::new(Code::Failed, format!("cannot start a thread: {}", plain(&error))))?;
        Ok(Self { read })
    }

    /// One line that is here already.
    pub(crate) fn one(line: String) -> Self {
        let (to, read) = bounded(1);
        let _ = to.send(Ok(line));
        Self { read }
    }

    /// The next line, if one is here.
    pub(crate) fn try_next(&self) -> Result<NextLine, Failure> {
        match self.read.try_recv() {
            Ok(line) => line.map(NextLine::Line).map_err(|error| unreadable(&error)),
            Err(TryRecvError::Empty) => Ok(NextLine::NotYet),
            Err(TryRecvError::Disconnected) => Ok(NextLine::End),
        }
    }

    /// The lines, for `select!`; disconnected at the end.
    pub(crate) fn into_channel(self) -> Receiver<io::Result<String>> {
        self.read
    }
}

/// Stdin failed.
pub(crate) fn unreadable(error: &io::Error) -> Failure {
    Failure::new(Code::Io, format!("cannot read stdin: {}", plain(error)))
}

fn next_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if from.take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_without_their_ends_and_whatever_their_bytes() {
        let mut from = io::Cursor::new(b"one\r\n\ntwo\xff\nlast".to_vec());
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut from).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["one", "", "two\u{fffd}", "last"]);
    }
}
