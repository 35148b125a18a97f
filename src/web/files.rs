//! The page's files, inside the program.

use super::door::hex;

/// The page; [`page`] fills in its blanks.
const INDEX: &str = include_str!("page/index.html");

/// Everything else: name, content type, text.
const FILES: &[(&str, &str, &str)] =
    &[("app.css", CSS, include_str!("page/app.css")), ("app.js", JS, include_str!("page/app.js"))];

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
