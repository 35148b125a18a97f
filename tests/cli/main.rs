//! The real program, from the outside: its arguments, streams and exit statuses.

mod clones;
mod commands;
mod damage;
mod demo;
mod full;
mod hostile;
mod indexing;
mod page;
mod past;
mod people;
mod pty;
mod records;
mod ring;
mod settings;
mod support;
mod usage;
mod web;
mod window;
