//! The pictures of the README, made from the real program: `docs/pictures.sh`.

use crate::browser::Browser;
use crate::chat::window;
use crate::lesson::Demo;
use crate::ring::Ring;
use std::fmt::Write;

/// Size of a character in the drawn terminal.
const WIDE: u16 = 9;
const HIGH: u16 = 19;
/// Colours of a terminal, the first sixteen.
const COLOURS: [&str; 16] = [
    "#1e2127", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf", "#5c6370", "#ff7a85",
    "#b5e890", "#ffd68a", "#7cc3ff", "#de95f5", "#6fd3e0", "#ffffff",
];
const PAPER: &str = "#1e2127";
const INK: &str = "#d7dae0";

fn path(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

fn colour(colour: vt100::Color, default: &str) -> String {
    match colour {
        vt100::Color::Default => default.to_owned(),
        vt100::Color::Idx(index) => COLOURS.get(usize::from(index)).map_or("#888888", |name| name).to_owned(),
        vt100::Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The colours of a letter and of what is behind it.
fn colours(cell: &vt100::Cell) -> (String, String) {
    let (ink, paper) = (colour(cell.fgcolor(), INK), colour(cell.bgcolor(), PAPER));
    if cell.inverse() { (paper, ink) } else { (ink, paper) }
}

/// A terminal's screen as SVG: a box behind each run of cells that have a colour, and each letter at its place.
fn svg(screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let (width, height) = (columns * WIDE + 20, rows * HIGH + 20);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"'DejaVu Sans Mono', \
         monospace\" font-size=\"15\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n"
    );
    for row in 0..rows {
        let cells: Vec<_> = (0..columns).filter_map(|column| Some((column, screen.cell(row, column)?))).collect();
        for run in cells.chunk_by(|(_, one), (_, other)| colours(one).1 == colours(other).1) {
            let (x, y, paper) = (10 + run[0].0 * WIDE, 10 + row * HIGH, colours(run[0].1).1);
            let width = run.len() * usize::from(WIDE);
            if paper != PAPER {
                let made =
                    writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HIGH}\" fill=\"{paper}\"/>");
                made.expect("text");
            }
        }
        for (column, cell) in cells.into_iter().filter(|(_, cell)| !cell.contents().trim().is_empty()) {
            let (x, y, ink) = (10 + column * WIDE, 25 + row * HIGH, colours(cell).0);
            let weight = if cell.bold() { " font-weight=\"bold\"" } else { "" };
            let faint = if cell.dim() { " opacity=\"0.65\"" } else { "" };
            let text = escaped(cell.contents());
            writeln!(out, "<text x=\"{x}\" y=\"{y}\" fill=\"{ink}\"{weight}{faint}>{text}</text>").expect("text");
        }
    }
    out + "</svg>\n"
}

#[test]
#[ignore = "makes docs/chat.svg"]
fn chat() {
    let mut ring = Ring::start(&[]);
    ring.add("oak");
    let mut ana = window(&ring, "ana", "oak");
    let mut bob = window(&ring, "bob", "oak");
    ring.add("elm");
    ring.add("ash");
    for window in [&mut ana, &mut bob] {
        window.until_shown("3 servers");
    }
    ana.say("Is the build green again?");
    bob.until_shown("green again?");
    bob.say("Since ten minutes. Somebody pulled the plug on fir.");
    ana.until_shown("Since ten minutes.");
    ana.say("And nobody noticed?");
    bob.until_shown("nobody noticed?");
    bob.say("That was the idea. Watch, I kill oak now …");
    ana.until_shown("That was the idea.");
    ana.until("it is stable", |screen| screen.matches("✓✓").count() == 2);
    ring.kill("oak");
    ana.until_shown("done (");
    ana.say("Still here.");
    bob.until_shown("Still here.");
    bob.say("ana: told you");
    ana.until_shown("told you");
    ana.until("it is stable", |screen| screen.matches("✓✓").count() == 3);
    std::fs::write(path("chat.svg"), svg(ana.screen())).expect("written");
}

#[test]
#[ignore = "makes docs/page.png"]
fn page() {
    let mut browser = Browser::start().expect("a browser");
    let demo = Demo::start();
    let mut page = browser.open(&demo.url);
    page.wait_until("document.querySelectorAll('#ring [data-server]').length === 5");
    page.click("#tab-faults");
    page.click("[data-do=crash][data-server=leader]");
    page.click("#tab-servers");
    page.wait_for("#ring [data-server][data-state=failed]");
    page.wait_for("#ring [data-server][data-leader=true]");
    page.wait_until("window.ringtalkStats().frames > 60 && document.querySelectorAll('#tale li').length >= 8");
    std::fs::write(path("page.png"), page.screenshot()).expect("written");
}
