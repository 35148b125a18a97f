//! A bot: it joins a room, adds up the numbers that people ask it for, and leaves when it is thanked.
//!
//! `run` is all there is to a bot: a client that follows what is said and says something itself. The rest of the program
//! is there so that it can be tried alone: a server on loopback, and ana, who asks.
#![expect(clippy::print_stdout, reason = "a program for people")]

use ringtalk::client::{Client, Draft, Event, Message};
use ringtalk::record::Kind;
use ringtalk::server::Server;
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ROOM: &str = "kitchen";
/// Nothing here takes as long as this.
const LIMIT: Duration = Duration::from_secs(20);

fn main() -> Outcome<()> {
    let net = format!("bot-{:08x}", RandomState::new().hash_one(ROOM) as u32);
    let server = Server::builder("oak").net(&net).local(true).start()?;
    let bot = client(&net, "adder")?;
    let ana = client(&net, "ana")?;

    let bot = std::thread::spawn(move || run(&bot));
    for (question, right) in [("adder: 20 22", "ana: 42"), ("adder: 1 -2 3", "ana: 2"), ("adder: soup?", "ana: what?")]
    {
        ana.say(ROOM, question)?.wait(LIMIT)?;
        let answer = hear(&ana, |message| message.record.message.nick == "adder")?;
        println!("<ana> {question}\n<adder> {answer}");
        if answer != right {
            return Err(format!("{right:?} would be right").into());
        }
    }
    ana.say(ROOM, "adder: thanks")?.wait(LIMIT)?;
    let answered = bot.join().map_err(|_| "the bot broke")??;
    println!("the bot answered {answered} questions and is gone");
    ana.close();
    if !server.leave() {
        return Err("the server's goodbye was not said".into());
    }
    if answered == 3 { Ok(()) } else { Err("3 questions were asked".into()) }
}

/// The bot: answers until it is thanked, and tells how many questions there were.
fn run(bot: &Client) -> Outcome<u32> {
    bot.send(Draft { room: ROOM.into(), kind: Kind::Join, body: String::new() })?;
    let mut answered = 0;
    loop {
        // What is late was said on the other side of a cut network: nobody waits for an answer to it any more.
        let asked = |message: &Message| !message.late && message.record.message.body.starts_with("adder: ");
        let (nick, question) = {
            let message = next(bot, asked)?.record.message;
            (message.nick, message.body.replacen("adder: ", "", 1))
        };
        if question == "thanks" {
            let bye = Draft { room: ROOM.into(), kind: Kind::Leave, body: String::new() };
            bot.send(bye)?.wait(LIMIT)?;
            return Ok(answered);
        }
        bot.say(ROOM, &format!("{nick}: {}", sum(&question)))?.wait(LIMIT)?;
        answered += 1;
    }
}

fn sum(question: &str) -> String {
    let numbers: Result<Vec<i32>, _> = question.split_whitespace().map(str::parse).collect();
    numbers.map_or("what?".into(), |numbers| numbers.into_iter().map(i64::from).sum::<i64>().to_string())
}

fn client(net: &str, nick: &str) -> Outcome<Client> {
    Client::builder()
        .net(net)
        .nick(nick)
        .local(true)
        .follow(true)
        .connect(LIMIT)
        .map_err(|error| error.to_string().into())
}

fn hear(client: &Client, wanted: impl Fn(&Message) -> bool) -> Outcome<String> {
    Ok(next(client, wanted)?.record.message.body)
}

/// Waits for the next words in the room that are wanted; everything else is passed over.
fn next(client: &Client, wanted: impl Fn(&Message) -> bool) -> Outcome<Message> {
    loop {
        if let Event::Message(message) = client.events().recv_timeout(LIMIT)? {
            let said = &message.record.message;
            if said.kind == Kind::Text && said.room == ROOM && wanted(&message) {
                return Ok(message);
            }
        }
    }
}
