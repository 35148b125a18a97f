//! `status`: every server on a line, who leads, what is wrong.

use super::server::ACKS_FROM_MEMORY;
use crate::cli::Run;
use crate::cli::args;
use crate::cli::contact::Contact;
use crate::cli::failure::{Code, Failure};
use crate::cli::output::{Output, Style};
use crate::cli::shown::{counted, shown};
use crate::cli::signals::Interrupt;
use crate::cli::table::Table;
use crate::cli::window;
use crate::web::document::status::{Document, percent};
pub(crate) use crate::web::document::status::{is_healthy, state, via};
use crate::wire::session::{Answer, Query, ServerStatus, Status};
use std::time::Duration;

/// How often `--watch` asks.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Runs the command.
pub(super) fn run(args: &args::Status, run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut contact = Contact::open(run, &interrupt)?;
    if args.watch && !run.output.json && window::is_there() {
        return window::watch(run, contact, &interrupt, WATCH_EVERY);
    }
    loop {
        let status = ask(&mut contact)?;
        show(&status, &run.output)?;
        if !args.watch {
            return if is_healthy(&status) { Ok(()) } else { Err(Failure::silent(Code::Degraded)) };
        }
        contact.pause(WATCH_EVERY)?;
    }
}

fn ask(contact: &mut Contact) -> Result<Status, Failure> {
    match contact.ask(Query::Status)? {
        Answer::Status(status) => Ok(*status),
        other => Err(contact.nonsense(&other)),
    }
}

fn show(status: &Status, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.document(&Document::of(status));
    }
    for line in lines(status, output) {
        output.line(&line)?;
    }
    Ok(())
}

/// The lines for people: a summary, the servers, what is wrong.
pub(crate) fn lines(status: &Status, output: &Output) -> Vec<String> {
    let leads = match status.epoch {
        Some(epoch) => format!("{} leads (epoch {})", shown(&status.leader), epoch.num),
        None => "nobody leads".to_owned(),
    };
    let health = if is_healthy(status) { (Style::Green, "healthy") } else { (Style::Red, "degraded") };
    let mut lines = vec![format!(
        "net {} · {} · {leads} · {} in {}",
        shown(&status.net),
        output.paint(health.0, health.1),
        counted(status.messages, "message"),
        counted(status.rooms, "room")
    )];
    lines.extend(table(&status.servers).lines());
    if status.memory_only {
        let name =
            status.servers.iter().find(|one| one.pid == status.answered_by).map_or("this server", |one| &one.name);
        lines.push(output.paint(Style::Yellow, &format!("{}: {ACKS_FROM_MEMORY}", shown(name))));
    }
    lines.extend(status.problems.iter().map(|problem| output.paint(Style::Yellow, &format!("! {}", shown(problem)))));
    lines
}

fn table(servers: &[ServerStatus]) -> Table {
    let mut table =
        Table::new(&["server", "id", "address", "state", "via", "stable", "lag", "clients", "nacks/min", "loss"]);
    for server in servers {
        table.row([
            shown(&server.name).into_owned(),
            server.pid.server.to_string(),
            server.addr.to_string(),
            state(server.state).replace('_', " "),
            via(server).to_owned(),
            server.stable.to_string(),
            server.lag.to_string(),
            server.clients.to_string(),
            server.nacks_per_min.to_string(),
            format!("{:.1} %", percent(server)),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EpochId, Pid, ServerId};
    use crate::wire::session::ServerState;

    fn server(name: &str, id: u64, state: ServerState) -> ServerStatus {
        ServerStatus {
            name: name.into(),
            pid: Pid { server: ServerId(id), ..Pid::default() },
            addr: "192.168.1.20:8285".parse().unwrap(),
            state,
            multicast: true,
            stable: 40,
            lag: 2,
            clients: 3,
            nacks_per_min: 1,
            loss_per_mille: 15,
            head: 42,
            have: 41,
            page: Some(crate::wire::message::Page { addr: "127.0.0.1:8284".parse().unwrap(), token: 0x5ec_2e7 }),
        }
    }

    fn status(state: ServerState) -> Status {
        let leader = Pid { server: ServerId(7), ..Pid::default() };
        Status {
            net: "default".into(),
            epoch: Some(EpochId { num: 12, leader }),
            leader: "elm".into(),
            servers: vec![server("elm", 7, ServerState::Leader), server("oak", 9, state)],
            rooms: 6,
            messages: 18_204,
            ..Status::default()
        }
    }

    #[test]
    fn status_is_the_document_of_the_contract() {
        let status = status(ServerState::CatchingUp);
        let text = crate::cli::output::to_json(&Document::of(&status));
        assert!(text.starts_with(
            "{\"net\":\"default\",\"healthy\":true,\"epoch\":12,\"leader\":{\"name\":\"elm\",\"id\":\"0000000000000007\"},\
             \"servers\":[{\"name\":\"elm\",\"id\":\"0000000000000007\",\"addr\":\"192.168.1.20:8285\",\
             \"state\":\"leader\",\"via\":\"multicast\",\"stable\":40,\"lag\":2,\"clients\":3,\"nacks_per_min\":1,\
             \"loss\":1.5,\"head\":42,\"have\":41,\"page\":\"http://127.0.0.1:8284\"},"
        ));
        assert!(
            !text.contains("token") && !text.contains(&0x5ec_2e7.to_string()),
            "the token is for servers and pages"
        );
        assert!(text.contains("\"state\":\"catching_up\""));
        assert!(text.ends_with("\"rooms\":6,\"messages\":18204,\"problems\":[],\"durability\":\"disk\"}"));
    }

    #[test]
    fn missing_server_leader_or_told_problem_is_degraded() {
        assert!(is_healthy(&status(ServerState::Member)));
        assert!(!is_healthy(&status(ServerState::Unreachable)));
        assert!(!is_healthy(&Status { epoch: None, ..status(ServerState::Member) }));
        assert!(!is_healthy(&Status { problems: vec!["disk".into()], ..status(ServerState::Member) }));
    }

    #[test]
    fn server_that_acknowledges_from_memory_says_so_and_is_not_degraded_by_it() {
        let mut status = Status { memory_only: true, ..status(ServerState::Member) };
        status.answered_by = status.servers[1].pid;
        let text = lines(&status, &Output::default());
        assert!(text.iter().any(|line| line.starts_with("oak: durability memory: acknowledges ")), "{text:?}");
        assert!(crate::cli::output::to_json(&Document::of(&status)).ends_with("\"durability\":\"memory\"}"));
        assert!(is_healthy(&status));
    }

    #[test]
    fn hostile_server_name_is_escaped() {
        let mut status = status(ServerState::Member);
        status.servers[0].name = "\u{1b}[2J".into();
        status.leader = "\u{202e}x".into();
        let text = lines(&status, &Output::default()).concat();
        assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text:?}");
    }
}
