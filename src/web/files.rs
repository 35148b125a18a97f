//! The page's files, inside the program.

use super::door::hex;

/// The page; [`page`] fills in its blanks.
const INDEX: &str = include_str!("page/index.html");

/// Everything else: name, content type, text.
const FILES: &[(&str, &str, &str)] = &[
    ("app.css", CSS, include_str!("page/app.css")),
    ("app.js", JS, include_str!("page/app.js")),
    ("census.js", JS, include_str!("page/census.js")),
    ("chat.js", JS, include_str!("page/chat.js")),
    ("composer.js", JS, include_str!("page/composer.js")),
    ("connection.js", JS, include_str!("page/connection.js")),
    ("detail.js", JS, include_str!("page/detail.js")),
    ("diagram.js", JS, include_str!("page/diagram.js")),
    ("faults.js", JS, include_str!("page/faults.js")),
    ("finder.js", JS, include_str!("page/finder.js")),
    ("identity.js", JS, include_str!("page/identity.js")),
    ("kinds.js", JS, include_str!("page/kinds.js")),
    ("lanes.js", JS, include_str!("page/lanes.js")),
    ("lesson.js", JS, include_str!("page/lesson.js")),
    ("line.js", JS, include_str!("page/line.js")),
    ("moves.js", JS, include_str!("page/moves.js")),
    ("outbox.js", JS, include_str!("page/outbox.js")),
    ("paint.js", JS, include_str!("page/paint.js")),
    ("people.js", JS, include_str!("page/people.js")),
    ("picture.js", JS, include_str!("page/picture.js")),
    ("plots.js", JS, include_str!("page/plots.js")),
    ("questions.js", JS, include_str!("page/questions.js")),
    ("record.js", JS, include_str!("page/record.js")),
    ("ring.js", JS, include_str!("page/ring.js")),
    ("room.js", JS, include_str!("page/room.js")),
    ("rooms.js", JS, include_str!("page/rooms.js")),
    ("scrollback.js", JS, include_str!("page/scrollback.js")),
    ("servers.js", JS, include_str!("page/servers.js")),
    ("shown.js", JS, include_str!("page/shown.js")),
    ("stats.js", JS, include_str!("page/stats.js")),
    ("tabs.js", JS, include_str!("page/tabs.js")),
    ("tale.js", JS, include_str!("page/tale.js")),
    ("watch.js", JS, include_str!("page/watch.js")),
];

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// The page with this token, for this net.
pub(super) fn page(token: u64, net: &str) -> String {
    INDEX
        .replace("<meta name=\"token\" content=\"\">", &format!("<meta name=\"token\" content=\"{}\">", hex(token)))
        .replace("<meta name=\"net\" content=\"\">", &format!("<meta name=\"net\" content=\"{}\">", attribute(net)))
}

/// A file's content type and text.
pub(super) fn file(name: &str) -> Option<(&'static str, &'static str)> {
    FILES.iter().find(|(known, ..)| *known == name).map(|(_, kind, text)| (*kind, *text))
}

/// Text as an attribute's value.
fn attribute(text: &str) -> String {
    let escape = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tells_its_script_the_token_and_the_net() {
        let page = page(7, "\"><script>");
        assert!(page.contains("content=\"0000000000000007\""));
        assert!(page.contains("content=\"&quot;&gt;&lt;script&gt;\""));
    }

    #[test]
    fn every_file_of_the_page_is_inside_and_nothing_runs_inline() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/page");
        for entry in std::fs::read_dir(dir).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let served = name == "index.html" || file(&name).is_some();
            assert!(served || !name.ends_with("js") && !name.ends_with("css"), "{name} is not in the program");
        }
        assert!(!INDEX.contains("<style") && !INDEX.contains(" style=") && !INDEX.contains("javascript:"));
        assert!(INDEX.matches("<script").count() == INDEX.matches("<script type=\"module\" src=\"/app/").count());
    }
}
