//! How others join a demo: what students type, and the page's address as a picture.

use super::ground::Ground;
use crate::cli::output::Output;
use crate::net::PORT;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use std::fmt::Write;

/// Black on white whatever the terminal's colours: a camera wants it so.
const BLACK_ON_WHITE: &str = "\u{1b}[30;107m";
const PLAIN: &str = "\u{1b}[0m";

/// The invitation.
pub(super) fn invitation(ground: &Ground, page: Option<&str>, output: &Output) -> String {
    let net = match ground.port {
        PORT => format!("ringtalk -n {}", ground.net),
        port => format!("ringtalk -n {} --port {port}", ground.net),
    };
    let mut text = format!(
        "Everyone on this network can join. On another machine, type\n\n    {net} chat\n    {net} server\n\n\
         The first talks, the second adds a server to the ring. Faults reach the demo's own servers only."
    );
    if let Some(page) = page {
        let _ = write!(
            text,
            "\n\nThe page, for who may see it (whoever has this address can break things):\n\n    {page}\n"
        );
        if let Some(picture) = picture(page, output.color) {
            text += "\n";
            text += &picture;
        }
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
        let ground = Ground::new(None).unwrap();
        let text = invitation(&ground, None, &Output::default());
        assert!(text.contains(&format!("ringtalk -n {} --port {} chat\n", ground.net, ground.port)), "{text}");
        assert!(!text.contains("page"));
    }
}
