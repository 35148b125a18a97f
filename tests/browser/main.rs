//! The page in a real browser, at real servers, as people use it. Where no Chromium is on the PATH, each test says so and
//! is skipped; with `RINGTALK_BROWSER_REQUIRED=1` it fails, and with 0 it is skipped in any case.

mod browser;
mod chat;
mod hostile;
mod large;
mod lesson;
mod nick;
mod page;
#[path = "../cli/past.rs"]
#[expect(dead_code, reason = "the tests of the terminal need more of it")]
mod past;
mod picture;
#[path = "../cli/pty.rs"]
#[expect(dead_code, reason = "the tests of the terminal need more of it")]
mod pty;
mod replay;
#[path = "../cli/ring.rs"]
#[expect(dead_code, reason = "the tests of the commands need more of it")]
mod ring;
mod session;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "the tests of the commands need more of it")]
mod support;
