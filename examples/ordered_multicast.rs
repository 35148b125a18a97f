//! The reliable, totally ordered multicast, with no chat around it: three servers, a writer at each, all writing numbers
//! at once as fast as they are taken. Everybody sees the same sequence, in which each writer's numbers count up.
//!
//! What makes a replicated state machine of any deterministic program: give every copy this sequence.
#![expect(clippy::print_stdout, reason = "a program for people")]

use ringtalk::client::{Client, Draft, Event, SubmitError};
use ringtalk::ids::RecordKey;
use ringtalk::proto::event::Event as Happening;
use ringtalk::record::Kind;
use ringtalk::server::Server;
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const NAMES: [&str; 3] = ["oak", "elm", "ash"];
/// Numbers of each writer.
const NUMBERS: u64 = 200;
/// Nothing here takes as long as this.
const LIMIT: Duration = Duration::from_secs(20);

/// One number in the order: its place, who wrote it, and what.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Step {
    key: RecordKey,
    writer: String,
    number: u64,
}

fn main() -> Outcome<()> {
    let net = format!("multicast-{:08x}", RandomState::new().hash_one("net") as u32);
    let servers = NAMES.map(|name| Server::builder(name).net(&net).local(true).start());
    let servers: Vec<Server> = servers.into_iter().collect::<Result<_, _>>()?;
    servers.iter().try_for_each(wait_for_ring)?;

    // A client at each server, and all of them before the first number: a feed begins when the session does.
    let clients: Vec<Client> = NAMES.iter().map(|name| connect(&net, name)).collect::<Outcome<_>>()?;
    let everywhere: Vec<Vec<Step>> = std::thread::scope(|scope| {
        let writers: Vec<_> = clients.iter().map(|client| scope.spawn(|| write_and_read(client))).collect();
        writers.into_iter().map(|writer| writer.join().map_err(|_| "a writer broke")?).collect::<Outcome<_>>()
    })?;

    let order = &everywhere[0];
    assert!(everywhere.iter().all(|other| other == order), "one order for all");
    assert!(order.is_sorted_by(|one, next| one.key < next.key), "the keys tell the order");
    for name in NAMES {
        let own = order.iter().filter(|step| step.writer == name).map(|step| step.number);
        assert!(own.eq(1..=NUMBERS), "{name}'s numbers count up, each once");
    }
    let turns = order.windows(2).filter(|pair| pair[0].writer != pair[1].writer).count();
    println!("{} numbers, {turns} times another writer's turn, the same at {}", order.len(), NAMES.join(", "));
    let head: Vec<String> = order.iter().take(12).map(|step| format!("{}:{}", step.writer, step.number)).collect();
    println!("{} …", head.join(" "));
    clients.into_iter().for_each(Client::close);
    servers.into_iter().all(Server::leave).then_some(()).ok_or_else(|| "a goodbye was not said".into())
}

fn wait_for_ring(server: &Server) -> Outcome<()> {
    loop {
        if let (_, Happening::View { view, .. }) = server.events().recv_timeout(LIMIT)?
            && view.members.len() == NAMES.len()
        {
            return Ok(());
        }
    }
}

fn connect(net: &str, server: &str) -> Outcome<Client> {
    let client = Client::builder().net(net).nick(server).server(server).local(true).follow(true);
    client.connect(LIMIT).map_err(|error| error.to_string().into())
}

/// Submits the writer's numbers, and reads everybody's until they are all there.
fn write_and_read(client: &Client) -> Outcome<Vec<Step>> {
    let mut order = Vec::new();
    for number in 1..=NUMBERS {
        let draft = Draft { room: "numbers".into(), kind: Kind::Text, body: number.to_string() };
        while let Err(error) = client.submit(draft.clone()) {
            // An outbox that is full has room again when one of its messages got further, which is an event.
            if error != SubmitError::Full {
                return Err(error.into());
            }
            order.extend(read(client)?);
        }
    }
    while order.len() < NAMES.len() * NUMBERS as usize {
        order.extend(read(client)?);
    }
    Ok(order)
}

/// The next event, if it is a step.
fn read(client: &Client) -> Outcome<Option<Step>> {
    let Event::Message(message) = client.events().recv_timeout(LIMIT)? else { return Ok(None) };
    let (key, message) = (message.record.key, message.record.message);
    let is_number = message.kind == Kind::Text && message.room == "numbers";
    Ok(if is_number { Some(Step { key, writer: message.nick, number: message.body.parse()? }) } else { None })
}
