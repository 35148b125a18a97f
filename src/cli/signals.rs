//! Ctrl-C and SIGTERM: the first asks to end in good order, the second ends at once.

use super::failure::{Code, Exit, Failure, plain};
#[cfg(test)]
use crossbeam_channel::Sender;
use crossbeam_channel::{Receiver, TryRecvError, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::convert::Infallible;

/// Becomes set, for ever and for all clones, at the first signal.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    asked: Receiver<Infallible>,
}

impl Interrupt {
    /// Takes over both signals. Once in a process.
    ///
    /// # Errors
    /// [`Code::Failed`] when the system refuses.
    pub(crate) fn install() -> Result<Self, Failure> {
        let refused =
            |error: &std::io::Error| Failure::new(Code::Failed, format!("cannot catch signals: {}", plain(error)));
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(|error| refused(&error))?;
        let (ask, asked) = bounded::<Infallible>(0);
        let mut ask = Some(ask);
        let wait = move || {
            for _ in signals.forever() {
                if ask.take().is_none() {
                    super::window::give_back();
                    std::process::exit(Exit::Interrupted as i32);
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(|error| refused(&error))?;
        Ok(Self { asked })
    }

    /// One that a test sets, by dropping the sender.
    #[cfg(test)]
    pub(crate) fn by_hand() -> (Sender<Infallible>, Self) {
        let (ask, asked) = bounded(0);
        (ask, Self { asked })
    }

    /// A channel that is disconnected at the signal: for `select!`.
    pub(crate) fn channel(&self) -> &Receiver<Infallible> {
        &self.asked
    }

    /// Whether the signal has come.
    pub(crate) fn is_set(&self) -> bool {
        matches!(self.asked.try_recv(), Err(TryRecvError::Disconnected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupt_reaches_every_clone_for_ever() {
        let (ask, interrupt) = Interrupt::by_hand();
        let other = interrupt.clone();
        assert!(!interrupt.is_set());
        drop(ask);
        assert!(interrupt.is_set() && interrupt.is_set() && other.is_set());
        assert!(other.channel().recv().is_err());
    }
}
