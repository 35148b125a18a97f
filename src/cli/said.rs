//! What a person typed, understood.

use crate::cli::values::{Name, typed_room};
use crate::name::BadName;

/// A line of input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    /// An empty line.
    Nothing,
    /// Words to the room one is in.
    Text(String),
    /// `/me`: what one does.
    Me(String),
    /// `/msg NICK WORDS`: to one person.
    Msg(Name, String),
    /// `/join ROOM`: enter it, and talk there from now on.
    Join(Name),
    /// `/leave [ROOM]`.
    Leave(Option<Name>),
    /// `/topic [WORDS]`: tell or set it.
    Topic(Option<String>),
    /// `/nick NICK`.
    Nick(Name),
    /// `/rooms`.
    Rooms,
    /// `/who [ROOM]`.
    Who(Option<Name>),
    /// `/view`: the servers, their ids and addresses.
    View,
    /// `/status`.
    Status,
    /// `/history [N]`.
    History(u32),
    /// `/search WORDS`.
    Search(String),
    /// `/help`.
    Help,
    /// `/quit`.
    Quit,
    /// A command that does not exist or lacks something; for people.
    Wrong(String),
}

/// What `/help` tells.
pub(crate) const HELP: &[&str] = &[
    "/join ROOM        enter a room and talk there; again: talk there from now on",
    "/leave [ROOM]     leave it",
    "/rooms            every room",
    "/msg NICK WORDS   to one person",
    "/who [ROOM]       who is where",
    "/view             the servers: name, id, address, role, how they are heard",
    "/history [N]      what was said here",
    "/search WORDS     find it",
    "/status           the ring, and what is wrong",
    "/nick NICK        another name",
    "/me WORDS         what you do",
    "/topic [WORDS]    the room's topic",
    "/quit             leave",
    "//WORDS           words that begin with a slash",
];

/// Messages that `/history` shows when nobody said how many.
const USUAL: u32 = 20;
/// The most it shows.
const MOST: u32 = 1000;

impl Said {
    /// Understands a line.
    pub(crate) fn parse(line: &str) -> Self {
        let line = line.trim_end();
        let Some(command) = line.strip_prefix('/') else {
            return if line.is_empty() { Self::Nothing } else { Self::Text(line.to_owned()) };
        };
        if command.starts_with('/') {
            return Self::Text(command.to_owned());
        }
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        Self::command(word, rest.trim()).unwrap_or_else(Self::Wrong)
    }

    fn command(word: &str, rest: &str) -> Result<Self, String> {
        let words = (!rest.is_empty()).then(|| rest.to_owned());
        let needed = |what: &str| words.clone().ok_or_else(|| format!("/{word} wants {what}"));
        let said = match word.to_lowercase().as_str() {
            "join" => Self::Join(named(typed_room(&needed("a room")?))?),
            "leave" | "part" => Self::Leave(optional(rest)?),
            "rooms" | "list" => Self::Rooms,
            "msg" => {
                let words = needed("a nick and words")?;
                let (nick, text) = words.split_once(char::is_whitespace).ok_or("/msg wants a nick and words")?;
                Self::Msg(named(nick.strip_prefix('@').unwrap_or(nick).parse())?, text.trim().to_owned())
            }
            "who" => Self::Who(optional(rest)?),
            "view" => Self::View,
            "status" => Self::Status,
            "history" if rest.is_empty() => Self::History(USUAL),
            "history" => {
                let count = rest.parse().ok().filter(|count| (1..=MOST).contains(count));
                Self::History(count.ok_or_else(|| format!("/history wants a number from 1 to {MOST}"))?)
            }
            "search" => Self::Search(needed("words")?),
            "nick" => Self::Nick(named(needed("a nick")?.parse())?),
            "me" => Self::Me(needed("words")?),
            "topic" => Self::Topic(words),
            "help" | "?" => Self::Help,
            "quit" | "exit" => Self::Quit,
            _ => return Err(format!("there is no /{word}; /help lists what there is")),
        };
        Ok(said)
    }
}

fn named(name: Result<Name, BadName>) -> Result<Name, String> {
    name.map_err(|why| why.to_string())
}

fn optional(rest: &str) -> Result<Option<Name>, String> {
    if rest.is_empty() { Ok(None) } else { named(typed_room(rest)).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn lines_are_words_or_commands() {
        for (line, said) in [
            ("", Said::Nothing),
            ("   ", Said::Nothing),
            ("hello there ", Said::Text("hello there".into())),
            ("//join is a command", Said::Text("/join is a command".into())),
            ("/join #garden", Said::Join(name("garden"))),
            ("/JOIN garden", Said::Join(name("garden"))),
            ("/leave", Said::Leave(None)),
            ("/leave garden", Said::Leave(Some(name("garden")))),
            ("/msg @bob see you", Said::Msg(name("bob"), "see you".into())),
            ("/me waves", Said::Me("waves".into())),
            ("/topic", Said::Topic(None)),
            ("/topic the ring", Said::Topic(Some("the ring".into()))),
            ("/history", Said::History(20)),
            ("/history 5", Said::History(5)),
            ("/search lost key", Said::Search("lost key".into())),
            ("/nick ana2", Said::Nick(name("ana2"))),
            ("/quit", Said::Quit),
        ] {
            assert_eq!(Said::parse(line), said, "{line}");
        }
    }

    #[test]
    fn wrong_commands_say_what_they_want() {
        for (line, word) in [
            ("/join", "room"),
            ("/join a b", "spaces"),
            ("/msg bob", "nick and words"),
            ("/nick", "nick"),
            ("/nick @x", "begin"),
            ("/history all", "number"),
            ("/history 0", "number"),
            ("/search", "words"),
            ("/dance", "/help"),
        ] {
            let said = Said::parse(line);
            assert!(matches!(&said, Said::Wrong(why) if why.contains(word)), "{line}: {said:?}");
        }
    }

    #[test]
    fn help_names_every_command() {
        for line in HELP.iter().filter(|line| !line.starts_with("//")) {
            let word = line.split_whitespace().next().unwrap();
            assert!(
                !matches!(Said::parse(&format!("{word} x y")), Said::Wrong(why) if why.contains("there is no")),
                "{word}"
            );
        }
    }
}
