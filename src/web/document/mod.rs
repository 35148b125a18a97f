//! The documents that scripts, the page and files are promised, as JSON.

pub mod escape;

pub use escape::to_json;
