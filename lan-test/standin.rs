//! Stand-ins: small programs inside the harness that take ringtalk's place when the LAN itself is tested.
//!
//! `lan-test standin hear SECONDS` prints each number it receives; `standin say FIRST COUNT BURST` multicasts numbered
//! datagrams of [`DATAGRAM_BYTES`], `BURST` of them in one send; `standin hold PORT` takes a UDP port for itself alone.

use crate::clock;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 77);
const PORT: u16 = 7777;
/// The size of a stand-in's datagram.
pub(crate) const DATAGRAM_BYTES: usize = 1_000;

/// Plays the part that `args` name.
pub(crate) fn play(args: &[String]) -> io::Result<()> {
    let number = |i: usize| args.get(i).and_then(|text| text.parse::<u32>().ok()).unwrap_or(1);
    match args.first().map(String::as_str) {
        Some("hear") => hear(Duration::from_secs(number(1).into())),
        Some("say") => say(number(1), number(2), number(3).max(1)),
        Some("hold") => hold(u16::try_from(number(1)).map_err(io::Error::other)?),
        _ => Err(io::Error::other("a stand-in hears, says or holds")),
    }
}

fn hear(span: Duration) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    socket.join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED)?;
    let mut out = io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    let end = clock::now() + span;
    let mut datagram = [0; DATAGRAM_BYTES + 1];
    loop {
        let left = end.saturating_duration_since(clock::now());
        if left.is_zero() {
            return Ok(());
        }
        socket.set_read_timeout(Some(left))?;
        if let Ok(length) = socket.recv(&mut datagram)
            && length == DATAGRAM_BYTES
            && let Some(number) = datagram.first_chunk()
        {
            writeln!(out, "{}", u32::from_be_bytes(*number))?;
            out.flush()?;
        }
    }
}

/// Until it is killed.
fn hold(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    writeln!(io::stdout(), "ready")?;
    loop {
        socket.recv(&mut [0])?;
    }
}

fn say(first: u32, count: u32, burst: u32) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_multicast_loop_v4(false)?;
    let state = quinn_udp::UdpSocketState::new((&socket).into())?;
    socket.set_nonblocking(false)?;
    let mut next = first;
    while next < first + count {
        let numbers = next..(next + burst).min(first + count);
        next = numbers.end;
        let contents: Vec<u8> = numbers.flat_map(datagram).collect();
        let transmit = quinn_udp::Transmit {
            destination: SocketAddr::V4(SocketAddrV4::new(GROUP, PORT)),
            ecn: None,
            contents: &contents,
            segment_size: (burst > 1).then_some(DATAGRAM_BYTES),
            src_ip: None,
        };
        state.try_send((&socket).into(), &transmit)?;
        // A pace that no receive buffer overflows at: only the LAN may lose.
        clock::wait_until(clock::now() + Duration::from_micros(50));
    }
    Ok(())
}

fn datagram(number: u32) -> [u8; DATAGRAM_BYTES] {
    let mut bytes = [0; DATAGRAM_BYTES];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}
