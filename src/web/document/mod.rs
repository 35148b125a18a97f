//! The documents that scripts, the page and files are promised, as JSON.

pub mod escape;
pub mod message;
pub mod refusal;
pub mod status;
pub mod time;
mod view;

pub use escape::to_json;
pub use message::{Live, Message};
pub use view::view;

pub use crate::web::event::id as server_id;
