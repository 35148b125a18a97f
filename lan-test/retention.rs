//! A ring that lets go of history while people talk, and servers that are killed while the rows go.

use crate::clock;
use crate::host::{Line, Running};
use crate::lan::Lan;
use crate::ledger::Ledger;
use crate::load::{self, Plan};
use crate::play;
use crate::ring::{GATHERING, Ring};
use crate::scenario::HOSTS;
use crate::trouble::{Outcome, Trouble, verdict};
use ringtalk::store::engine::Archive as _;
use ringtalk::store::sqlite::{FILE_NAME, SqliteReader};
use ringtalk::web::document::time::rfc3339;
use ringtalk::wire::session::HistoryQuery;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// The least that may be kept: some ten seconds of [`TALK`].
const KEPT: &str = "10MB";
/// How much is said at most. It ends when enough has been let go of.
const TALK: Plan = Plan { clients: 4, messages: 60_000 };
/// Over which time.
const TALKING: Duration = Duration::from_secs(160);
/// When the first view ends.
const FIRST: Duration = Duration::from_secs(2);
/// How often something is let go of.
const RISES: usize = 3;
/// A view may be followed by another each ten seconds, and the last but one of them goes.
const RISING: Duration = Duration::from_secs(45);
/// How long after it let go, then after each start, a server is killed.
const KILLS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_millis(450)];
/// How long after the last kill everything must be acknowledged and equal.
const SETTLING: Duration = Duration::from_mins(1);

/// Plays it; answers figures, or what was broken.
pub(crate) fn play(lan: &mut Lan, program: &Path, dir: &Path) -> Outcome<String> {
    lan.mend()?;
    let mut ring = Ring::start_with(program, dir, &["--keep", KEPT])?;
    let tails = play::tails(&ring)?;
    let mut senders = play::greet(&ring, &tails)?;
    let mut talkers = load::gather(&ring, TALK)?;
    let from = clock::now();
    load::begin(&mut talkers, TALK, from, TALKING)?;
    // What is said until here is what the first rise lets go of, ten seconds later.
    clock::wait_until(from + FIRST);
    ring.kill(HOSTS)?;
    ring.restart(HOSTS)?;
    let mut kills = Kills { ring: &mut ring, horizons: BTreeSet::new(), amid: 0 };
    for rise in 0..RISES {
        kills.strike(rise)?;
    }
    let Kills { horizons, amid, .. } = kills;
    talkers.iter().for_each(load::Sender::enough);
    for talker in &mut talkers {
        talker.finish(SETTLING)?;
    }
    let said = talkers.iter().map(|talker| talker.said.len()).sum();
    senders.append(&mut talkers);
    ring.whole(SETTLING)?;
    let (history, horizon) = kept(&ring)?;
    let mut ledger = Ledger::open(&senders, &history, Vec::new(), from);
    ledger.let_go(horizon);
    play::shown(&tails, said);
    for (i, tail) in tails.iter().enumerate() {
        ledger.tail(format!("the tail on h{}", i + 1), &tail.lines().since(0));
    }
    let mut evidence = ledger.verdicts();
    evidence.extend(ring.ended());
    if horizons.len() < RISES {
        evidence.push(format!("the horizon did not rise each time: {horizons:?}"));
    }
    if amid == 0 {
        evidence.push("no server was killed while its rows went".to_owned());
    }
    if ledger.gone() == 0 {
        evidence.push("everything that was said is in history still".to_owned());
    }
    verdict(evidence)?;
    let kills = RISES * KILLS.len();
    let (kept, gone) = (ledger.messages(), ledger.gone());
    Ok(format!("{gone} messages let go of in {RISES} steps, {kept} kept; {amid} of {kills} kills while rows went"))
}

/// The history that all servers tell, and the horizon that nothing in it is below: no rise came between.
fn kept(ring: &Ring) -> Outcome<(Vec<u8>, String)> {
    let horizon = || {
        let servers = ring.live().into_iter().filter_map(|host| ring.server(host).ok());
        servers.flat_map(|server| server.lines().since(0)).filter_map(|line| horizon_of(&line)).max()
    };
    let found = clock::until(SETTLING, || {
        let before = horizon()?;
        let history = ring.same_history(SETTLING);
        (horizon().as_ref() == Some(&before)).then_some(history.map(|history| (history, before)))
    });
    found.ok_or_else(|| Trouble::Late { what: "a history that stays for a while".to_owned(), after: SETTLING })?
}

/// From when on history is kept, when the line tells that some was let go of.
fn horizon_of(line: &Line) -> Option<String> {
    line.is_event("let_go").then(|| line.json()["before"].as_str().map(str::to_owned))?
}

/// Servers that are killed as they let go of history.
struct Kills<'a> {
    ring: &'a mut Ring,
    /// Those that were seen.
    horizons: BTreeSet<String>,
    /// Kills that came while rows were on their way out.
    amid: usize,
}

impl Kills<'_> {
    /// Waits until something is let go of; then one server, in turn a member and the leader, is killed again and again.
    fn strike(&mut self, rise: usize) -> Outcome<()> {
        self.ring.whole(GATHERING)?;
        let host = if rise.is_multiple_of(2) { self.ring.member()? } else { self.ring.leader()? };
        let told = told(self.ring.server(host)?, "let_go", RISING)?;
        let horizon = horizon_of(&told).ok_or_else(|| Trouble::broken(format!("no horizon in {}", told.text)))?;
        let mut since = told.at;
        for pause in KILLS {
            // A kill may come at any moment: none of them is an event.
            clock::wait_until(since + pause);
            self.ring.kill(host)?;
            self.amid += usize::from(has_rows_below(self.ring, host, &horizon)?);
            self.ring.restart(host)?;
            since = told_at_start(self.ring.server(host)?)?;
        }
        self.horizons.insert(horizon);
        Ok(())
    }
}

/// The next event of this name that a server tells.
fn told(server: &Running, event: &str, limit: Duration) -> Outcome<Line> {
    let line = server.lines().wait_for(server.lines().count(), limit, |line| line.is_event(event));
    line.ok_or_else(|| Trouble::Late { what: format!("`{event}`: {}", server.said().trim()), after: limit })
}

/// When a server that was just started had opened its store.
fn told_at_start(server: &Running) -> Outcome<Instant> {
    let line = server.lines().wait_for(0, GATHERING, |line| line.is_event("started"));
    let late = || Trouble::Late { what: format!("`started`: {}", server.said().trim()), after: GATHERING };
    line.map(|line| line.at).ok_or_else(late)
}

/// Whether the file of a dead server has messages from before the horizon. It looks in a copy: what crashed stays so.
fn has_rows_below(ring: &Ring, host: u8, horizon: &str) -> Outcome<bool> {
    let (data, copy) = (ring.host(host).data(), ring.host(host).dir().join("copy"));
    std::fs::create_dir_all(&copy).map_err(Trouble::io("create", &copy))?;
    for name in [FILE_NAME.to_owned(), format!("{FILE_NAME}-wal")] {
        std::fs::copy(data.join(&name), copy.join(&name)).map_err(Trouble::io("copy", data.join(&name)))?;
    }
    let query = HistoryQuery { limit: 1, events: true, ..HistoryQuery::default() };
    let page = SqliteReader::open(&copy).and_then(|reader| reader.history(&query));
    let page = page.map_err(|error| Trouble::broken(format!("the file of h{host} after its kill: {error}")))?;
    std::fs::remove_dir_all(&copy).map_err(Trouble::io("remove", &copy))?;
    Ok(page.records.first().is_some_and(|(record, _)| rfc3339(record.key.hlc.wall_ms()).as_str() < horizon))
}
