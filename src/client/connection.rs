//! One session's connection: a thread that reads replies and one that writes requests.

use super::driver::{Came, thread};
use crate::proto::client::ConnectionId;
use crate::wire::session::{self, MAX_FRAME_BYTES, Reply, Request};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Requests that wait to be written; beyond it the connection counts as broken, and the client goes elsewhere.
const MAX_REQUESTS: usize = 4096;
/// A connection is not waited for longer than this.
const CONNECT: Duration = Duration::from_secs(1);
/// After so many bytes of a reply it is told that more of it is coming: on a narrow wire one takes longer than a client waits
/// for a server that says nothing.
const PIECE: usize = 16 << 10;
/// Nothing is written for longer than this: the server hangs.
const WRITE: Duration = Duration::from_secs(5);

/// A connection that the client writes to.
#[derive(Debug)]
pub(super) struct Connection {
    requests: Sender<Request>,
}

impl Connection {
    /// Says something; `false` when the connection is of no use any more.
    pub(super) fn send(&self, request: Request) -> bool {
        self.requests.try_send(request).is_ok()
    }
}

/// Connects on a thread of its own, which then reads replies until the connection ends. All of it comes as inputs.
pub(super) fn connect(id: ConnectionId, addr: SocketAddr, came: Sender<Came>) -> io::Result<()> {
    let session = move || {
        if let Err(error) = converse(id, addr, &came) {
            log::debug!("session with {addr} ended: {error}");
        }
        // The driver may have ended first.
        _ = came.send(Came::Broken(id));
    };
    thread("client-read", session).map(drop)
}

fn converse(id: ConnectionId, addr: SocketAddr, came: &Sender<Came>) -> io::Result<()> {
    let stream = TcpStream::connect_timeout(&addr, CONNECT)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE))?;
    let (requests, written) = bounded(MAX_REQUESTS);
    let to = stream.try_clone()?;
    thread("client-write", move || write(&to, &written))?;
    if came.send(Came::Connected(id, Connection { requests })).is_err() {
        return Ok(());
    }
    let mut from = BufReader::with_capacity(64 << 10, &stream);
    loop {
        // The driver may have ended first.
        let reply = read(&mut from, || _ = came.send(Came::Arriving(id)))?;
        if came.send(Came::Reply(id, reply)).is_err() {
            return stream.shutdown(Shutdown::Both);
        }
    }
}

/// Writes requests until there are no more to come, then ends the connection for the reader too.
fn write(stream: &TcpStream, requests: &Receiver<Request>) {
    let mut to = BufWriter::with_capacity(64 << 10, stream);
    let mut write = || -> io::Result<()> {
        while let Ok(request) = requests.recv() {
            to.write_all(&session::encode(&request))?;
            if requests.is_empty() {
                to.flush()?;
            }
        }
        Ok(())
    };
    if let Err(error) = write() {
        log::debug!("a request could not be written: {error}");
    }
    // Already ended by the server: as good.
    _ = stream.shutdown(Shutdown::Both);
}

/// One reply; nothing is allocated before its length was checked, and no more than comes. `arrives` is told of each piece but
/// the last.
fn read(from: &mut impl Read, mut arrives: impl FnMut()) -> io::Result<Reply> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = Vec::with_capacity(length.min(8 << 10));
    while body.len() < length {
        if !body.is_empty() {
            arrives();
        }
        let piece = PIECE.min(length - body.len());
        if from.by_ref().take(piece as u64).read_to_end(&mut body)? < piece {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    session::decode(&body).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::session::Answer;

    #[test]
    fn long_reply_is_told_of_while_it_comes_and_a_short_one_is_not() {
        let reply = |len| Reply::Answer { tag: 7, answer: Answer::Failed("x".repeat(len)) };
        for (len, pieces) in [(10, 0), (PIECE - 100, 0), (PIECE, 1), (5 * PIECE, 5)] {
            let bytes = session::encode(&reply(len));
            let mut told = 0;
            assert_eq!(read(&mut bytes.as_slice(), || told += 1).unwrap(), reply(len));
            assert_eq!(told, pieces, "{len}");
            let cut = &bytes[..bytes.len() - 1];
            assert!(read(&mut &cut[..], || ()).is_err());
        }
    }
}
