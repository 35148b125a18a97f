//! Refusals as documents: a stable word, a sentence, and what can be done.

use crate::client::{SubmitError, words};
use crate::wire::session::Refusal;

/// A refusal's code, message and hint; the codes are those of the command line.
pub type Words = (&'static str, String, String);

/// A server refuses.
pub fn refusal(why: &Refusal) -> Words {
    let told = |code, message: &str, hint: &str| (code, message.to_owned(), hint.to_owned());
    match why {
        Refusal::NickTaken(free) => {
            ("nick_taken", "That nick belongs to someone else.".to_owned(), format!("{free} is free"))
        }
        Refusal::NoSuchNick => told("no_such_nick", "Nobody goes by that nick.", ""),
        Refusal::TooLong => told("too_long", "That is over the limit of 64 KiB.", ""),
        Refusal::BadName => told("bad_name", "That is no name.", "1 to 32 characters, without spaces, # or @"),
        Refusal::ReadOnly => told("no_space", "The server has no space: it is read-only.", ""),
        Refusal::NotReady | Refusal::Full => {
            ("no_server", format!("The server refuses: {}.", words(why)), String::new())
        }
        Refusal::Net => told("other_net", "The server is not on this net.", ""),
        Refusal::Version(_) => ("other_version", format!("The server refuses: {}.", words(why)), String::new()),
        Refusal::Malformed => ("refused", format!("The server refuses: {}.", words(why)), String::new()),
    }
}

/// A message was not even taken.
pub fn submit_error(error: SubmitError) -> Words {
    match error {
        SubmitError::TooLong(_) => ("too_long", error.to_string(), String::new()),
        SubmitError::Full => {
            ("busy", "Too many messages wait to be acknowledged.".to_owned(), "wait a moment".to_owned())
        }
        SubmitError::Closed => ("ended", error.to_string(), String::new()),
    }
}
