//! What a page asks of the demo, read from its JSON. Nothing of it is believed: every field is checked here, and what is
//! wrong with it is told in words.

use super::action::{Action, MAX_BURST, MAX_LOSS, MAX_SLOW, Refusal, Whom, slow_ms};
use super::script::{SCRIPTS, Script};
use crate::cli::shown::shown;
use serde_json::Value;
use std::collections::BTreeSet;

/// Longest part of a page's words that is repeated to it.
const REPEATED: usize = 40;
/// What a page may ask for.
const ACTIONS: &str = "crash, restart, pause, resume, cut, loss, heal, slow, burst, script, step, stop";

/// The action that a control document asks for; `names` are the demo's servers by number.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(request: &Value, names: &[&str]) -> Result<Action, Refusal> {
    let fields = Fields { request, names };
    match request["action"].as_str().unwrap_or_default() {
        "crash" => Ok(Action::Crash(fields.one("server")?)),
        "restart" => Ok(Action::Restart(fields.whom("server")?)),
        "pause" => Ok(Action::Pause(fields.one("server")?)),
        "resume" => Ok(Action::Resume(fields.whom("server")?)),
        "cut" => fields.cut(),
        "loss" => Ok(Action::Lose(fields.whom("server")?, fields.number("percent", 0, MAX_LOSS.into())? as u8)),
        "heal" => Ok(Action::Heal),
        "slow" => Ok(Action::Delay(fields.whom("server")?, slow_ms(fields.factor()?))),
        "burst" => Ok(Action::Burst(fields.number("messages", 1, MAX_BURST.into())? as u32)),
        "script" => {
            Ok(Action::Script { script: fields.script()?, stepwise: request["stepwise"].as_bool().unwrap_or(false) })
        }
        "step" => Ok(Action::Step),
        "stop" => Ok(Action::Stop),
        "" => Err(Refusal::new("bad_control", "A control without an action.", ACTIONS)),
        other => Err(Refusal::new("unknown_action", format!("There is no action {}.", repeated(other)), ACTIONS)),
    }
}

struct Fields<'a> {
    request: &'a Value,
    names: &'a [&'a str],
}

impl Fields<'_> {
    /// A server, `"leader"`, or `"all"`, which is also meant when nobody is named.
    fn whom(&self, field: &str) -> Result<Whom, Refusal> {
        match &self.request[field] {
            Value::Null => Ok(Whom::All),
            value => self.named(value, true),
        }
    }

    /// A server or `"leader"`.
    fn one(&self, field: &str) -> Result<Whom, Refusal> {
        match &self.request[field] {
            Value::Null => Err(Refusal::new("bad_control", format!("Which {field}?"), self.hint())),
            value => self.named(value, false),
        }
    }

    fn named(&self, value: &Value, all: bool) -> Result<Whom, Refusal> {
        match value.as_str() {
            Some("leader") => Ok(Whom::Leader),
            Some("all") if all => Ok(Whom::All),
            _ => self.server(value).map(Whom::One),
        }
    }

    fn server(&self, value: &Value) -> Result<usize, Refusal> {
        let Some(name) = value.as_str() else {
            return Err(Refusal::new("bad_control", "A server is named by a text.", self.hint()));
        };
        self.names.iter().position(|known| *known == name).ok_or_else(|| {
            let words = format!("The demo has no server {}.", repeated(name));
            Refusal::new("no_such_server", words, self.hint())
        })
    }

    fn hint(&self) -> String {
        format!("{}, leader", self.names.join(", "))
    }

    fn number(&self, field: &str, least: u64, most: u64) -> Result<u64, Refusal> {
        let number = self.request[field].as_u64().filter(|number| (least..=most).contains(number));
        let wrong = || format!("\"{field}\" is a whole number from {least} to {most}.");
        number.ok_or_else(|| Refusal::new("bad_control", wrong(), ""))
    }

    fn factor(&self) -> Result<f64, Refusal> {
        let factor = self.request["factor"].as_f64().filter(|factor| (1.0..=MAX_SLOW).contains(factor));
        let wrong = || format!("\"factor\" is a number from 1 to {MAX_SLOW}.");
        factor.ok_or_else(|| Refusal::new("bad_control", wrong(), "1 is as fast as it goes"))
    }

    fn cut(&self) -> Result<Action, Refusal> {
        if self.request["groups"].is_null() {
            let (from, to) = (self.server(&self.request["from"])?, self.server(&self.request["to"])?);
            if from == to {
                return Err(Refusal::new("bad_control", "Nobody is cut off from itself.", "name two servers"));
            }
            return Ok(Action::Cut { from, to, both: self.request["both"].as_bool().unwrap_or(true) });
        }
        let wrong = || Refusal::new("bad_control", "\"groups\" is a list of lists of servers.", self.hint());
        let lists = self.request["groups"].as_array().filter(|lists| lists.len() <= self.names.len());
        let mut groups = Vec::new();
        let mut seen = BTreeSet::new();
        for list in lists.ok_or_else(wrong)? {
            let list = list.as_array().filter(|list| list.len() <= self.names.len()).ok_or_else(wrong)?;
            let group: BTreeSet<usize> = list.iter().map(|value| self.server(value)).collect::<Result<_, _>>()?;
            if let Some(twice) = group.iter().find(|&&at| !seen.insert(at)) {
                let words = format!("{} is in two groups.", self.names[*twice]);
                return Err(Refusal::new("bad_control", words, "each server in one group"));
            }
            groups.push(group);
        }
        Ok(Action::Split(groups))
    }

    fn script(&self) -> Result<&'static Script, Refusal> {
        let name = self.request["name"].as_str().unwrap_or_default();
        SCRIPTS.iter().find(|script| script.name == name).ok_or_else(|| {
            let names: Vec<&str> = SCRIPTS.iter().map(|script| script.name).collect();
            Refusal::new("no_such_script", format!("There is no script {}.", repeated(name)), names.join(", "))
        })
    }
}

/// Words of a page, short and harmless.
fn repeated(text: &str) -> String {
    let short: String = text.chars().take(REPEATED).collect();
    format!("\"{}{}\"", shown(&short), if short.len() < text.len() { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NAMES: [&str; 3] = ["ash", "elm", "oak"];

    fn ask(request: &Value) -> Result<Action, Refusal> {
        read(request, &NAMES)
    }

    #[test]
    fn every_action_of_the_page_is_understood() {
        let set = |these: &[usize]| these.iter().copied().collect::<BTreeSet<_>>();
        for (request, action) in [
            (json!({ "action": "crash", "server": "oak" }), Action::Crash(Whom::One(2))),
            (json!({ "action": "crash", "server": "leader" }), Action::Crash(Whom::Leader)),
            (json!({ "action": "restart", "server": "all" }), Action::Restart(Whom::All)),
            (json!({ "action": "pause", "server": "ash" }), Action::Pause(Whom::One(0))),
            (json!({ "action": "resume", "server": "ash" }), Action::Resume(Whom::One(0))),
            (
                json!({ "action": "cut", "groups": [["oak"], ["elm", "ash"]] }),
                Action::Split(vec![set(&[2]), set(&[0, 1])]),
            ),
            (
                json!({ "action": "cut", "from": "oak", "to": "elm", "both": false }),
                Action::Cut { from: 2, to: 1, both: false },
            ),
            (json!({ "action": "loss", "server": "all", "percent": 20 }), Action::Lose(Whom::All, 20)),
            (json!({ "action": "heal" }), Action::Heal),
            (json!({ "action": "slow", "factor": 5 }), Action::Delay(Whom::All, slow_ms(5.0))),
            (json!({ "action": "burst", "messages": 200 }), Action::Burst(200)),
            (json!({ "action": "step" }), Action::Step),
            (json!({ "action": "stop" }), Action::Stop),
        ] {
            assert_eq!(ask(&request), Ok(action), "{request}");
        }
        let script = ask(&json!({ "action": "script", "name": "leader-crash", "stepwise": true })).unwrap();
        assert!(matches!(script, Action::Script { script: Script { name: "leader-crash", .. }, stepwise: true }));
    }

    #[test]
    fn hostile_controls_are_refused_in_words() {
        let deep = (0..100).fold(json!("x"), |inner, _| json!([inner]));
        for request in [
            json!(null),
            json!([]),
            json!({}),
            json!({ "action": 7 }),
            json!({ "action": "\u{1b}]52;c;x\u{7}" }),
            json!({ "action": "crash" }),
            json!({ "action": "crash", "server": "all" }),
            json!({ "action": "crash", "server": "../../etc" }),
            json!({ "action": "crash", "server": { "a": 1 } }),
            json!({ "action": "crash", "server": "x".repeat(100_000) }),
            json!({ "action": "loss", "server": "all", "percent": 101 }),
            json!({ "action": "loss", "server": "all", "percent": -1 }),
            json!({ "action": "loss", "server": "all", "percent": "20" }),
            json!({ "action": "loss", "server": "all" }),
            json!({ "action": "slow", "factor": 1e300 }),
            json!({ "action": "slow", "factor": 0 }),
            json!({ "action": "slow" }),
            json!({ "action": "burst", "messages": 1_000_000_000_u64 }),
            json!({ "action": "burst", "messages": 0 }),
            json!({ "action": "burst", "messages": 1.5 }),
            json!({ "action": "cut" }),
            json!({ "action": "cut", "from": "oak" }),
            json!({ "action": "cut", "from": "oak", "to": "oak" }),
            json!({ "action": "cut", "groups": "oak" }),
            json!({ "action": "cut", "groups": ["oak"] }),
            json!({ "action": "cut", "groups": [["oak"], ["oak"]] }),
            json!({ "action": "cut", "groups": [["oak"], ["elm", null]] }),
            json!({ "action": "cut", "groups": vec![json!([]); 1000] }),
            json!({ "action": "cut", "groups": deep }),
            json!({ "action": "script", "name": "rm -rf" }),
            json!({ "action": "script" }),
            json!({ "action": "format" }),
        ] {
            let refusal = ask(&request).unwrap_err();
            assert!(refusal.message.len() < 120 && refusal.message.ends_with(['.', '?']), "{refusal:?}");
            assert!(!refusal.message.chars().any(char::is_control), "{refusal:?}");
        }
    }
}
