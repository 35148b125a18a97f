//! The demo's page: a web host that is a client of the demo's net, and through which pages control the demo.

use super::ground::Ground;
use crate::cli::Run;
use crate::cli::client::template;
use crate::cli::config::{Origin, Settings};
use crate::cli::failure::Failure;
use crate::cli::values::Web;
use crate::cli::web::door;
use crate::web::control::{self, Controls};
use crate::web::{Host, Mode, PORT, WebError};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

/// Whether the user said where the page is to be, on this very command line.
pub(super) fn is_asked_for(settings: &Settings) -> bool {
    settings.web.origin == Origin::Flag && settings.web.value != Web::Off
}

/// Opens the page: its host, and the demo's end of it. Without one the demo goes on, and says so.
pub(super) fn open(run: &Run, ground: &Ground, for_all: bool) -> Result<Option<(Host, Controls)>, Failure> {
    let mut settings = ground.settings(&run.settings)?;
    if for_all && settings.web.origin == Origin::BuiltIn {
        settings.web.value = Web::At(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT));
    }
    Ok(serve(&settings).unwrap_or_else(|error| {
        run.output.note(&format!("No page: {error}.\nhint: {}", error.hint()));
        None
    }))
}

fn serve(settings: &Settings) -> Result<Option<(Host, Controls)>, WebError> {
    let Some(door) = door(settings)? else { return Ok(None) };
    let (controls, controller) = control::channel();
    let host = Host::builder(door, template(settings), settings.net.value.as_str());
    let host = host.mode(Mode::Demo).controller(controller).start()?;
    Ok(Some((host, controls)))
}

/// Shows the page in the user's browser. That there is none is told, and no failure.
pub(super) fn show(run: &Run, url: &str) {
    let begun =
        Command::new("xdg-open").arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match begun {
        // It ends when it has handed the address on; nobody needs to wait for it but the system.
        Ok(mut opener) => {
            let _ = std::thread::Builder::new().name("opener".to_owned()).spawn(move || opener.wait());
        }
        Err(_) => run.output.note("xdg-open is not there: open the page by hand."),
    }
}
