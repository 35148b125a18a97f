//! Two servers' state machines wired by hand, in virtual time: no socket, no thread, no clock, two stores in memory.
//!
//! `proto::node::Node` is a whole server but for the machine it runs on. What that machine must do is the trait
//! `proto::host::Host`: bring bytes to others, write and read a store, tell clients. Here it takes 20 lines. The two find each
//! other, install a view, and a client's message becomes stable: it is in both stores, in the same place.
#![expect(clippy::print_stdout, reason = "a program for people")]

use ringtalk::ids::{ClientId, RecordKey};
use ringtalk::proto::bugs::Bugs;
use ringtalk::proto::event::Event;
use ringtalk::proto::host::{Host, step};
use ringtalk::proto::io::{Action, Input, Route, SessionId};
use ringtalk::proto::node::Node;
use ringtalk::proto::settings::{Portions, Retention, Settings};
use ringtalk::record::{Entry, Kind};
use ringtalk::store::memory::MemoryEngine;
use ringtalk::store::{Store, StoreError};
use ringtalk::time::{Hlc, Now, Time};
use ringtalk::wire::datagram::{NetTag, VERSION};
use ringtalk::wire::session::{Hello, Reply, Request, Submit};
use std::collections::VecDeque;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const NET: &str = "by-hand";
const SESSION: SessionId = SessionId(1);

/// What a node lives on.
struct Machine {
    name: String,
    addr: SocketAddr,
    store: Store<MemoryEngine>,
    /// What the node sent.
    sent: Vec<(Route, Vec<u8>)>,
    /// What happens to the node next.
    inputs: VecDeque<Input<'static>>,
    /// Where the client's message is, once the node has said that both servers have it.
    stable: Option<RecordKey>,
}

impl Host for Machine {
    fn transmit(&mut self, route: Route, bytes: &[u8]) {
        self.sent.push((route, bytes.to_vec()));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Write { ticket, write } => match self.store.apply(&[write]) {
                Ok(()) => self.inputs.push_back(Input::Written { upto: ticket }),
                Err(error) => println!("{error}"),
            },
            Action::Read { epoch, first, last, budget_bytes, purpose } => {
                let entries = self.store.read(epoch, first, last, budget_bytes).unwrap_or_default();
                self.inputs.push_back(Input::Read { epoch, first, entries, purpose });
            }
            Action::ReadGists { epoch, after, budget_bytes } => {
                let gists = self.store.gists(epoch, after.as_ref(), budget_bytes).unwrap_or_default();
                self.inputs.push_back(Input::Gists { epoch, after, gists });
            }
            Action::Reply { reply: Reply::Stable { key, copies: 2, of: 2, .. }, .. } => self.stable = Some(key),
            Action::Event(Event::View { view, .. }) => {
                println!("{} is in view {} of {}", self.name, view.epoch.num, view.leader_name());
            }
            // Nobody asks for more here, no connection is kept, and nobody leaves.
            _ => {}
        }
    }
}

/// The servers, and what they have in common: the time.
struct World {
    now: Time,
    servers: [(Node, Machine); 2],
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut world = World { now: Time(0), servers: [server("oak", 1)?, server("elm", 2)?] };
    world.run("in one view, and ready", World::is_settled)?;

    // Ana's client comes to oak; a real one would do so over TCP.
    let (client, nick, room) = (ClientId(7), "ana".to_owned(), "lobby".to_owned());
    let hello = Hello { net: NetTag::of(NET).0, version: VERSION, client, nick, follow: None, acked_upto: 0 };
    let (floor, body) = (Hlc(0), "hello".to_owned());
    let submit = Submit { cseq: 1, acked_upto: 0, floor, room, kind: Kind::Text, body };
    world.give(0, Input::Session { session: SESSION, request: Request::Hello(hello).into() });
    world.give(0, Input::Session { session: SESSION, request: Request::Submit(submit).into() });
    world.run("acknowledged", |world| world.servers[0].1.stable.is_some())?;
    let key = world.servers[0].1.stable.unwrap_or_default();
    world.run("history at both", |world| {
        world.servers.iter().all(|(_, machine)| machine.store.committed(key.epoch) >= key.gsn)
    })?;

    let [(_, oak), (_, elm)] = &mut world.servers;
    let [at_oak, at_elm] = [oak, elm].map(|machine| machine.store.read(key.epoch, key.gsn, key.gsn, usize::MAX));
    let (at_oak, at_elm) = (at_oak?, at_elm?);
    let said: Vec<&str> = at_oak.iter().flat_map(Entry::messages).map(|(_, message)| message.body).collect();
    println!("batch {} of view {} in both stores: {said:?}", key.gsn, key.epoch.num);
    if at_oak == at_elm && said == ["hello"] { Ok(()) } else { Err("two histories".into()) }
}

fn server(name: &str, number: u16) -> Result<(Node, Machine), StoreError> {
    let (store, recovered) = Store::open(MemoryEngine::new(), u128::from(number))?;
    let addr = (Ipv4Addr::LOCALHOST, number).into();
    let settings = Settings {
        net: NetTag::of(NET),
        net_name: NET.into(),
        name: name.into(),
        priority: 0,
        addr,
        tcp_port: number,
        peers: Vec::new(),
        page: None,
        memory_only: false,
        retention: Retention::default(),
        record: true,
        portions: Portions::default(),
        bugs: Bugs::NONE,
    };
    let node = Node::new(settings, recovered, Now::default(), u64::from(number));
    Ok((node, Machine { name: name.into(), addr, store, sent: Vec::new(), inputs: VecDeque::new(), stable: None }))
}

impl World {
    fn give(&mut self, to: usize, input: Input<'_>) {
        let now = Now { mono: self.now, wall_ms: 1_800_000_000_000 + self.now.0 / 1000 };
        let (node, machine) = &mut self.servers[to];
        step(node, machine, now, input, &mut Vec::new());
        while let Some(input) = machine.inputs.pop_front() {
            step(node, machine, now, input, &mut Vec::new());
        }
    }

    /// What was sent arrives 200 µs later; when nothing was, time goes on to the next timeout.
    fn turn(&mut self) {
        let sent = self.servers.each_mut().map(|(_, machine)| std::mem::take(&mut machine.sent));
        let due = self.servers.iter().map(|(node, _)| node.next_timeout()).min().unwrap_or(Time::NEVER);
        let is_silent = sent.iter().all(Vec::is_empty);
        self.now = if is_silent { due.max(self.now) } else { self.now + Duration::from_micros(200) };
        for (from, datagrams) in sent.into_iter().enumerate() {
            let (pid, addr) = (self.servers[from].0.pid(), self.servers[from].1.addr);
            for (route, bytes) in &datagrams {
                let multicast = matches!(route, Route::Multicast | Route::AnyNet);
                self.give(
                    1 - from,
                    match route {
                        Route::Link(..) => Input::Frame { from: pid, bytes },
                        _ => Input::Datagram { from: addr, multicast, bytes },
                    },
                );
            }
        }
        (0..2).for_each(|at| self.give(at, Input::Timeout));
    }

    /// Lets time pass until something is so, for at most 10 s.
    fn run(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), String> {
        let limit = self.now + Duration::from_secs(10);
        while !is_so(self) {
            if self.now >= limit {
                return Err(format!("not {what} after 10 s"));
            }
            self.turn();
        }
        println!("{what} after {:.4?}", self.now.since(Time(0)));
        Ok(())
    }

    fn is_settled(&self) -> bool {
        let [oak, elm] = self.servers.each_ref().map(|(node, _)| node.inspect());
        oak.ready && elm.ready && oak.view.is_some() && oak.view == elm.view
    }
}
