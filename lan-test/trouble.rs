//! Why a check failed, or could not be made.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What went wrong, with the evidence.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The operating system refused something that the harness itself needs.
    Io { op: &'static str, path: PathBuf, source: io::Error },
    /// `ip`, `nft` or `mount` said no: the LAN is not what the scenario asked for.
    Tool { command: String, said: String },
    /// A scenario file that cannot be read.
    Scenario { name: String, why: String },
    /// Something that had to happen did not, within its time.
    Late { what: String, after: Duration },
    /// A guarantee of ringtalk was broken: each line is one piece of evidence.
    Broken(Vec<String>),
}

/// The outcome of everything that can fail.
pub(crate) type Outcome<T> = Result<T, Trouble>;

impl Trouble {
    /// For `map_err`: an I/O error with what was tried, and on what.
    pub(crate) fn io(op: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { op, path, source }
    }

    /// One broken guarantee.
    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self::Broken(vec![what.into()])
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { op, path, source } => write!(f, "cannot {op} {}: {source}", path.display()),
            Self::Tool { command, said } => write!(f, "`{command}`: {}", said.trim()),
            Self::Scenario { name, why } => write!(f, "lan-test/scenarios/{name}: {why}"),
            Self::Late { what, after } => write!(f, "not within {:.1} s: {what}", after.as_secs_f64()),
            Self::Broken(evidence) => f.write_str(&evidence.join("\n")),
        }
    }
}

/// `Ok` when there is no evidence against it.
pub(crate) fn verdict(evidence: Vec<String>) -> Outcome<()> {
    if evidence.is_empty() { Ok(()) } else { Err(Trouble::Broken(evidence)) }
}
