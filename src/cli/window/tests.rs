//! What the window looks like, on a terminal that is only a buffer.

use super::draw;
use super::model::tests::{Bench, view};
use crate::client::{Event, Notice};
use crate::ids::ClientId;
use crate::record::Kind;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, CellWidth};
use ratatui::style::Color;

const SIZES: [(u16, u16); 3] = [(60, 15), (80, 24), (160, 50)];

const HOSTILE: &[&str] = &[
    "\u{1b}[2J\u{1b}[31mred",
    "\u{1b}]52;c;ZXZpbA==\u{7}",
    "\u{9b}31m\u{90}q",
    "\u{202e}txt.exe\u{2066}",
    "nul\0inside",
    "two\nlines\r\nthree\rfour",
    "שלום עולם",
    "日本語のテキスト日本語のテキスト日本語のテキスト",
    "👩\u{200d}👩\u{200d}👧\u{200d}👦👍🏽🇩🇪❤\u{fe0f}",
    "Z\u{336}\u{336}\u{336}\u{336}a\u{301}\u{301}\u{301}l",
    "\u{301}\u{200d}\u{fe0f}",
    "ｶﾞｷﾞｸﾞ",
    "<script>alert(1)</script>",
];

fn drawn(bench: &Bench, size: (u16, u16), color: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal
        .draw(|frame| {
            let at = draw::window(&bench.model, color, frame.buffer_mut());
            frame.set_cursor_position(at);
        })
        .unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    buffer.content.chunks(width).map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
}

fn talk(size: (u16, u16)) -> Bench {
    let mut bench = Bench::new(size);
    for n in 10..13 {
        bench.message(ClientId(n), n, "lobby", ["bob", "eva", "tom"][n as usize - 10], Kind::Join, "", false);
    }
    bench.message(ClientId(10), 20, "lobby", "bob", Kind::Topic, "the ring is closed", false);
    bench.said(21, Kind::Text, "can everyone see this, Ana?");
    bench.said(22, Kind::Action, "waves");
    bench.say("/join kitchen");
    bench.said(23, Kind::Text, "ana?");
    bench.press("ctrl-p");
    bench.say("yes");
    bench.press("ctrl-n");
    bench.said(24, Kind::Text, "ana!");
    bench.press("ctrl-p");
    bench
}

#[test]
fn window_has_its_parts_at_every_usual_size() {
    for size in SIZES {
        let bench = talk(size);
        let lines = lines(&drawn(&bench, size, true));
        let all = lines.join("\n");
        assert!(lines[usize::from(size.1) - 1].starts_with("> "), "{all}");
        let status = &lines[usize::from(size.1) - 2];
        assert!(status.contains("at oak · epoch 12 · oak leads · 2 servers"), "{all}");
        for text in ["bob  can everyone see this, Ana?", "* bob waves", "ana  yes", "bob, eva and tom came"] {
            assert!(all.contains(text), "{text} at {size:?}:\n{all}");
        }
        assert!(lines[0].contains("#lobby  the ring is closed"), "{all}");
        assert_eq!(all.contains("│"), size.0 >= 76, "rooms at the left where there is room");
        assert!(lines[0].contains("3 here"), "{all}");
        let mark = lines.iter().find(|line| line.contains("ana  yes")).unwrap();
        assert!(mark.contains('·'), "{mark}");
    }
}

#[test]
fn other_rooms_with_unread_messages_are_told_where_there_is_no_list_of_rooms() {
    let mut bench = talk((60, 15));
    bench.press("ctrl-n");
    bench.said(30, Kind::Text, "ana, where are you?");
    let lines = lines(&drawn(&bench, (60, 15), true));
    assert!(lines[0].starts_with("#kitchen") && lines[0].contains("#lobby 1"), "{lines:?}");
}

#[test]
fn hostile_names_and_texts_are_harmless_on_the_screen() {
    for size in SIZES {
        let mut bench = Bench::new(size);
        let mut n = 10;
        for hostile in HOSTILE {
            n += 1;
            bench.message(ClientId(n), n, "lobby", hostile, Kind::Join, "", false);
            bench.message(ClientId(n), n + 100, "lobby", hostile, Kind::Text, hostile, false);
            bench.message(ClientId(n), n + 200, "lobby", hostile, Kind::Topic, hostile, false);
            bench.message(ClientId(n), n + 300, "", hostile, Kind::Direct { to: ClientId(1) }, hostile, false);
            bench.hear(Event::Notice(Notice::Gone { server: (*hostile).into(), left: false }));
            bench.hear(view(20 + n, &[hostile, "elm"]));
            is_harmless(&drawn(&bench, size, true));
            bench.press("home end pageup");
            is_harmless(&drawn(&bench, size, true));
            bench.press("ctrl-n");
        }
    }
}

fn is_harmless(buffer: &Buffer) {
    let hidden = ['\u{202e}', '\u{2066}', '\u{2069}', '\u{200b}'];
    for (y, row) in buffer.content.chunks(usize::from(buffer.area.width)).enumerate() {
        let mut columns = 0;
        let mut skip = 0_u16;
        for cell in row {
            let symbol = cell.symbol();
            assert!(symbol.chars().all(|c| !c.is_control() && !hidden.contains(&c)), "{symbol:?} in line {y}");
            assert!(symbol.chars().count() <= 16, "{symbol:?}");
            if skip > 0 {
                skip -= 1;
                continue;
            }
            columns += usize::from(cell.cell_width());
            skip = cell.cell_width().saturating_sub(1);
        }
        assert_eq!(columns, row.len(), "line {y} is as wide as the screen");
    }
}

#[test]
fn message_of_64_kib_can_be_seen_from_its_begin_to_its_end() {
    let mut bench = Bench::new((60, 15));
    bench.serve_history(0);
    bench.said(1, Kind::Text, &format!("BEGIN {} END", "y".repeat(64 * 1024 - 10)));
    assert!(lines(&drawn(&bench, (60, 15), false)).concat().contains("END"));
    bench.press("home");
    assert!(lines(&drawn(&bench, (60, 15), false)).concat().contains("bob  BEGIN"));
    bench.press("pagedown pageup pagedown end");
    assert!(lines(&drawn(&bench, (60, 15), false)).concat().contains("END"));
}

#[test]
fn without_colours_no_cell_has_one_and_never_a_background() {
    let bench = talk((160, 50));
    for (color, is_painted) in [(false, false), (true, true)] {
        let buffer = drawn(&bench, (160, 50), color);
        assert_eq!(buffer.content.iter().any(|cell| cell.fg != Color::Reset), is_painted);
        assert!(buffer.content.iter().all(|cell| cell.bg == Color::Reset));
        let sixteen = |color: Color| !matches!(color, Color::Rgb(..) | Color::Indexed(_));
        assert!(buffer.content.iter().all(|cell| sixteen(cell.fg)));
    }
}

#[test]
fn no_size_is_too_small_to_be_drawn() {
    for width in 1..30 {
        for height in 1..10 {
            let mut bench = talk((width, height));
            bench.said(40, Kind::Text, "日本語 and a long line that has to be broken somewhere");
            drawn(&bench, (width, height), true);
            bench.press("f1 pagedown");
            drawn(&bench, (width, height), true);
        }
    }
}

#[test]
fn what_nobody_typed_is_not_under_way() {
    let mut bench = Bench::new((160, 50));
    let all = lines(&drawn(&bench, (160, 50), true)).join("\n");
    assert!(!all.contains("under way"), "a claim and a join are not settled, but nobody's words:\n{all}");
    bench.say("yes");
    assert!(lines(&drawn(&bench, (160, 50), true)).join("\n").contains("1 under way"));
}

#[test]
fn nobody_is_counted_where_one_talks_to_one_person() {
    let mut bench = talk((160, 50));
    bench.message(ClientId(2), 40, "", "bob", Kind::Direct { to: ClientId(1) }, "psst", false);
    bench.press("ctrl-n ctrl-n");
    let all = lines(&drawn(&bench, (160, 50), true)).join("\n");
    assert!(all.contains("psst") && !all.contains(" here"), "{all}");
}
