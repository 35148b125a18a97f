//! `server`: a server in the foreground, until Ctrl-C.

mod alarm;
mod banner;
mod events;
mod pipe;

use crate::cli::Run;
use crate::cli::args;
use crate::cli::client::{net_failure, peers, template};
use crate::cli::config::{Setting, Settings};
use crate::cli::demo::Footing;
use crate::cli::failure::{Code, Failure};
use crate::cli::output::Output;
use crate::cli::signals::Interrupt;
use crate::cli::store::store_failure;
use crate::cli::times::now_ms;
use crate::cli::values::Durability;
use crate::cli::web;
use crate::ids::Pid;
use crate::net::FaultSwitch;
use crate::proto::event::Event;
use crate::server::{Server, ServerError};
use crate::time::Now;
use crate::web::{Door, Host, Mode, WebError};
use crate::wire::message::Page;
use alarm::Alarm;
pub(crate) use banner::ACKS_FROM_MEMORY;
use crossbeam_channel::{Receiver, never, select, tick};
use events::Teller;
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// How often it is looked at how far the index is, and how much a demo's faults have dropped.
const COUNT: Duration = Duration::from_secs(1);

/// Runs the command.
pub(super) fn run(args: &args::Server, run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    // First in, last out: what the server writes is removed only after its end.
    let _footing = args.ground.as_deref().map(Footing::take).transpose()?;
    let faults = FaultSwitch::default();
    let pipe = if args.faults { Some(Pipe { ended: pipe::obey(&faults)?, faults: faults.clone() }) } else { None };
    let door = open_door(run);
    let server = start(run, faults, door.as_ref())?;
    let page = door.and_then(|door| serve(door, &server, run));
    let mut watch =
        Watch { output: &run.output, teller: Teller::default(), alarm: Alarm::default(), is_indexing: false };
    let outcome =
        watch.begin(&server, page.as_ref().map(Host::url)).and_then(|()| watch.go(&server, &interrupt, pipe.as_ref()));
    if matches!(outcome, Ok(End::Asked)) {
        watch.stopping()?;
        // Browsers first: they go on at another server's page.
        drop(page);
        if !server.leave() {
            log::warn!("not everything could be ended in time");
        }
        return Ok(());
    }
    outcome.map(|_| ())
}

/// What a demo's server has of its demo.
struct Pipe {
    /// Disconnected when the demo has ended.
    ended: Receiver<Infallible>,
    /// What the demo has it lose.
    faults: FaultSwitch,
}

/// The page's door. A server without one goes on, and says so.
fn open_door(run: &Run) -> Option<Door> {
    web::door(&run.settings).unwrap_or_else(|error| {
        no_page(&error, run);
        None
    })
}

/// Serves the page, whose browsers come to this server first.
fn serve(door: Door, server: &Server, run: &Run) -> Option<Host> {
    let any = Setting { value: None, origin: run.settings.server.origin.clone() };
    let settings = Settings { server: any, ..run.settings.clone() };
    let clients = template(&settings).peer(server.addr()).prefer(server.pid().server);
    let host = Host::builder(door, clients, settings.net.value.as_str()).mode(Mode::Server);
    host.start().map_err(|error| no_page(&error, run)).ok()
}

fn no_page(error: &WebError, run: &Run) {
    run.output.note(&format!("No page: {error}.\nhint: {}", error.hint()));
}

/// The server has ended by itself, and has not told why.
fn stopped() -> Failure {
    Failure::new(Code::Failed, "The server has stopped.").hint("RINGTALK_LOG=info tells why")
}

/// Why a server ends.
enum End {
    /// Ctrl-C or SIGTERM.
    Asked,
    /// The demo that started it has ended.
    PipeClosed,
}

fn start(run: &Run, faults: FaultSwitch, door: Option<&Door>) -> Result<Server, Failure> {
    let settings = &run.settings;
    let mut builder = Server::builder(settings.name.value.as_str())
        .net(settings.net.value.as_str())
        .interfaces(settings.iface.value.clone())
        .local(settings.local.value)
        .peers(peers(&settings.peer.value))
        .port(settings.port.value)
        .memory_durability(settings.durability.value == Durability::Memory)
        .keep(settings.keep.value.0)
        .priority(settings.priority.value)
        .faults(faults);
    if let Some(group) = settings.group.value {
        builder = builder.group(group.0);
    }
    if let Some(door) = door {
        builder = builder.page(Page { addr: door.public_addr(), token: door.token() });
    }
    if !settings.ephemeral.value {
        builder = builder.data(&settings.data.value);
    }
    builder.start().map_err(server_failure)
}

fn server_failure(error: ServerError) -> Failure {
    match error {
        ServerError::Name { why, .. } => why.into(),
        ServerError::Net(error) => net_failure(&error),
        ServerError::Store(error) => store_failure(&error),
        ServerError::IdInUse { pid, addr } => id_in_use(pid, addr, "did not start"),
        ServerError::System(_) => Failure::new(Code::Failed, error.to_string()),
    }
}

/// One of two servers with one id gives way; what to do about it, for either.
fn id_in_use(pid: Pid, addr: SocketAddr, outcome: &str) -> Failure {
    let text = format!(
        "Server id {} is also at {} (a cloned machine?). This server {outcome}; that one goes on.",
        pid.server,
        addr.ip()
    );
    Failure::new(Code::IdInUse, text).hint(
        "Start this one as a new server: move its data directory away, or name another with --data DIR\n\
         To keep a history that only this machine has: ringtalk backup FILE, then ringtalk restore FILE --data DIR",
    )
}

/// Tells what happens to a server.
struct Watch<'a> {
    output: &'a Output,
    teller: Teller,
    alarm: Alarm,
    /// Whether it was told that the index is far behind.
    is_indexing: bool,
}

impl Watch<'_> {
    fn begin(&self, server: &Server, page: Option<&str>) -> Result<(), Failure> {
        if self.output.json {
            return self.output.document(&banner::document(server.about(), page));
        }
        banner::lines(server.about(), page).iter().try_for_each(|line| self.output.line(line))
    }

    fn go(&mut self, server: &Server, interrupt: &Interrupt, pipe: Option<&Pipe>) -> Result<End, Failure> {
        let no_pipe = never();
        let (count, mut dropped) = (tick(COUNT), 0);
        let mut replaced = None;
        loop {
            select! {
                recv(interrupt.channel()) -> _ => return Ok(End::Asked),
                recv(pipe.map_or(&no_pipe, |pipe| &pipe.ended)) -> _ => return Ok(End::PipeClosed),
                recv(count) -> _ => {
                    self.count(pipe, &mut dropped)?;
                    self.tell_indexing(server)?;
                }
                recv(server.events()) -> event => {
                    let Ok((at, event)) = event else { return Err(replaced.unwrap_or_else(stopped)) };
                    if let Event::ReadOnly { full } = event {
                        self.take_read_only(server, at, full)?;
                        continue;
                    }
                    if let Event::Replaced { pid, addr } = event {
                        replaced = Some(id_in_use(pid, addr, "has ended"));
                    }
                    let line = if self.output.json {
                        self.teller.json(&event, at.wall_ms)
                    } else {
                        self.teller.text(&event)
                    };
                    line.map_or(Ok(()), |line| self.output.line(&line))?;
                }
            }
        }
    }

    /// The disk takes nothing. Each attempt to work again may fail in the same way, and is no news then.
    fn take_read_only(&mut self, server: &Server, at: Now, full: bool) -> Result<(), Failure> {
        self.teller.begin_anew();
        if !self.alarm.is_news(at.mono, full) {
            return Ok(());
        }
        let about = server.about();
        let goes_on_at = self.teller.goes_on_at(about.pid.server);
        let failure = alarm::failure(about.data.as_deref().unwrap_or(Path::new("memory")), full, goes_on_at);
        alarm::sound(&failure, self.output.json);
        if !self.output.json {
            return Ok(());
        }
        let fields = json!({ "full": full, "goes_on_at": goes_on_at, "message": failure.message });
        self.output.line(&self.teller.document("read_only", fields, at.wall_ms))
    }

    /// Tells how many datagrams faults have dropped, when it is more than before.
    fn count(&self, pipe: Option<&Pipe>, dropped: &mut u64) -> Result<(), Failure> {
        let now = pipe.map_or(0, |pipe| pipe.faults.dropped());
        if now == *dropped || !self.output.json {
            return Ok(());
        }
        *dropped = now;
        self.output.line(&self.teller.document("faults", json!({ "dropped": now }), now_ms()))
    }

    /// Tells that the index falls far behind, and that it has come to the end again.
    fn tell_indexing(&mut self, server: &Server) -> Result<(), Failure> {
        let indexed = server.indexed();
        if indexed.is_some() == self.is_indexing {
            return Ok(());
        }
        self.is_indexing = indexed.is_some();
        if !self.output.json {
            return self.output.line(&events::indexing(indexed));
        }
        let (word, fields) = indexed.map_or(("indexed", json!({})), |count| ("indexing", json!({ "messages": count })));
        self.output.line(&self.teller.document(word, fields, now_ms()))
    }

    fn stopping(&self) -> Result<(), Failure> {
        if self.output.json {
            return self.output.line(&self.teller.document("stopping", json!({}), now_ms()));
        }
        self.output.line("stop   says goodbye")
    }
}
