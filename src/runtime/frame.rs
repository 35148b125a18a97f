//! Frames over TCP: four bytes of length, then so many bytes; and the handshake of a link.

use crate::ids::{Incarnation, Pid, ServerId};
use crate::wire::datagram::NetTag;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt};

/// First bytes of a link: as a length they would be far over every frame's, so that no session begins like that.
pub(crate) const LINK_MAGIC: [u8; 4] = *b"rtL1";
/// Bytes of the handshake after the magic.
const HELLO_BYTES: usize = 22;

/// Reads one frame of at most `most` bytes. Nothing is allocated before the length was checked.
///
/// # Errors
/// `UnexpectedEof` when the other side is done or cut off, `InvalidData` for a length over the bound, or what the system
/// says.
pub(crate) async fn read_frame(from: &mut (impl AsyncRead + Unpin), most: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    read_body(from, length, most).await
}

/// Reads the rest of a frame whose length was read already.
pub(crate) async fn read_body(
    from: &mut (impl AsyncRead + Unpin),
    length: [u8; 4],
    most: usize,
) -> io::Result<Vec<u8>> {
    let length = u32::from_le_bytes(length) as usize;
    if length > most {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // The buffer grows with what comes: a length alone costs its sender nothing, so it must cost nothing here.
    let mut body = Vec::with_capacity(length.min(8 << 10));
    let read = from.take(length as u64).read_to_end(&mut body).await?;
    if read < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(body) }
}

/// A frame ready to be written.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(4 + bytes.len());
    frame.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    frame.extend_from_slice(bytes);
    frame
}

/// What both sides of a link say first: which net, which process, and on which UDP port it talks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LinkHello {
    /// The net.
    pub(crate) net: NetTag,
    /// The process.
    pub(crate) pid: Pid,
    /// The port of its datagrams.
    pub(crate) port: u16,
}

/// Who this server is, as every connection tells: another process once its store was opened anew.
#[derive(Clone, Debug)]
pub(crate) struct Greeting(Arc<Mutex<LinkHello>>);

impl Greeting {
    /// What is told from the start.
    pub(crate) fn new(hello: LinkHello) -> Self {
        Self(Arc::new(Mutex::new(hello)))
    }

    /// What is told now.
    pub(crate) fn hello(&self) -> LinkHello {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this process is another one.
    pub(crate) fn become_pid(&self, pid: Pid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pid = pid;
    }
}

impl LinkHello {
    /// The magic and the handshake.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = LINK_MAGIC.to_vec();
        bytes.extend_from_slice(&self.net.0.to_le_bytes());
        bytes.extend_from_slice(&self.pid.server.0.to_le_bytes());
        bytes.extend_from_slice(&self.pid.incarnation.boot.to_le_bytes());
        bytes.extend_from_slice(&self.pid.incarnation.random.to_le_bytes());
        bytes.extend_from_slice(&self.port.to_le_bytes());
        bytes
    }

    /// Reads what follows the magic.
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = [0; HELLO_BYTES];
        from.read_exact(&mut bytes).await?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let server = ServerId(u64::from(word(4)) | u64::from(word(8)) << 32);
        let incarnation = Incarnation { boot: word(12), random: word(16) };
        let port = u16::from_le_bytes([bytes[20], bytes[21]]);
        Ok(Self { net: NetTag(word(0)), pid: Pid { server, incarnation }, port })
    }

    /// Reads the magic and what follows.
    pub(crate) async fn read_after_magic(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut magic = [0; 4];
        from.read_exact(&mut magic).await?;
        if magic != LINK_MAGIC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Self::read(from).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn handshake_reads_what_it_writes_and_begins_like_no_session() {
        let pid = Pid { server: ServerId(1 << 63 | 5), incarnation: Incarnation { boot: 7, random: 9 } };
        let hello = LinkHello { net: NetTag(0xdead_beef), pid, port: 8286 };
        let bytes = hello.to_bytes();
        assert_eq!(run(LinkHello::read_after_magic(&mut bytes.as_slice())).unwrap(), hello);
        assert!(u32::from_le_bytes(LINK_MAGIC) as usize > crate::wire::session::MAX_FRAME_BYTES);
    }

    #[test]
    fn frame_over_its_bound_is_refused_before_it_is_read() {
        let huge = u32::MAX.to_le_bytes();
        let error = run(read_frame(&mut huge.as_slice(), 1000)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let cut = framed(b"hello");
        let error = run(read_frame(&mut &cut[..6], 1000)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(run(read_frame(&mut cut.as_slice(), 5)).unwrap(), b"hello");
    }
}
