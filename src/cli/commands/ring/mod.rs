//! `ring`: the ring's shape, its last elections, the token's way.

mod token;

use crate::cli::Run;
use crate::cli::contact::Contact;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Style};
use crate::cli::records::{Records, collect};
use crate::cli::shown::shown;
use crate::cli::signals::Interrupt;
use crate::cli::times::{rfc3339, time_of_day};
use crate::web::event::id;
use crate::wire::session::{Answer, ElectionInfo, Query, RingInfo};
use serde_json::{Value, json};

/// Runs the command.
pub(super) fn run(run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut contact = Contact::open(run, &interrupt)?;
    let mut ring = match contact.ask(Query::Ring)? {
        Answer::Ring(ring) => ring,
        other => return Err(contact.nonsense(&other)),
    };
    let records = collect(&mut contact, run, &interrupt)?;
    ring.elections = elections(&records);
    if run.output.json {
        return run.output.document(&document(&ring, &records));
    }
    lines(&ring, &records, &run.output).iter().try_for_each(|line| run.output.line(line))
}

/// What all servers together remember of elections, newest first: one that was started anew has seen none. Of one that several saw,
/// what that one says that knows most; two sides of a cut may have had one of the same number.
fn elections(records: &Records) -> Vec<ElectionInfo> {
    let mut all: Vec<&ElectionInfo> = records.servers.iter().flat_map(|record| &record.elections).collect();
    let known = |one: &ElectionInfo| (one.winner.is_some(), one.took_ms.is_some(), one.path.len());
    all.sort_by(|a, b| b.num.cmp(&a.num).then(known(b).cmp(&known(a))).then(a.started_by.cmp(&b.started_by)));
    let mut elections: Vec<ElectionInfo> = Vec::new();
    for one in all {
        let is_told = |told: &ElectionInfo| told.num == one.num && (one.winner.is_none() || told.winner == one.winner);
        if !elections.iter().any(is_told) {
            elections.push(one.clone());
        }
    }
    elections
}

fn document(ring: &RingInfo, records: &Records) -> Value {
    let member = |(pid, name): &(crate::ids::Pid, String)| json!({ "name": name, "id": id(*pid), "incarnation": pid.incarnation.boot });
    let leader = ring.leader.map(|pid| json!({ "name": name_of(ring, pid), "id": id(pid) }));
    let election = |election: &ElectionInfo| {
        json!({
            "num": election.num,
            "at": rfc3339(election.at_ms),
            "started_by": election.started_by,
            "winner": election.winner,
            "ms": election.took_ms,
            "path": election.path,
            "hops": token::document(&token::hops(election.num, records), records),
        })
    };
    json!({
        "epoch": ring.epoch.map(|epoch| epoch.num),
        "leader": leader,
        "ring": ring.ring.iter().map(member).collect::<Vec<_>>(),
        "elections": ring.elections.iter().map(election).collect::<Vec<_>>(),
    })
}

fn name_of(ring: &RingInfo, pid: crate::ids::Pid) -> &str {
    ring.ring.iter().find(|(member, _)| *member == pid).map_or("", |(_, name)| name)
}

fn lines(ring: &RingInfo, records: &Records, output: &Output) -> Vec<String> {
    let (Some(epoch), Some(leader)) = (ring.epoch, ring.leader) else {
        return vec!["no ring: this server is in no view".to_owned()];
    };
    let mut names: Vec<String> = ring.ring.iter().map(|(_, name)| shown(name).into_owned()).collect();
    names.extend(names.first().cloned());
    let leads = output.paint(Style::Bold, &shown(name_of(ring, leader)));
    let mut lines = vec![format!("{} · {leads} leads (epoch {})", names.join(" → "), epoch.num)];
    for election in &ring.elections {
        lines.push(election_line(election));
        lines.extend(token::lines(&token::hops(election.num, records), records, output));
    }
    lines
}

fn election_line(election: &ElectionInfo) -> String {
    let path: Vec<_> = election.path.iter().map(|name| shown(name)).collect();
    let outcome = match (&election.winner, election.took_ms) {
        (Some(winner), Some(ms)) => format!("{} won, {ms} ms", shown(winner)),
        (Some(winner), None) => format!("{} won", shown(winner)),
        (None, _) => "no winner known here".to_owned(),
    };
    let started_by = shown(&election.started_by);
    let way = if path.is_empty() { String::new() } else { format!(" · token {}", path.join(" → ")) };
    format!("{} election {} by {started_by}: {outcome}{way}", time_of_day(election.at_ms), election.num)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::records::ServerRecord;
    use crate::ids::{EpochId, Pid, ServerId};
    use crate::wire::sketch::Sketch;
    use crate::wire::trace::{TraceEvent, Via, What, Whom};

    fn ring() -> RingInfo {
        let pid = |id| Pid { server: ServerId(id), ..Pid::default() };
        let election = ElectionInfo {
            num: 12,
            at_ms: 1_795_183_501_220,
            started_by: "ash".into(),
            winner: Some("oak".into()),
            took_ms: Some(380),
            path: vec!["oak".into(), "ash".into()],
        };
        RingInfo {
            ring: vec![(pid(1), "ash".into()), (pid(2), "oak".into())],
            leader: Some(pid(2)),
            epoch: Some(EpochId { num: 12, leader: pid(2) }),
            elections: vec![election],
        }
    }

    /// The token of election 12, sent twice by ash, that came to oak at the second time.
    fn records() -> Records {
        let record = |server: u64, events: Vec<(u64, What)>| ServerRecord {
            server: ServerId(server),
            addr: "10.0.0.1:8285".parse().unwrap(),
            lost: 0,
            events: (1..).zip(events).map(|(seq, (at_us, what))| TraceEvent { seq, at_us, what }).collect(),
            elections: Vec::new(),
        };
        let sketch = || Sketch::Elect {
            num: 12,
            candidate: ServerId(2),
            ready: true,
            priority: 0,
            path: vec![ServerId(2), ServerId(1)],
            hop: 3,
        };
        let via = Via::Unicast;
        let sent =
            |sum| What::Sent { to: Whom::Server(ServerId(2)), via, sum, bytes: 60, repair: false, sketch: sketch() };
        let came = What::Received { from: Whom::Server(ServerId(1)), via, sum: 8, bytes: 60, sketch: sketch() };
        let mut names = crate::web::trace::Names::default();
        names.learn(&[(ServerId(1), "ash".to_owned()), (ServerId(2), "oak\u{202e}".to_owned())]);
        let servers =
            vec![record(1, vec![(5_000_100, sent(7)), (5_030_100, sent(8))]), record(2, vec![(5_030_400, came)])];
        Records { servers, names, ..Records::default() }
    }

    #[test]
    fn tokens_way_has_its_times_and_what_did_not_come() {
        let lines = lines(&ring(), &records(), &Output::default());
        let way: Vec<&str> = lines[2..].iter().map(|line| line.trim_start().split_once(' ').unwrap().1).collect();
        let oak = "oak\\u{202e}";
        assert_eq!(
            way,
            [format!("ash → {oak}: {oak} stands · did not come"), format!("ash → {oak}: {oak} stands · again")]
        );
        let hops = &document(&ring(), &records())["elections"][0]["hops"];
        assert_eq!((&hops[0]["came_us"], &hops[1]["came_us"]), (&Value::Null, &5_030_400.into()));
    }

    #[test]
    fn ring_closes_and_elections_tell_the_tokens_way() {
        let lines = lines(&ring(), &Records::default(), &Output::default());
        assert_eq!(lines[0], "ash → oak → ash · oak leads (epoch 12)");
        assert!(lines[1].ends_with(" election 12 by ash: oak won, 380 ms · token oak → ash"), "{}", lines[1]);
    }

    /// A server that was started anew was asked by chance, and told of none.
    #[test]
    fn elections_are_those_that_all_servers_remember_together() {
        let seen = |num: u64, winner: Option<&str>, started_by: &str| ElectionInfo {
            num,
            winner: winner.map(str::to_owned),
            started_by: started_by.into(),
            ..ring().elections[0].clone()
        };
        let mut records = records();
        records.servers[1].elections =
            vec![seen(14, None, "elm"), seen(13, Some("oak"), "elm"), seen(12, Some("elm"), "elm")];
        let mut third = ServerRecord { events: Vec::new(), ..records.servers.remove(0) };
        third.elections = vec![seen(13, Some("oak"), "ash"), seen(13, None, "ash"), seen(12, Some("ash"), "ash")];
        records.servers.push(third);
        let merged = elections(&records);
        let told: Vec<_> = merged.iter().map(|one| (one.num, one.winner.as_deref(), one.started_by.as_str())).collect();
        assert_eq!(
            told,
            [(14, None, "elm"), (13, Some("oak"), "ash"), (12, Some("ash"), "ash"), (12, Some("elm"), "elm"),]
        );
    }

    #[test]
    fn document_has_leader_ring_and_elections() {
        let document = document(&ring(), &Records::default());
        assert_eq!(document["leader"]["name"], "oak");
        assert_eq!(document["ring"][0]["id"], "0000000000000001");
        assert_eq!(document["elections"][0]["at"], "2026-11-20T14:05:01.220Z");
    }
}
