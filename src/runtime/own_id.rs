//! Whether another process lives under this server's id, asked before a word is said under it (`PROTOCOL.md` §5).

use super::clock::Clock;
use crate::ids::{Incarnation, Pid, ServerId};
use crate::net::{Receiver, Sender, Transport};
use crate::time::Time;
use crate::wire::datagram::{self, Header, NetTag};
use crate::wire::message::{Message, Scout};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Scouts go out this often; they are answered within 50 ms.
const SCOUT_EVERY: Duration = Duration::from_millis(50);
/// How many go out.
const SCOUTS: u32 = 3;
/// How long answers are waited for. Too little misses a server that lives, which then is displaced; each start takes as long.
const LISTEN: Duration = Duration::from_millis(200);
/// … and how long once somebody under this id was heard, who may be an earlier life's late word.
const LISTEN_TO_TWIN: Duration = Duration::from_millis(500);

/// Asks the net whether somebody lives under this id, as a client, whom nobody takes for a server.
pub(crate) struct OwnId {
    net: NetTag,
    me: Pid,
    /// The name under which scouts go out, and the number that an answer must bear.
    nonce: u64,
    group: SocketAddr,
    peers: Vec<SocketAddr>,
    sender: Sender,
    receiver: Receiver,
    heard: bool,
    found: Option<(Pid, SocketAddr)>,
}

impl OwnId {
    /// Asks with these sockets, `peers` by unicast; `nonce` is random.
    pub(crate) fn new(net: NetTag, me: Pid, nonce: u64, transport: &Transport, peers: &[SocketAddr]) -> Self {
        let (sender, receiver) = (transport.sender(), transport.own_receiver());
        let (group, peers) = (transport.group(), peers.to_vec());
        Self { net, me, nonce, group, peers, sender, receiver, heard: false, found: None }
    }

    /// The process that lives under this id, and where. A directory that was never started before cannot have a copy.
    pub(crate) fn find(mut self, clock: Clock) -> Option<(Pid, SocketAddr)> {
        if self.me.incarnation.boot <= 1 {
            return None;
        }
        let began = clock.now().mono;
        for scout in 1.. {
            self.scout(scout <= SCOUTS);
            if let Err(error) = self.listen(clock, began + SCOUT_EVERY * scout) {
                log::warn!("cannot hear whether this server's id is in use: {error}");
                break;
            }
            let wait = if self.heard { LISTEN_TO_TWIN } else { LISTEN };
            if self.found.is_some() || clock.now().mono >= began + wait {
                break;
            }
        }
        self.found
    }

    fn scout(&mut self, wanted: bool) {
        let to: Vec<SocketAddr> = self.peers.iter().copied().chain([self.group]).filter(|_| wanted).collect();
        for to in to {
            self.scout_at(to);
        }
        self.sender.flush();
    }

    fn scout_at(&mut self, to: SocketAddr) {
        let sender = Pid { server: ServerId(self.nonce), incarnation: Incarnation::default() };
        let header = Header { net: self.net, sender, client: true };
        self.say(to, &header, &Message::Scout(Scout { any_net: false }));
    }

    fn say(&mut self, to: SocketAddr, header: &Header, message: &Message) {
        let mut bytes = Vec::new();
        datagram::encode(header, message, &mut bytes);
        self.sender.send(to, &bytes);
    }

    fn listen(&mut self, clock: Clock, until: Time) -> io::Result<()> {
        while self.found.is_none() {
            let now = clock.now().mono;
            if now >= until {
                break;
            }
            let mut came = Vec::new();
            self.receiver.receive_within(until.since(now), |one| came.push((one.from, one.bytes.to_vec())))?;
            for (from, bytes) in came {
                self.hear(from, &bytes);
            }
            self.sender.flush();
        }
        Ok(())
    }

    fn hear(&mut self, from: SocketAddr, bytes: &[u8]) {
        let Ok((header, body)) = datagram::open(bytes) else { return };
        if header.net != self.net || header.client || header.sender == self.me {
            return;
        }
        let Ok(message) = datagram::decode(body) else { return };
        if header.sender.server == self.me.server {
            return self.hear_twin(header.sender, from, &message);
        }
        let id = self.me.server;
        // Where others hear one under this id, it may not hear this process's multicast.
        if let Message::Beacon(beacon) = message {
            for heard in beacon.heard.iter().filter(|heard| heard.pid.server == id) {
                self.scout_at(heard.addr);
            }
        }
    }

    fn hear_twin(&mut self, pid: Pid, from: SocketAddr, message: &Message) {
        self.heard = true;
        match message {
            Message::Pong { nonce } if *nonce == self.nonce => self.found = Some((pid, from)),
            _ => {
                let header = Header { net: self.net, sender: self.me, client: false };
                self.say(from, &header, &Message::Ping { nonce: self.nonce });
            }
        }
    }
}
