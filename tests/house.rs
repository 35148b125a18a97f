//! The rules of the house that the compiler does not guard: layers, the wall around the pure core, and lengths.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the top. A module names its own layer's modules only where [`MAY_NAME_EACH_OTHER`] says so, and
/// otherwise those above.
const LAYERS: [&[&str]; 9] = [
    &["ids", "time", "seq", "name", "record", "config"],
    &["wire"],
    &["proto"],
    &["store"],
    &["net", "sim"],
    &["runtime"],
    &["server", "client"],
    &["web"],
    &["cli"],
];
/// Layers of one vocabulary or one surface; `net` and `sim` must not know each other.
const MAY_NAME_EACH_OTHER: [usize; 2] = [0, 6];
/// Parts of the library that read no clock, own no thread and open no socket or file.
const PURE: [&str; 9] = ["ids", "time", "seq", "name", "record", "config", "wire", "proto", "sim"];
/// What would break that.
const IMPURE: [&str; 14] = [
    "std::thread",
    "Instant",
    "SystemTime",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "std::fs",
    "std::process",
    "tokio::",
    "crossbeam_channel",
    "socket2",
    "rustix",
    "getrandom",
    "rusqlite",
];
/// Lines that a file may have without its tests.
const LONGEST: usize = 500;
/// Files that are longer, and why that is better than two files.
const LONGER: &[(&str, &str)] = &[
    ("src/store/conformance.rs", "a test: what every engine must do, as one list"),
    ("src/wire/message.rs", "every message of the wire on one page, as docs/PROTOCOL.md lists them"),
];

/// A source file of the library: its module path's first name, its path, its lines without comments and tests.
struct Source {
    module: String,
    path: String,
    lines: Vec<(usize, String)>,
    length: usize,
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort_unstable();
}

fn read(below: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    rust_files(&root.join(below), &mut paths);
    paths.iter().map(|path| source(root, path)).collect()
}

fn source(root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a source file is readable");
    let inside = path.strip_prefix(root).expect("it is below the root");
    let module = inside.components().nth(1).expect("it is below a directory").as_os_str().to_string_lossy();
    let without_tests = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    let lines: Vec<(usize, String)> =
        without_tests.enumerate().map(|(number, line)| (number + 1, line.to_owned())).collect();
    let length = if path.ends_with("tests.rs") { 0 } else { lines.len() };
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    Source {
        module: module.trim_end_matches(".rs").to_owned(),
        path: inside.display().to_string(),
        lines: lines.into_iter().map(|(number, line)| (number, code(&line))).collect(),
        length,
    }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The modules that a line names: `x` of each `crate::x`, and of each name in `crate::{x, y}`.
fn named(line: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for rest in line.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => names.extend(list.split(',').map(|name| word(name.trim()))),
            None => names.push(word(rest)),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn each_layer_names_only_those_above_it() {
    let mut wrong = Vec::new();
    for source in read("src") {
        let Some(own) = layer(&source.module) else { continue };
        for (number, line) in &source.lines {
            for name in named(line) {
                let Some(other) = layer(&name) else { continue };
                let same = name == source.module || (other == own && MAY_NAME_EACH_OTHER.contains(&own));
                if other >= own && !same {
                    wrong.push(format!("{}:{number}: {} names {name}", source.path, source.module));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    let free = ["lib", "main"];
    let unknown: Vec<String> = read("src")
        .into_iter()
        .filter(|source| layer(&source.module).is_none() && !free.contains(&source.module.as_str()))
        .map(|source| source.path)
        .collect();
    assert!(unknown.is_empty(), "{unknown:?} stand in no layer");
}

#[test]
fn the_core_reads_no_clock_and_opens_nothing() {
    let mut wrong = Vec::new();
    for source in read("src").into_iter().filter(|source| PURE.contains(&source.module.as_str())) {
        for (number, line) in &source.lines {
            let found = IMPURE.iter().filter(|word| line.contains(**word));
            wrong.extend(found.map(|word| format!("{}:{number}: {word}", source.path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_swallows_its_neighbours() {
    let reasons: BTreeMap<&str, &str> = LONGER.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in ["src", "lan-test", "examples", "tests"].into_iter().flat_map(read) {
        match (source.length > LONGEST, reasons.get(source.path.as_str())) {
            (true, None) => wrong.push(format!("{} has {} lines without its tests", source.path, source.length)),
            (false, Some(_)) => wrong.push(format!("{} is not long any more: take it from the list", source.path)),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_names_reads_them() {
    assert_eq!(named("use crate::wire::message::Data;"), ["wire"]);
    assert_eq!(named("use crate::{ids, proto::node};"), ["ids", "proto"]);
    assert_eq!(named("    pub(crate) fn f(a: crate::net::Port, b: crate::sim::Lan)"), ["net", "sim"]);
    assert!(named("pub(crate) use std::fmt;").is_empty());
}
