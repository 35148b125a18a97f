//! Five real servers, one on each host, and what they say of themselves.

use crate::clock;
use crate::host::{Finished, Host, Line, Running};
use crate::scenario::HOSTS;
use crate::trouble::{Outcome, Trouble};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest wait for servers to find each other: ten times what it takes.
pub(crate) const GATHERING: Duration = Duration::from_secs(20);
/// The longest wait for a command that asks one question.
pub(crate) const ANSWER: Duration = Duration::from_mins(1);

/// A view, as a server told it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct View {
    pub(crate) epoch: u64,
    pub(crate) leader: String,
    /// Names, sorted.
    pub(crate) members: Vec<String>,
    /// When the harness read it.
    pub(crate) at: Instant,
}

impl View {
    /// The view that a line tells; `None` of any other line.
    fn of(line: &Line) -> Option<Self> {
        if !line.is_event("view") {
            return None;
        }
        let json = line.json();
        let mut members: Vec<String> = json["members"].as_array()?.iter().filter_map(name).collect();
        members.sort_unstable();
        Some(Self { epoch: json["epoch"].as_u64()?, leader: name(&json["leader"])?, members, at: line.at })
    }
}

/// A server's name, alone or in an object.
fn name(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["name"].as_str()).map(str::to_owned)
}

/// The servers.
#[derive(Debug)]
pub(crate) struct Ring {
    program: PathBuf,
    /// What each server is told beside its name and its directory.
    args: Vec<String>,
    hosts: Vec<Host>,
    live: BTreeMap<u8, Running>,
    stopped: Vec<u8>,
}

impl Ring {
    /// Starts a server on each host, with files below `dir`, and waits until they stand in one ring.
    pub(crate) fn start(program: &Path, dir: &Path) -> Outcome<Self> {
        Self::start_with(program, dir, &[])
    }

    /// As [`Ring::start`], with more arguments for each server.
    pub(crate) fn start_with(program: &Path, dir: &Path, args: &[&str]) -> Outcome<Self> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut ring = Self { args, ..Self::hosts_only(program, dir)? };
        for number in 1..=HOSTS {
            ring.restart(number)?;
        }
        ring.whole(GATHERING)?;
        Ok(ring)
    }

    /// The hosts without servers.
    pub(crate) fn hosts_only(program: &Path, dir: &Path) -> Outcome<Self> {
        let hosts = (1..=HOSTS).map(|number| Host::new(number, dir)).collect::<Outcome<Vec<_>>>()?;
        let (args, live, stopped) = (Vec::new(), BTreeMap::new(), Vec::new());
        Ok(Self { program: program.to_owned(), args, hosts, live, stopped })
    }

    /// Host `number`, from 1.
    pub(crate) fn host(&self, number: u8) -> &Host {
        &self.hosts[usize::from(number) - 1]
    }

    /// The server's process on a host.
    pub(crate) fn server(&self, number: u8) -> Outcome<&Running> {
        self.live.get(&number).ok_or_else(|| Trouble::broken(format!("no server runs on h{number}")))
    }

    /// Hosts whose server runs.
    pub(crate) fn live(&self) -> Vec<u8> {
        self.live.keys().copied().collect()
    }

    /// Hosts whose server was killed.
    pub(crate) fn dead(&self) -> Vec<u8> {
        (1..=HOSTS).filter(|number| !self.live.contains_key(number)).collect()
    }

    /// A new process on the host's disk.
    pub(crate) fn restart(&mut self, number: u8) -> Outcome<()> {
        let host = self.host(number);
        let (name, data) = (host.name(), host.data());
        let data = data.display().to_string();
        let mut args = vec!["server", "--json", "--name", &name, "--data", &data];
        args.extend(self.args.iter().map(String::as_str));
        let server = host.start(&self.program, "server", &args)?;
        self.live.insert(number, server);
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, number: u8) -> Outcome<()> {
        self.stopped.retain(|stopped| *stopped != number);
        match self.live.remove(&number) {
            Some(mut server) => server.kill(),
            None => Err(Trouble::broken(format!("no server runs on h{number}"))),
        }
    }

    /// SIGSTOP.
    pub(crate) fn stop(&mut self, number: u8) -> Outcome<()> {
        self.server(number)?.stop()?;
        self.stopped.push(number);
        Ok(())
    }

    /// SIGCONT to all that are stopped.
    pub(crate) fn go_on(&mut self) -> Outcome<()> {
        for number in std::mem::take(&mut self.stopped) {
            self.server(number)?.go_on()?;
        }
        Ok(())
    }

    /// The last view that a server told.
    pub(crate) fn view(&self, number: u8) -> Option<View> {
        self.live.get(&number)?.lines().since(0).iter().rev().find_map(View::of)
    }

    /// The number of the newest epoch that a server told.
    pub(crate) fn newest(&self) -> u64 {
        self.live.keys().filter_map(|number| self.view(*number)).map(|view| view.epoch).max().unwrap_or(0)
    }

    /// The host whose server leads the newest view.
    pub(crate) fn leader(&self) -> Outcome<u8> {
        let newest = self.live.keys().filter_map(|number| self.view(*number)).max_by_key(|view| view.epoch);
        let leader = newest.and_then(|view| view.leader.strip_prefix('h')?.parse().ok());
        leader.ok_or_else(|| Trouble::broken("no server has told a view with a leader"))
    }

    /// The least host that lives and does not lead.
    pub(crate) fn member(&self) -> Outcome<u8> {
        let leader = self.leader()?;
        let member = self.live.keys().copied().find(|number| *number != leader);
        member.ok_or_else(|| Trouble::broken("no server but the leader lives"))
    }

    /// Waits until all live servers told one and the same view, of exactly them. Answers when the last one told it.
    pub(crate) fn whole(&mut self, limit: Duration) -> Outcome<Instant> {
        self.one_view(&self.live(), limit)
    }

    /// Waits until the servers of `among` told one and the same view, of exactly them.
    pub(crate) fn one_view(&mut self, among: &[u8], limit: Duration) -> Outcome<Instant> {
        // A server that ended by itself will tell no view: there is nothing to wait for.
        let settled = clock::until(limit, || {
            let agreed = self.agreed(among);
            (agreed.is_some() || !self.ended().is_empty()).then_some(agreed)
        });
        settled.flatten().ok_or_else(|| {
            let names: Vec<String> = among.iter().map(|number| format!("h{number}")).collect();
            Trouble::Late { what: format!("one view of {}{}", names.join(" "), self.told()), after: limit }
        })
    }

    /// When the last of these servers told the view that all of them told.
    fn agreed(&self, among: &[u8]) -> Option<Instant> {
        let names: Vec<String> = among.iter().map(|number| self.host(*number).name()).collect();
        let views = among.iter().map(|number| self.view(*number)).collect::<Option<Vec<_>>>()?;
        let first = views.first()?;
        let same = |view: &View| view.members == names && view.epoch == first.epoch && view.leader == first.leader;
        views.iter().all(same).then(|| views.iter().map(|view| view.at).max())?
    }

    /// What each server told last, for a message.
    pub(crate) fn told(&mut self) -> String {
        let mut told = String::new();
        for number in 1..=HOSTS {
            let view = self.view(number);
            let Some(server) = self.live.get_mut(&number) else { continue };
            let state = if server.is_alive() { "" } else { " (it ended!)" };
            let view = view.map_or("no view".to_owned(), |view| {
                format!("epoch {} led by {}: {}", view.epoch, view.leader, view.members.join(" "))
            });
            let _ = write!(told, "\n  h{number}{state}: {view}; {}", server.said().trim());
        }
        told
    }

    /// Servers that ended by themselves: each one is a failure, and the last it said the evidence.
    pub(crate) fn ended(&mut self) -> Vec<String> {
        let gone = self.live.iter_mut().filter_map(|(number, server)| {
            (!server.is_alive()).then(|| format!("the server of h{number} ended by itself: {}", server.said()))
        });
        gone.collect()
    }

    /// Starts a client program on a host, at home in `home`.
    pub(crate) fn client(&self, number: u8, home: &str, args: &[&str]) -> Outcome<Running> {
        self.host(number).start(&self.program, home, args)
    }

    /// Runs a command on a host to its end.
    pub(crate) fn ask(&self, number: u8, args: &[&str]) -> Outcome<Finished> {
        self.host(number).run(&self.program, "asker", args, ANSWER)
    }

    /// The whole history as the server of a host tells it, byte for byte.
    pub(crate) fn history(&self, number: u8) -> Outcome<Vec<u8>> {
        let name = self.host(number).name();
        let told = self.ask(number, &["history", "--all", "--json", "--server", &name, "--timeout", "10s"])?;
        if told.code() == 0 {
            Ok(told.out)
        } else {
            Err(Trouble::broken(format!("history of {name}: exit {}: {}", told.code(), told.err.trim())))
        }
    }

    /// Waits until the histories of all live servers are the same bytes, and answers them.
    pub(crate) fn same_history(&self, limit: Duration) -> Outcome<Vec<u8>> {
        let mut last = String::new();
        let same = clock::until(limit, || {
            let histories = self.live().into_iter().map(|number| Ok((number, self.history(number)?)));
            match histories.collect::<Outcome<Vec<_>>>() {
                Err(trouble) => {
                    last = trouble.to_string();
                    None
                }
                Ok(histories) => {
                    last = difference(&histories);
                    histories.into_iter().next().filter(|_| last.is_empty()).map(|(_, history)| history)
                }
            }
        });
        same.ok_or(Trouble::Late { what: format!("equal histories; {last}"), after: limit })
    }
}

/// Where the first two histories that differ do so; empty when none do.
fn difference(histories: &[(u8, Vec<u8>)]) -> String {
    let Some((first, reference)) = histories.first() else { return "no server lives".to_owned() };
    let Some((other, history)) = histories.iter().find(|(_, history)| history != reference) else {
        return String::new();
    };
    let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
    let (ours, theirs) = (lines(reference), lines(history));
    let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    let show = |lines: &[String]| lines.get(at).map_or("nothing".to_owned(), |line| line.chars().take(300).collect());
    format!(
        "h{first} has {} messages, h{other} {}; at {at}\n  h{first}: {}\n  h{other}: {}",
        ours.len(),
        theirs.len(),
        show(&ours),
        show(&theirs)
    )
}
