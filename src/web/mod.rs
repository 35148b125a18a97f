//! What pages and files of a ring are made of.

pub mod event;
pub mod record_file;
pub mod trace;
