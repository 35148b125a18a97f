//! The sockets of one process, opened together and kept in their groups.

use super::socket::{join, leave, local_addr, own, send_on, shared};
use super::{ANY_NET, Choice, FaultSwitch, NetError, Receiver, Sender, choose};
use crate::wire::datagram::MAX_DATAGRAM_BYTES;
use quinn_udp::{UdpSockRef, UdpSocketState};
use socket2::{SockRef, Socket};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

/// Bytes of the headers of IPv4 and UDP.
const HEADERS_BYTES: u32 = 28;

/// What a process is on the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Joins the any-net group too, and has a TCP listener.
    Server,
    /// Only the net's group.
    Client,
}

/// How to use the network.
#[derive(Clone, Debug)]
pub struct Options {
    /// Server or client.
    pub role: Role,
    /// The net's group; [`group_of`](super::group_of) its name unless the user named another.
    pub group: Ipv4Addr,
    /// The well-known port: [`PORT`](super::PORT) unless the user named another.
    pub port: u16,
    /// The only interfaces to use; none means all that are fit.
    pub interfaces: Vec<String>,
    /// Loopback only.
    pub local: bool,
    /// Whether peers are named: then a firewall that forbids the group leaves unicast to them.
    pub has_peers: bool,
    /// What to lose, for the demonstration.
    pub faults: FaultSwitch,
}

/// The sockets of one process.
pub struct Transport {
    options: Options,
    choice: Choice,
    shared: Arc<UdpSocket>,
    shared_state: Arc<UdpSocketState>,
    own: Arc<UdpSocket>,
    own_state: Option<Arc<UdpSocketState>>,
    port: u16,
}

impl Transport {
    /// Opens the sockets and joins the groups; for a server also the listener that waits for links and sessions.
    ///
    /// An interface where the group cannot be joined is left out, unless it is the one for data.
    ///
    /// # Errors
    /// [`NetError`]; no socket stays open then.
    pub fn open(options: Options) -> Result<(Self, Option<TcpListener>), NetError> {
        if !options.group.is_multicast() {
            return Err(NetError::NotMulticast { group: options.group });
        }
        let choice = choose(&options.interfaces, options.local)?;
        let shared = shared(options.port)?;
        let (own, listener) = own(&choice.data, options.role == Role::Server)?;
        let addr = local_addr(&own)?;
        let shared_state = offload(&shared, SocketAddr::from((Ipv4Addr::UNSPECIFIED, options.port)))?;
        // Below this the system must cut our longest datagram into fragments, which offloading forbids.
        let fits = choice.data.mtu.is_none_or(|mtu| mtu >= MAX_DATAGRAM_BYTES as u32 + HEADERS_BYTES);
        let own_state = if fits { Some(offload(&own, addr)?) } else { None };
        let mut transport = Self {
            options,
            choice,
            shared: Arc::new(shared.into()),
            shared_state,
            own: Arc::new(own.into()),
            own_state,
            port: addr.port(),
        };
        transport.join_all()?;
        transport.probe()?;
        Ok((transport, listener))
    }

    /// The interfaces in use.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// This process's own address, to which answers come.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((self.choice.data.addr, self.port))
    }

    /// The net's group.
    pub fn group(&self) -> SocketAddr {
        SocketAddr::from((self.options.group, self.options.port))
    }

    /// The group that every net's servers listen to.
    pub fn any_net(&self) -> SocketAddr {
        SocketAddr::from((ANY_NET, self.options.port))
    }

    /// What sends from this process's own socket.
    pub fn sender(&self) -> Sender {
        Sender::new(self.own.clone(), self.own_state.clone(), self.options.faults.clone())
    }

    /// What receives from the shared socket: the groups.
    pub fn shared_receiver(&self) -> Receiver {
        Receiver::new(self.shared.clone(), Some(self.shared_state.clone()), true, self.options.faults.clone())
    }

    /// What receives from this process's own socket.
    pub fn own_receiver(&self) -> Receiver {
        Receiver::new(self.own.clone(), self.own_state.clone(), false, self.options.faults.clone())
    }

    /// Looks at the interfaces again, leaves the groups and joins them anew; wanted each 60 s.
    ///
    /// A switch that filters multicast, where nobody asks who listens, forgets a member after some minutes; only a leave
    /// and a join on the one socket makes the system report it again.
    ///
    /// # Errors
    /// [`NetError`] when no interface can be used just now; the sockets stay, and the next call may succeed.
    pub fn rejoin(&mut self) -> Result<(), NetError> {
        let choice = choose(&self.options.interfaces, self.options.local)?;
        for interface in &self.choice.listen {
            for group in self.groups() {
                leave(&SockRef::from(&*self.shared), group, interface);
            }
        }
        let is_new = choice.data != self.choice.data;
        self.choice = choice;
        if is_new {
            send_on(&SockRef::from(&*self.own), &self.choice.data)?;
        }
        self.join_all()
    }

    fn groups(&self) -> Vec<Ipv4Addr> {
        match self.options.role {
            Role::Server if self.options.group != ANY_NET => vec![self.options.group, ANY_NET],
            _ => vec![self.options.group],
        }
    }

    fn join_all(&mut self) -> Result<(), NetError> {
        let groups = self.groups();
        let shared = SockRef::from(&*self.shared);
        for interface in &self.choice.listen {
            let joined = groups.iter().try_for_each(|&group| join(&shared, group, interface));
            match joined {
                Err(error) if *interface == self.choice.data => return Err(error),
                Err(error) => log::warn!("{error}"),
                Ok(()) => log::debug!("joined {groups:?} on {}", interface.name),
            }
        }
        Ok(())
    }

    /// Sends nothing to the group, to hear at once what this machine has against it.
    fn probe(&self) -> Result<(), NetError> {
        let to = self.group();
        match self.own.send_to(&[], to) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.forbidden(to),
            Err(source) => Err(NetError::Socket { op: "send to", addr: to, source }),
        }
    }

    /// Nothing can be sent to the group. Named peers can still be reached, and what they tell of.
    fn forbidden(&self, to: SocketAddr) -> Result<(), NetError> {
        let error = NetError::Forbidden { to };
        if !self.options.has_peers {
            return Err(error);
        }
        log::warn!("{error}: only the peers are asked, by unicast");
        Ok(())
    }
}

/// Offloading on a socket, which then waits like any other.
fn offload(socket: &Socket, addr: SocketAddr) -> Result<Arc<UdpSocketState>, NetError> {
    let prepare = || {
        let state = UdpSocketState::new(UdpSockRef::from(socket))?;
        socket.set_nonblocking(false)?;
        Ok(Arc::new(state))
    };
    prepare().map_err(|source| NetError::Socket { op: "prepare", addr, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Arrival, group_of};

    /// How often a receive of 200 ms is tried before a test gives up.
    const TRIES: usize = 25;

    fn local(name: &str, port: u16, role: Role) -> Transport {
        let group = group_of(name);
        let faults = FaultSwitch::default();
        let options = Options { role, group, port, interfaces: Vec::new(), local: true, has_peers: false, faults };
        Transport::open(options).unwrap().0
    }

    fn next(receiver: &mut Receiver) -> Option<(SocketAddr, bool, Vec<u8>)> {
        let mut came = Vec::new();
        for _ in 0..TRIES {
            let keep = |arrival: Arrival<'_>| came.push((arrival.from, arrival.multicast, arrival.bytes.to_vec()));
            receiver.receive(keep).unwrap();
            came.retain(|one| !one.2.is_empty());
            if !came.is_empty() {
                return came.into_iter().next();
            }
        }
        None
    }

    #[test]
    fn firewall_that_forbids_the_group_leaves_unicast_to_peers_that_were_named() {
        for has_peers in [false, true] {
            let mut transport = local("forbidden", 18_293, Role::Client);
            transport.options.has_peers = has_peers;
            let outcome = transport.forbidden(transport.group());
            assert_eq!(outcome.is_ok(), has_peers);
            assert!(has_peers || matches!(outcome, Err(NetError::Forbidden { .. })));
        }
    }

    #[test]
    fn processes_that_share_the_port_all_get_a_multicast_with_its_senders_address() {
        let one = local("sharing", 18_284, Role::Server);
        let other = local("sharing", 18_284, Role::Server);
        let mut receivers = [one.shared_receiver(), other.shared_receiver()];
        let mut sender = one.sender();
        sender.send(one.group(), b"to all");
        sender.flush();
        for receiver in &mut receivers {
            assert_eq!(next(receiver), Some((one.addr(), true, b"to all".to_vec())));
        }
    }

    #[test]
    fn unicast_reaches_only_the_process_it_is_for() {
        let one = local("alone", 18_285, Role::Server);
        let other = local("alone", 18_285, Role::Server);
        assert_ne!(one.addr(), other.addr());
        let mut sender = one.sender();
        sender.send(other.addr(), b"to you");
        sender.send(one.addr(), b"to me");
        sender.flush();
        assert_eq!(next(&mut other.own_receiver()), Some((one.addr(), false, b"to you".to_vec())));
        assert_eq!(next(&mut one.own_receiver()), Some((one.addr(), false, b"to me".to_vec())));
    }

    #[test]
    fn socket_hears_only_the_groups_that_it_joined_itself() {
        let one = local("first", 18_286, Role::Client);
        let other = local("second", 18_286, Role::Client);
        let mut sender = one.sender();
        sender.send(one.group(), b"not yours");
        sender.send(other.group(), b"yours");
        sender.flush();
        assert_eq!(next(&mut other.shared_receiver()).unwrap().2, b"yours");
    }

    #[test]
    fn servers_of_every_net_hear_the_any_net_group() {
        let scout = local("mine", 18_287, Role::Client);
        let other = local("theirs", 18_287, Role::Server);
        let mut sender = scout.sender();
        sender.send(scout.any_net(), b"which nets are there?");
        sender.flush();
        assert_eq!(next(&mut other.shared_receiver()).unwrap().2, b"which nets are there?");
    }

    #[test]
    fn burst_arrives_as_the_datagrams_it_was_made_of() {
        let one = local("burst", 18_288, Role::Client);
        let mut receiver = one.shared_receiver();
        let sent: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; if n % 50 == 49 { 700 } else { 1400 }]).collect();
        let mut sender = one.sender();
        for datagram in &sent {
            sender.send(one.group(), datagram);
        }
        sender.flush();
        let mut came = Vec::new();
        for _ in 0..TRIES {
            receiver.receive(|arrival| came.push(arrival.bytes.to_vec())).unwrap();
            came.retain(|bytes| !bytes.is_empty());
            if came.len() == sent.len() {
                break;
            }
        }
        assert!(came == sent, "{} of {}", came.len(), sent.len());
        assert_eq!(sender.counts().sent, 200);
    }

    #[test]
    fn groups_still_reach_a_process_that_joined_anew() {
        let mut one = local("rejoin", 18_289, Role::Server);
        one.rejoin().unwrap();
        let mut sender = one.sender();
        sender.send(one.group(), b"still here");
        sender.flush();
        assert_eq!(next(&mut one.shared_receiver()).unwrap().2, b"still here");
    }

    #[test]
    fn port_of_a_program_that_does_not_share_is_told_with_its_holder() {
        let _held = std::net::UdpSocket::bind("0.0.0.0:18290").unwrap();
        let group = group_of("held");
        let faults = FaultSwitch::default();
        let options = Options {
            role: Role::Client,
            group,
            port: 18_290,
            interfaces: vec![],
            local: true,
            has_peers: false,
            faults,
        };
        let error = Transport::open(options).err().unwrap();
        // The holder is this very process, which is not told about itself.
        assert!(matches!(error, NetError::AddrInUse { port: 18_290, holder: None }), "{error}");
    }

    #[test]
    fn cut_server_is_neither_heard_nor_reached_until_healed() {
        let cut = FaultSwitch::default();
        let group = group_of("faulty");
        let options = Options {
            role: Role::Server,
            group,
            port: 18_291,
            interfaces: vec![],
            local: true,
            has_peers: false,
            faults: cut.clone(),
        };
        let (one, _listener) = Transport::open(options).unwrap();
        let other = local("faulty", 18_291, Role::Server);
        cut.cut(other.addr(), super::super::Direction::Both).unwrap();
        let (mut from_one, mut from_other) = (one.sender(), other.sender());
        from_one.send(other.addr(), b"lost");
        from_other.send(one.group(), b"lost");
        from_other.send(one.addr(), b"lost");
        from_one.flush();
        from_other.flush();
        assert_eq!(from_one.counts().dropped, 1);
        // Faults act when a datagram is received: hear a third one before the cut is healed.
        let third = local("faulty", 18_291, Role::Client);
        let mut from_third = third.sender();
        from_third.send(one.group(), b"third");
        from_third.send(one.addr(), b"third");
        from_third.flush();
        let (mut shared, mut own) = (one.shared_receiver(), one.own_receiver());
        assert_eq!(next(&mut shared).unwrap().2, b"third");
        assert_eq!(next(&mut own).unwrap().2, b"third");
        cut.heal();
        from_one.send(other.addr(), b"back");
        from_one.flush();
        assert_eq!(next(&mut other.own_receiver()).unwrap().2, b"back");
        from_other.send(one.group(), b"back");
        from_other.flush();
        assert_eq!(next(&mut shared).unwrap().2, b"back");
    }

    #[test]
    fn delayed_datagrams_arrive_later_and_in_their_order() {
        let one = local("slow", 18_293, Role::Server);
        let slow = FaultSwitch::default();
        let group = group_of("slow");
        let (port, faults) = (18_293, slow.clone());
        let options =
            Options { role: Role::Server, group, port, interfaces: vec![], local: true, has_peers: false, faults };
        let (other, _listener) = Transport::open(options).unwrap();
        slow.obey("delay 60").unwrap();
        let (mut sender, mut receiver) = (one.sender(), other.own_receiver());
        for number in 0..20_u8 {
            sender.send(other.addr(), &[number; 100]);
        }
        let sent = super::super::delay::now();
        sender.flush();
        let mut came = Vec::new();
        for _ in 0..4 * TRIES {
            receiver.receive(|arrival| came.push(arrival.bytes[0])).unwrap();
            if came.len() == 20 {
                break;
            }
        }
        let took = super::super::delay::now().duration_since(sent);
        assert_eq!(came, (0..20).collect::<Vec<_>>());
        assert!(took.as_millis() >= 60, "{took:?}");
    }

    #[test]
    fn receive_that_nothing_comes_to_ends_by_itself() {
        let one = local("silence", 18_292, Role::Client);
        one.own_receiver().receive(|arrival| panic!("{arrival:?}")).unwrap();
    }
}
