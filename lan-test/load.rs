//! People who talk: one `send` process for each client and room, its lines paced evenly over a span.

use crate::clock;
use crate::host::{Line, Running};
use crate::ring::Ring;
use crate::trouble::{Outcome, Trouble};
use std::io::Write as _;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The rooms.
pub(crate) const ROOMS: [&str; 3] = ["red", "green", "blue"];
/// One message in this many is of [`LONG_BYTES`], and so travels in fragments.
const LONG_EVERY: u32 = 400;
const LONG_BYTES: usize = 20_000;

/// How much is said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Clients, one on each of the first hosts.
    pub(crate) clients: u8,
    /// Messages of each client, over all rooms.
    pub(crate) messages: u32,
}

/// One sending process, and what it was given.
#[derive(Debug)]
pub(crate) struct Sender {
    /// Who and where: `c2-red`.
    pub(crate) title: String,
    pub(crate) room: &'static str,
    /// The host it runs on.
    pub(crate) host: u8,
    running: Running,
    writer: Option<JoinHandle<Vec<Said>>>,
    is_enough: Arc<AtomicBool>,
    /// What was written, in order; complete when the sender has ended.
    pub(crate) said: Vec<Said>,
}

/// One line given to a sender.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// When it was about to be written.
    pub(crate) at: Instant,
    pub(crate) text: String,
}

impl Sender {
    /// Starts a sender on a host. It gives up only when nothing moves for `patience`.
    pub(crate) fn start(ring: &Ring, host: u8, client: &str, room: &'static str, patience: &str) -> Outcome<Self> {
        Self::start_with(ring, host, client, room, &["--timeout", patience])
    }

    /// Starts a sender that talks to the server of its own host only.
    pub(crate) fn start_at_home(ring: &Ring, host: u8, client: &str, room: &'static str) -> Outcome<Self> {
        Self::start_with(ring, host, client, room, &["--timeout", "30s", "--server", &format!("h{host}")])
    }

    fn start_with(ring: &Ring, host: u8, client: &str, room: &'static str, more: &[&str]) -> Outcome<Self> {
        let title = format!("{client}-{room}");
        // A nick belongs to one client, and each process is a client of its own.
        let args = [&["send", room, "--json", "--nick", &title], more].concat();
        let running = ring.client(host, &title, &args)?;
        let (is_enough, said) = (Arc::default(), Vec::new());
        Ok(Self { title, room, host, running, writer: None, is_enough, said })
    }

    /// Begins to write: message `n` of `count` at `from + (n + ½)·span/count`.
    pub(crate) fn begin(&mut self, from: Instant, span: Duration, texts: Vec<String>) -> Outcome<()> {
        let stdin = self.running.take_stdin().ok_or_else(|| Trouble::broken("a sender begins once"))?;
        let is_enough = Arc::clone(&self.is_enough);
        self.writer = Some(std::thread::spawn(move || write_all(stdin, from, span, texts, &is_enough)));
        Ok(())
    }

    /// Says no more than it has said by now.
    pub(crate) fn enough(&self) {
        self.is_enough.store(true, Ordering::Relaxed);
    }

    /// Waits until it has ended, everything stable.
    pub(crate) fn finish(&mut self, limit: Duration) -> Outcome<()> {
        let status = self.running.ended(limit)?;
        if let Some(writer) = self.writer.take() {
            self.said = writer.join().map_err(|_| Trouble::broken("a writer panicked"))?;
        }
        if status.success() {
            return Ok(());
        }
        Err(Trouble::broken(format!("{} ended with {status}: {}", self.title, self.running.said().trim())))
    }

    /// What it has said to be stable so far, and all else that it printed.
    pub(crate) fn answers(&self) -> Vec<Line> {
        self.running.lines().since(0)
    }

    /// The process.
    pub(crate) fn running(&self) -> &Running {
        &self.running
    }
}

fn write_all(
    mut stdin: ChildStdin,
    from: Instant,
    span: Duration,
    texts: Vec<String>,
    is_enough: &AtomicBool,
) -> Vec<Said> {
    let count = texts.len().max(1) as u32;
    let mut said = Vec::with_capacity(texts.len());
    for (n, text) in texts.into_iter().enumerate() {
        clock::wait_until(from + span.mul_f64((n as f64 + 0.5) / f64::from(count)));
        let at = clock::now();
        // A sender that ended early says so by its exit code; what it was not given counts as not said.
        if is_enough.load(Ordering::Relaxed) || stdin.write_all(format!("{text}\n").as_bytes()).is_err() {
            break;
        }
        said.push(Said { at, text });
    }
    said
}

/// The text of message `n` of a sender: its name and number, then 0 to 200 bytes, now and then 20,000.
pub(crate) fn text(sender: &str, n: u32) -> String {
    let filler = "Grüße an alle ✓ wer hört mich? 0123456789 ";
    let bytes = if n % LONG_EVERY == LONG_EVERY / 2 { LONG_BYTES } else { (n as usize * 37) % 200 };
    let rest: String = filler.chars().cycle().take(bytes / filler.len() * filler.chars().count()).collect();
    format!("{sender} {n:05} {rest}.")
}

/// All senders of a plan, started but silent.
pub(crate) fn gather(ring: &Ring, plan: Plan) -> Outcome<Vec<Sender>> {
    let mut senders = Vec::new();
    for client in 1..=plan.clients {
        for room in ROOMS {
            senders.push(Sender::start(ring, client, &format!("c{client}"), room, "90s")?);
        }
    }
    Ok(senders)
}

/// Begins the whole plan: every message at its time, the first one at once.
pub(crate) fn begin(senders: &mut [Sender], plan: Plan, from: Instant, span: Duration) -> Outcome<()> {
    let rooms = ROOMS.len() as u32;
    for (i, sender) in senders.iter_mut().enumerate() {
        let extra = u32::from((i as u32 % rooms) < plan.messages % rooms);
        let texts = (0..plan.messages / rooms + extra).map(|n| text(&sender.title, n)).collect();
        sender.begin(from, span, texts)?;
    }
    Ok(())
}
