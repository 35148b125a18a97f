//! The page's door as settings have it, and what keeps it shut in words.

use super::config::Settings;
use super::failure::{Code, Failure};
use super::values::Web;
use crate::web::{Door, WebError};

/// The door, or `None` where no page is wanted.
///
/// # Errors
/// The address is taken, or cannot be listened to.
pub(crate) fn door(settings: &Settings) -> Result<Option<Door>, WebError> {
    match settings.web.value {
        Web::Off => Ok(None),
        Web::At(addr) => Door::open(addr).map(Some),
    }
}

/// What keeps the door shut.
pub(crate) fn failure(error: &WebError) -> Failure {
    let code = match error {
        WebError::Taken { .. } => Code::PortHeld,
        WebError::Bind { .. } => Code::Network,
        WebError::System(_) => Code::Failed,
    };
    Failure::new(code, format!("No page: {error}.")).hint(error.hint())
}
