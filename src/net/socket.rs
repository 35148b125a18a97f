//! Sockets with the options that ringtalk needs.

use super::holder::holder_of;
use super::{Interface, NetError, OWN_PORTS};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

/// Receive buffer asked for; the system may give less.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Send buffer asked for.
const SEND_BUFFER_BYTES: usize = 4 << 20;
/// How long a blocked receive waits before it looks whether it should end.
pub(super) const RECEIVE_PAUSE: Duration = Duration::from_millis(200);
/// How long a send waits for room in the send buffer before the datagram is dropped.
const SEND_PATIENCE: Duration = Duration::from_millis(20);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 256;

fn udp(addr: SocketAddr) -> Result<Socket, NetError> {
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_read_timeout(Some(RECEIVE_PAUSE))?;
        socket.set_write_timeout(Some(SEND_PATIENCE))?;
        // Best effort: where the system gives less, a burst is lost and asked for again.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(SEND_BUFFER_BYTES);
        Ok(socket)
    };
    open().map_err(|source| NetError::Socket { op: "open a socket for", addr, source })
}

/// The socket on the well-known port, shared with every other process here, member of no group yet.
///
/// `SO_REUSEADDR` shares between users; `SO_REUSEPORT` would refuse another user's process, and on Linux split what comes.
pub(crate) fn shared(port: u16) -> Result<Socket, NetError> {
    let addr = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let socket = udp(addr)?;
    let prepare = || {
        socket.set_reuse_address(true)?;
        #[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd"))]
        socket.set_reuse_port(true)?;
        // Only groups that this very socket joined, and only on the interfaces where it did.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_multicast_all_v4(false)?;
        socket.bind(&addr.into())
    };
    match prepare() {
        Ok(()) => Ok(socket),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(NetError::AddrInUse { port, holder: holder_of(port) })
        }
        Err(source) => Err(NetError::Socket { op: "bind", addr, source }),
    }
}

/// Joins a group on one interface: by address on loopback (by number the source would be 0.0.0.0), else by number.
pub(crate) fn join(socket: &Socket, group: Ipv4Addr, on: &Interface) -> Result<(), NetError> {
    match socket.join_multicast_v4_n(&group, &place(on)) {
        Err(source) if source.kind() != io::ErrorKind::AddrInUse => {
            Err(NetError::Join { group, interface: on.name.clone(), source })
        }
        _ => Ok(()),
    }
}

/// Leaves a group on one interface; that it was not joined, or the interface is gone, is no matter.
pub(crate) fn leave(socket: &Socket, group: Ipv4Addr, on: &Interface) {
    if let Err(error) = socket.leave_multicast_v4_n(&group, &place(on)) {
        log::debug!("cannot leave {group} on {}: {error}", on.name);
    }
}

fn place(on: &Interface) -> InterfaceIndexOrAddress {
    if on.loopback { InterfaceIndexOrAddress::Address(on.addr) } else { InterfaceIndexOrAddress::Index(on.index) }
}

/// The socket that everything is sent from, on a port of this process's own, and for servers the listener on the same
/// port number of TCP.
pub(crate) fn own(data: &Interface, listens: bool) -> Result<(Socket, Option<TcpListener>), NetError> {
    let ip = if data.loopback { data.addr } else { Ipv4Addr::UNSPECIFIED };
    // A free number for both is nearly always among these; after them any will do.
    let known = OWN_PORTS.chain(std::iter::repeat_n(0, 16));
    let mut last = None;
    for port in known {
        match own_on(SocketAddr::from((ip, port)), listens) {
            Ok(sockets) => {
                send_on(&sockets.0, data)?;
                return Ok(sockets);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or(NetError::NoInterfaces))
}

fn own_on(addr: SocketAddr, listens: bool) -> Result<(Socket, Option<TcpListener>), NetError> {
    let socket = udp(addr)?;
    socket.bind(&addr.into()).map_err(|source| NetError::Socket { op: "bind", addr, source })?;
    if !listens {
        return Ok((socket, None));
    }
    let bound = local_addr(&socket)?;
    let listener = listen(bound).map_err(|source| NetError::Socket { op: "listen on", addr: bound, source })?;
    Ok((socket, Some(listener)))
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    // A server that was killed leaves connections that wait out their time: they must not keep the next one from its port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Makes an interface the one that multicasts leave by, heard by this machine's other processes too, one hop far.
pub(crate) fn send_on(socket: &Socket, data: &Interface) -> Result<(), NetError> {
    let set = || {
        socket.set_multicast_if_v4(&data.addr)?;
        socket.set_multicast_loop_v4(true)?;
        socket.set_multicast_ttl_v4(1)
    };
    let addr = SocketAddr::from((data.addr, 0));
    set().map_err(|source| NetError::Socket { op: "send from", addr, source })
}

/// Where a socket is bound.
pub(crate) fn local_addr(socket: &Socket) -> Result<SocketAddr, NetError> {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let addr = socket.local_addr().map_err(|source| NetError::Socket { op: "name", addr: unknown, source })?;
    Ok(addr.as_socket().filter(|addr| matches!(addr.ip(), IpAddr::V4(_))).unwrap_or(unknown))
}
