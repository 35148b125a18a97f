//! The web host: a page for browsers, and what the page talks to.

pub mod control;
pub mod document;
mod outlet;
