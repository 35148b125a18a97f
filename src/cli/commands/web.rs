//! `web`: the page, served from a client, until Ctrl-C.

use crate::cli::Run;
use crate::cli::client::template;
use crate::cli::failure::{Code, Failure};
use crate::cli::signals::Interrupt;
use crate::cli::times::{now_ms, rfc3339};
use crate::cli::web::{door, failure};
use crate::web::{Door, Host, Mode};
use serde_json::json;

/// Runs the command.
pub(super) fn run(run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let door = open(run)?;
    let clients = template(&run.settings);
    let host = Host::builder(door, clients, run.settings.net.value.as_str()).mode(Mode::Client);
    let host = host.start().map_err(|error| failure(&error))?;
    serve(&host, &interrupt, run)
}

/// The door, for a command that is nothing without it.
pub(super) fn open(run: &Run) -> Result<Door, Failure> {
    let off = Failure::new(Code::Usage, "the page is off: --web or RINGTALK_WEB says so").hint("--web 127.0.0.1:8284");
    door(&run.settings).map_err(|error| failure(&error))?.ok_or(off)
}

/// Tells where the page is, and waits for the end.
pub(super) fn serve(host: &Host, interrupt: &Interrupt, run: &Run) -> Result<(), Failure> {
    if run.output.json {
        run.output.document(&json!({ "event": "started", "at": rfc3339(now_ms()), "page": host.url() }))?;
    } else {
        run.output.line(&format!("page   {}", host.url()))?;
    }
    // Nothing ever comes but the end.
    _ = interrupt.channel().recv();
    Err(Failure::interrupted())
}
