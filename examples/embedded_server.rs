//! A server inside one's own program, with its history in a directory: it tells what it is, takes a message, is started
//! again, and still knows it.
#![expect(clippy::print_stdout, reason = "a program for people")]

use crossbeam_channel::tick;
use ringtalk::client::Client;
use ringtalk::record::Submission;
use ringtalk::server::{About, Server, ServerError};
use ringtalk::wire::session::{Answer, HistoryQuery, Query};
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Duration;

/// Nothing here takes as long as this.
const LIMIT: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    let net = format!("embedded-{:08x}", RandomState::new().hash_one("net") as u32);
    let dir = tempfile::tempdir()?;

    let server = start(&net, dir.path())?;
    introduce(server.about());
    let ana = Client::builder().net(&net).nick("ana").local(true).connect(LIMIT)?;
    let stable = ana.say("lobby", "the kettle is on")?.wait(LIMIT)?;
    println!("-- message {} is on {} of {} disks", stable.id, stable.copies, stable.of);
    let before = history(&ana)?;
    println!("{}\n-- and once more", before.join("\n"));
    ana.close();
    leave(server)?;

    let server = start(&net, dir.path())?;
    introduce(server.about());
    let bob = Client::builder().net(&net).nick("bob").local(true).connect(LIMIT)?;
    let after = history(&bob)?;
    println!("{}", after.join("\n"));
    bob.close();
    leave(server)?;
    if before == ["<ana> the kettle is on"] && after == before { Ok(()) } else { Err("history differs".into()) }
}

fn start(net: &str, dir: &Path) -> Result<Server, ServerError> {
    Server::builder("oak").net(net).local(true).data(dir).start()
}

/// What a server can tell of itself as soon as it has started.
fn introduce(about: &About) {
    println!("{} ({}) of net {}", about.name, about.pid, about.net);
    println!("  at {}, listening to {}", about.addr, about.group);
    let place = about.data.as_ref().map_or("memory".into(), |dir| dir.display().to_string());
    println!("  {} messages in {} rooms, checked in {:.1?}, in {place}", about.messages, about.rooms, about.check);
}

/// The whole history. A server answers from its index, which runs a moment behind the log: asks until it is there.
fn history(client: &Client) -> Result<Vec<String>, Box<dyn Error>> {
    for _ in tick(Duration::from_millis(10)).iter().take(1000) {
        let query = Query::History(HistoryQuery { limit: 100, ..HistoryQuery::default() });
        match client.ask(query, LIMIT)? {
            Answer::Page { records, .. } if !records.is_empty() => {
                let line = |message: &Submission| format!("<{}> {}", message.nick, message.body);
                return Ok(records.iter().map(|(record, _)| line(&record.message)).collect());
            }
            Answer::Page { .. } => {}
            other => return Err(format!("no page of history: {other:?}").into()),
        }
    }
    Err("history stays empty".into())
}

fn leave(server: Server) -> Result<(), &'static str> {
    if server.leave() { Ok(()) } else { Err("the goodbye was not said, or not everything was written") }
}
