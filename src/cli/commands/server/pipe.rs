//! The pipe between a demo and its servers: faults come through it, and its end is the server's.

use crate::cli::failure::{Code, Failure, plain};
use crate::net::FaultSwitch;
use crossbeam_channel::{Receiver, bounded};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::convert::Infallible;
use std::io::{self, BufRead, Read};

/// Longest command.
const MAX_LINE_BYTES: u64 = 256;

/// Does what lines of stdin say, until they end; the channel is disconnected then.
///
/// # Errors
/// The system gives no thread.
pub(super) fn obey(faults: &FaultSwitch) -> Result<Receiver<Infallible>, Failure> {
    // A server that the demo has stopped would never see that the pipe has ended: the demo's death lets it go on.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::CONT)) {
        log::warn!("a stopped server will outlive its demo: {error}");
    }
    let (held, ended) = bounded(0);
    let faults = faults.clone();
    let run = move || {
        let _held = held;
        let mut stdin = io::stdin().lock();
        let mut line = String::new();
        while matches!(stdin.by_ref().take(MAX_LINE_BYTES).read_line(&mut line), Ok(1..)) {
            if let Err(error) = faults.obey(line.trim()) {
                log::warn!("{error}");
            }
            line.clear();
        }
    };
    std::thread::Builder::new()
        .name("faults".to_owned())
        .spawn(run)
        .map_err(|error| Failure::new(Code::Failed, format!("cannot start a thread: {}", plain(&error))))?;
    Ok(ended)
}
