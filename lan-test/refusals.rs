//! What people do wrong, and what goes wrong for them: the words of the contract, the exit code, and nothing lost.

use crate::clock;
use crate::host::{Finished, Host};
use crate::lan::Lan;
use crate::load::{self, Sender};
use crate::ring::{GATHERING, Ring};
use crate::trouble::{Outcome, Trouble, verdict};
use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// For a command that refuses.
const LIMIT: Duration = Duration::from_secs(20);

/// What a check needs.
pub(crate) struct Desk<'a> {
    pub(crate) lan: &'a mut Lan,
    pub(crate) program: &'a Path,
    pub(crate) dir: &'a Path,
}

/// A check: its name, what it is about, how it is made.
pub(crate) type Check = (&'static str, &'static str, fn(&mut Desk<'_>) -> Outcome<String>);

/// All of them.
pub(crate) const CHECKS: [Check; 6] = [
    ("one-person", "one person may send again and again under their nick; another is told whose it is", one_person),
    ("bad-input", "bad flags, names, files and lengths are refused in the words of the contract", bad_input),
    ("nobody-there", "nobody there, another net there, the port held by another program", nobody_there),
    ("one-directory", "a second server on one data directory is refused and harms nothing", one_directory),
    ("disk-full", "a server whose disk is full says so; the ring goes on and nothing is lost", disk_full),
    ("damaged-store", "a damaged store is noticed, set aside and fetched from others", damaged_store),
];

/// What a command must do.
struct Expected<'a> {
    args: &'a [&'a str],
    code: i32,
    /// Words that stderr must contain, all of them.
    words: &'a [&'a str],
}

impl Desk<'_> {
    fn host(&self, number: u8) -> Outcome<Host> {
        Host::new(number, self.dir)
    }

    /// Runs it on host 1; what is wrong with what it did.
    fn wrong(&self, expected: &Expected<'_>) -> Outcome<Option<String>> {
        let done = self.host(1)?.run(self.program, "person", expected.args, LIMIT)?;
        Ok(unlike(&done, expected))
    }

    fn all(&self, expected: &[Expected<'_>]) -> Outcome<Vec<String>> {
        let found = expected.iter().map(|expected| self.wrong(expected)).collect::<Outcome<Vec<_>>>()?;
        Ok(found.into_iter().flatten().collect())
    }
}

fn unlike(done: &Finished, expected: &Expected<'_>) -> Option<String> {
    let missing: Vec<&&str> = expected.words.iter().filter(|words| !done.err.contains(**words)).collect();
    if done.code() == expected.code && missing.is_empty() {
        return None;
    }
    let args: Vec<String> = expected.args.iter().map(|arg| arg.chars().take(60).collect()).collect();
    Some(format!(
        "`ringtalk {}`: exit {} instead of {}, without {missing:?}; it said: {}",
        args.join(" "),
        done.code(),
        expected.code,
        done.err.trim()
    ))
}

fn bad_input(desk: &mut Desk<'_>) -> Outcome<String> {
    desk.lan.mend()?;
    let broken = desk.dir.join("broken.toml");
    std::fs::write(&broken, "net = [unclosed").map_err(Trouble::io("write", &broken))?;
    let broken = broken.display().to_string();
    let directory = desk.dir.display().to_string();
    let long = "x".repeat(72 * 1024);
    let many = "n".repeat(33);
    let ring = Ring::start(desk.program, &desk.dir.join("ring"))?;
    let expected = [
        Expected { args: &["server", "--nonsense"], code: 2, words: &["--nonsense"] },
        Expected { args: &["nonsense"], code: 2, words: &["nonsense"] },
        Expected { args: &["status", "--port", "70000"], code: 2, words: &["70000"] },
        Expected { args: &["send", "a b", "hi"], code: 2, words: &["a b"] },
        Expected { args: &["send", &many, "hi"], code: 2, words: &["32"] },
        Expected { args: &["send", "lobby", "hi", "--nick", "@me"], code: 2, words: &["@me"] },
        Expected { args: &["send", "lobby", &long], code: 2, words: &["That is 72 KiB; the limit is 64 KiB."] },
        Expected {
            args: &["send", "lobby", &long, "--json"],
            code: 2,
            words: &["{\"error\":{", "\"code\":\"too_long\""],
        },
        Expected { args: &["status", "--config", &broken], code: 2, words: &["broken.toml", "hint: "] },
        Expected { args: &["status", "--config", &directory], code: 2, words: &[&directory, "hint: "] },
        Expected { args: &["status", "--config", "/nowhere/at/all"], code: 2, words: &["/nowhere/at/all", "hint: "] },
    ];
    let mut evidence = desk.all(&expected)?;
    if !ring.same_history(LIMIT)?.is_empty() {
        evidence.push("something that was refused is in history".to_owned());
    }
    verdict(evidence)?;
    Ok(format!("{} refused", expected.len()))
}

fn one_person(desk: &mut Desk<'_>) -> Outcome<String> {
    desk.lan.mend()?;
    let ring = Ring::start(desk.program, &desk.dir.join("ring"))?;
    let ana = |room, text| ["send", room, text, "--nick", "ana", "--timeout", "5s"];
    let expected = [
        Expected { args: &ana("lobby", "first"), code: 0, words: &[] },
        Expected { args: &ana("lobby", "second"), code: 0, words: &[] },
        Expected { args: &ana("kitchen", "third"), code: 0, words: &[] },
    ];
    let mut evidence = desk.all(&expected)?;
    let other = desk.host(2)?.run(desk.program, "other", &ana("lobby", "forged"), LIMIT)?;
    let told =
        Expected { args: &ana("lobby", "forged"), code: 0, words: &["ana is someone else's nick; you are ana2 now"] };
    evidence.extend(unlike(&other, &told));
    let history = ring.same_history(LIMIT)?;
    evidence.extend(holds(&history, 4));
    let by_ana = String::from_utf8_lossy(&history).lines().filter(|line| line.contains("\"nick\":\"ana\"")).count();
    evidence.extend((by_ana != 3).then(|| format!("{by_ana} messages are ana's, she said 3")));
    verdict(evidence)?;
    Ok("sent 3 times, another was told and went by ana2".to_owned())
}

fn nobody_there(desk: &mut Desk<'_>) -> Outcome<String> {
    desk.lan.mend()?;
    let nobody = Expected {
        args: &["send", "lobby", "hi", "--timeout", "1s"],
        code: 3,
        words: &["No ringtalk server answered on eth (net \"default\", 1 s).", "hint: ", "ringtalk server"],
    };
    let mut evidence = desk.all(&[nobody])?;
    evidence.extend(other_net(desk)?);
    evidence.extend(port_held(desk)?);
    verdict(evidence)?;
    Ok("3 told".to_owned())
}

fn other_net(desk: &Desk<'_>) -> Outcome<Option<String>> {
    let data = desk.dir.join("lab2").display().to_string();
    let args = ["server", "--json", "--name", "elm", "-n", "lab2", "--data", &data];
    let other = desk.host(2)?.start(desk.program, "server", &args)?;
    if other.lines().wait_for(0, GATHERING, |line| line.is_event("ready")).is_none() {
        return Err(Trouble::Late { what: format!("`ready` of a server alone: {}", other.said()), after: GATHERING });
    }
    desk.wrong(&Expected {
        args: &["send", "lobby", "hi", "--timeout", "3s"],
        code: 3,
        words: &["Servers exist, but on net \"lab2\" (elm).", "Use -n lab2."],
    })
}

fn port_held(desk: &Desk<'_>) -> Outcome<Option<String>> {
    let harness = std::env::current_exe().map_err(Trouble::io("find", "this program"))?;
    let holder = desk.host(1)?.start(&harness, "holder", &["standin", "hold", "8284"])?;
    if holder.lines().wait_for(0, LIMIT, |line| line.text == "ready").is_none() {
        return Err(Trouble::broken(format!("the stand-in cannot hold port 8284: {}", holder.said())));
    }
    let data = desk.dir.join("held").display().to_string();
    desk.wrong(&Expected {
        args: &["server", "--data", &data],
        code: 1,
        words: &["UDP 8284 is held by", "which does not share it", "--port N"],
    })
}

fn one_directory(desk: &mut Desk<'_>) -> Outcome<String> {
    desk.lan.mend()?;
    let ring = Ring::start(desk.program, desk.dir)?;
    let data = ring.host(1).data().display().to_string();
    let second = Expected {
        args: &["server", "--name", "second", "--data", &data],
        code: 7,
        words: &["Another server (pid ", &format!("uses {data}"), "hint: ", "--data"],
    };
    let mut evidence = desk.all(&[second])?;
    evidence.extend(says(&ring, "after", 20)?);
    let history = ring.same_history(LIMIT)?;
    evidence.extend(holds(&history, 20));
    verdict(evidence)?;
    Ok("refused, the first one goes on".to_owned())
}

fn disk_full(desk: &mut Desk<'_>) -> Outcome<String> {
    desk.lan.mend()?;
    let data = Host::new(3, desk.dir)?.data();
    std::fs::create_dir_all(&data).map_err(Trouble::io("create", &data))?;
    let small = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "small"]).arg(&data).status();
    if !small.map_err(Trouble::io("mount", &data))?.success() {
        return Err(Trouble::broken("a small tmpfs could not be mounted"));
    }
    let ring = Ring::start(desk.program, desk.dir)?;
    let said = 800;
    let mut evidence = says(&ring, &"full ".repeat(3_000), said)?;
    let told = clock::until(LIMIT, || ring.server(3).ok()?.said().contains("No space in").then_some(()));
    if told.is_none() {
        evidence.push(format!("h3 did not say `No space in`: {}", ring.server(3)?.said()));
    }
    for host in [1, 2, 4, 5] {
        evidence.extend(holds(&ring.history(host)?, said).map(|wrong| format!("h{host}: {wrong}")));
    }
    // On the full server's machine people go on through another server.
    let there = desk.host(3)?.run(desk.program, "there", &["history", "--all", "--json"], LIMIT)?;
    evidence.extend(holds(&there.out, said).map(|wrong| format!("on h3's machine: {wrong}")));
    verdict(evidence)?;
    Ok(format!("{said} messages, none lost"))
}

fn damaged_store(desk: &mut Desk<'_>) -> Outcome<String> {
    desk.lan.mend()?;
    let mut ring = Ring::start(desk.program, desk.dir)?;
    let said = 2_000;
    let mut evidence = says(&ring, "a line that will be damaged on one disk", said)?;
    ring.same_history(LIMIT)?;
    ring.server(2)?.ask_to_end()?;
    clock::until(LIMIT, || (!ring.ended().is_empty()).then_some(()));
    ring.kill(2)?;
    // A server that left has all in its one file: damage to a log beside it might lie where the log is not used any more.
    let data = ring.host(2).data();
    if data.join("history.db-wal").exists() {
        evidence.push("h2 left a write-ahead log behind".to_owned());
    }
    flip(&data.join("history.db"))?;
    ring.restart(2)?;
    let whole = ring.whole(LIMIT).err().map(|trouble| trouble.to_string());
    evidence.extend(whole);
    evidence.extend(ring.same_history(LIMIT).map_or_else(|trouble| Some(trouble.to_string()), |h| holds(&h, said)));
    let told = ring.server(2)?.said();
    if !["set aside", "damaged"].iter().any(|words| told.contains(words)) {
        evidence.push(format!("h2 did not tell of the damage: {told}"));
    }
    verdict(evidence)?;
    Ok(format!("{said} messages, none lost"))
}

/// Someone says `count` lines that begin with their number; what went wrong.
fn says(ring: &Ring, words: &str, count: u32) -> Outcome<Vec<String>> {
    let mut sender = Sender::start(ring, 1, "person", load::ROOMS[0], "60s")?;
    sender.begin(clock::now(), Duration::ZERO, (0..count).map(|n| format!("{n} {words}.")).collect())?;
    Ok(sender.finish(Duration::from_mins(2)).err().map(|trouble| trouble.to_string()).into_iter().collect())
}

/// What is wrong with a history that must hold exactly `count` messages.
fn holds(history: &[u8], count: u32) -> Option<String> {
    let has = history.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    (has != count as usize).then(|| format!("{has} messages in history, {count} were said"))
}

/// Flips a byte in every 16 KiB of the second half of a file.
fn flip(path: &Path) -> Outcome<()> {
    let op = || Trouble::io("flip bytes of", path);
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(op())?;
    let length = file.metadata().map_err(op())?.len();
    let mut at = length / 2;
    while at < length {
        let mut byte = [0];
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut byte)).map_err(op())?;
        byte[0] ^= 0x20;
        file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&byte)).map_err(op())?;
        at += 16 * 1_024;
    }
    Ok(())
}
