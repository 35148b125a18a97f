//! The state of the demo as one document: what the page draws, and what scripts read.

use super::action::slow_factor;
use super::script::SCRIPTS;
use super::stage::Stage;
use serde_json::{Value, json};

impl Stage {
    /// The document of this moment.
    pub(super) fn document(&self) -> Value {
        let names = self.fleet.names();
        let wiring = self.fleet.wiring();
        let servers: Vec<Value> = (0..names.len())
            .map(|at| {
                let (digest, messages) = self.report.copies.get(at).copied().unwrap_or_default();
                let cut_from: Vec<&str> = wiring.cut_from(at).into_iter().map(|from| names[from]).collect();
                json!({
                    "name": names[at],
                    "state": self.fleet.state(at).word(),
                    "ready": self.fleet.life(at).1,
                    "cut_from": cut_from,
                    "loss": wiring.loss_of(at),
                    "delay_ms": wiring.delay_of(at),
                    "dropped": self.fleet.dropped(at),
                    "digest": (messages > 0).then(|| format!("{digest:016x}")),
                    "messages": messages,
                })
            })
            .collect();
        let scripts: Vec<Value> =
            SCRIPTS.iter().map(|script| json!({ "name": script.name, "what": script.what })).collect();
        let slowest = (0..names.len()).map(|at| wiring.delay_of(at)).min().unwrap_or(0);
        json!({
            "event": "demo",
            "servers": servers,
            "guests": self.fleet.guests(),
            "leader": self.fleet.view().map(|view| view.leader.as_str()),
            "equal": self.report.equal,
            "acknowledged": self.report.acknowledged,
            "lost": self.report.lost,
            "slow": slow_factor(slowest),
            "scripts": scripts,
            "script": self.script(),
        })
    }

    fn script(&self) -> Value {
        let Some(play) = &self.play else { return Value::Null };
        let Some((step, number)) = play.step() else { return Value::Null };
        json!({
            "name": play.script.name,
            "step": number,
            "steps": play.script.steps.len(),
            "text": step.words(number),
            "stepwise": play.stepwise,
            "waiting": play.stepwise && play.waits().is_none(),
        })
    }
}
