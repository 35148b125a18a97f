//! How others join a demo: what students type, and the page's address as a picture.

use super::ground::Ground;
use super::tale::Tale;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::net::PORT;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use std::fmt::Write;

/// Black on white whatever the terminal's colours: a camera wants it so.
const BLACK_ON_WHITE: &str = "\u{1b}[30;107m";
const PLAIN: &str = "\u{1b}[0m";

/// How others come to a demo.
#[derive(Debug, Default)]
pub(super) struct Invitation {
    /// Whether other machines may.
    pub(super) is_for_all: bool,
    words: String,
    picture: Option<String>,
}

impl Invitation {
    /// To look at the page, and with `is_for_all` to take part.
    pub(super) fn new(ground: &Ground, is_for_all: bool, page: Option<&str>, output: &Output) -> Self {
        let (words, picture) = match (is_for_all, page) {
            (true, _) => (words(ground, page), page.and_then(|page| picture(page, output.color))),
            (false, Some(page)) => (format!("page   {page}"), None),
            (false, None) => ("No page, and nobody else can join: --web and --classroom change that.".to_owned(), None),
        };
        Self { is_for_all, words, picture }
    }

    /// Tells all of it: the words last, so that they stay in sight.
    pub(super) fn tell(&self, tale: &Tale) -> Result<(), Failure> {
        self.picture.iter().try_for_each(|picture| tale.draw(picture))?;
        self.tell_words(tale)
    }

    /// Tells what is to be typed.
    pub(super) fn tell_words(&self, tale: &Tale) -> Result<(), Failure> {
        tale.say(&self.words)
    }
}

fn words(ground: &Ground, page: Option<&str>) -> String {
    let net = match ground.port {
        PORT => format!("ringtalk -n {}", ground.net),
        port => format!("ringtalk -n {} --port {port}", ground.net),
    };
    let mut text = format!(
        "Anyone on this network can join; faults reach the demo's own servers only:\n\
         \u{20}   talk          {net} chat\n\
         \u{20}   add a server  {net} server\n"
    );
    if let Some(page) = page {
        let _ = write!(text, "    the page      {page}\nWhoever has the page's address can break things.");
    }
    text
}

/// A QR code, four characters of margin around it.
fn picture(url: &str, color: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(url, EcLevel::L).ok()?;
    // Without colours the terminal is taken for a dark one, on which only what is light can be drawn.
    let (dark, light) = if color { (Dense1x2::Dark, Dense1x2::Light) } else { (Dense1x2::Light, Dense1x2::Dark) };
    let picture = code.render::<Dense1x2>().dark_color(dark).light_color(light).quiet_zone(true).build();
    if !color {
        return Some(picture);
    }
    let lines: Vec<String> = picture.lines().map(|line| format!("{BLACK_ON_WHITE}{line}{PLAIN}")).collect();
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::super::ground::Place;
    use super::*;

    #[test]
    fn picture_fits_a_terminal_and_is_whole() {
        let url = "http://192.168.178.120:8284/?token=0123456789abcdef";
        let plain = picture(url, false).unwrap();
        let widths: Vec<usize> = plain.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0] && *width <= 45), "{widths:?}");
        assert!(widths.len() <= 23);
        let colored = picture(url, true).unwrap();
        assert!(colored.lines().all(|line| line.starts_with(BLACK_ON_WHITE) && line.ends_with(PLAIN)));
    }

    #[test]
    fn invitation_has_the_commands_to_type() {
        let ground = Ground::new(Place::default()).unwrap();
        let text = words(&ground, None);
        assert!(text.contains(&format!("ringtalk -n {} --port {} chat\n", ground.net, ground.port)), "{text}");
        assert!(!text.contains("page"));
    }
}
