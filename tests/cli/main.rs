//! The real program, from the outside: its arguments, streams and exit statuses.

mod demo;
mod records;
mod ring;
mod settings;
mod support;
mod usage;
