//! A lesson on the stage: what each step of a script does, and what is waited for.

use super::action::{Action, Whom};
use super::acts::Trouble;
use super::commentary::{messages, span};
use super::fleet::State;
use super::play::{Until, Wait};
use super::script::Step;
use super::stage::{ANSWER, Stage, failed};
use crate::cli::failure::Failure;
use crate::cli::times::clock;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

impl Stage {
    /// Goes on with the script as far as it goes now.
    pub(super) fn advance(&mut self) -> Result<(), Failure> {
        match self.advance_strictly() {
            // With faults upon faults the ring may well not come together: that is told, and the demo goes on.
            Err(failure) if !self.manner.strict && !failure.silent => {
                self.play = None;
                self.tell("script_failed", json!({}), &failure.message)
            }
            other => other,
        }
    }

    fn advance_strictly(&mut self) -> Result<(), Failure> {
        loop {
            self.announce()?;
            let Some(play) = &self.play else { return Ok(()) };
            if let Some(step) = play.to_do(self.step_asked) {
                self.step_asked = false;
                let wait = self.begin_step(step)?;
                if let Some(play) = &mut self.play {
                    play.wait(wait);
                }
            }
            if !self.has_answered()? {
                return Ok(());
            }
            if self.play.as_mut().is_some_and(|play| !play.go_on()) {
                let name = self.play.take().map_or("", |play| play.script.name);
                self.tell("script_ended", json!({ "script": name }), &format!("Lesson {name} is over."))?;
            }
        }
    }

    fn announce(&mut self) -> Result<(), Failure> {
        let Some(play) = &mut self.play else { return Ok(()) };
        let Some(step) = play.announce() else { return Ok(()) };
        let (number, of, stepwise) = (play.step().map_or(0, |step| step.1), play.script.steps.len(), play.stepwise);
        let fields = json!({ "script": play.script.name, "step": number, "steps": of });
        let wait = match (stepwise, self.manner.keys, self.tale.pages().is_some()) {
            (true, true, true) => " (next: the space bar, or the page)",
            (true, true, false) => " (next: the space bar)",
            (true, false, _) => " (next: the page)",
            (false, ..) => "",
        };
        self.tell("step", fields, &format!("Step {number} of {of}: {}{wait}", step.words(number)))
    }

    /// Whether everything that the step waits for has come.
    fn has_answered(&mut self) -> Result<bool, Failure> {
        loop {
            let Some(wait) = self.play.as_ref().and_then(super::play::Play::waits) else { return Ok(false) };
            let (first, since, limit) = (wait.until.first().cloned(), wait.since, wait.limit);
            let Some(first) = first else { return Ok(true) };
            if !self.has_come(&first) {
                return if clock() < limit { Ok(false) } else { Err(self.did_not_come(&first)) };
            }
            let met = self.play.as_mut().map_or(since, |play| play.met(clock()));
            // First what led to it.
            if self.has_words() {
                return Ok(false);
            }
            self.tell_answer(&first, since, met)?;
            if self.play.as_mut().is_some_and(super::play::Play::came) {
                return Ok(true);
            }
        }
    }

    fn has_come(&self, until: &Until) -> bool {
        match until {
            Until::Time(end) => clock() >= *end,
            Until::Ring(these) => self.fleet.view_of(these).is_some(),
            Until::Acknowledged(count) => {
                let unsaid: u32 = self.talkers.iter().map(super::talker::Talker::unsaid).sum();
                unsaid == 0 && self.ledger.counts().1 >= *count
            }
            Until::NextAcknowledgement(after) => self.ledger.last().is_some_and(|last| last > *after),
            Until::Equal(number) => self.report.number > *number && self.report.equal && self.report.lost == 0,
        }
    }

    /// Tells what has come, and how long it took.
    fn tell_answer(&mut self, until: &Until, since: Instant, met: Instant) -> Result<(), Failure> {
        let took = met.saturating_duration_since(since);
        let (ms, span) = (u64::try_from(took.as_millis()).unwrap_or(u64::MAX), span(took));
        match until {
            Until::Ring(these) => {
                let view = self.fleet.view_of(these).cloned();
                view.map_or(Ok(()), |view| self.tell_ring(&view, &format!("after {span}")))
            }
            Until::NextAcknowledgement(_) => {
                let words = format!("Talk goes on: the first message after that was acknowledged {span} later.");
                self.tell("talks_on", json!({ "pause_ms": ms }), &words)
            }
            Until::Acknowledged(_) => {
                let words = format!("All of them are acknowledged, {span} later.");
                self.tell("burst_acknowledged", json!({ "ms": ms }), &words)
            }
            Until::Equal(_) => self.tell_report(),
            Until::Time(_) => self.tell_talk(),
        }
    }

    fn did_not_come(&self, until: &Until) -> Failure {
        match until {
            Until::Ring(these) => {
                let names: Vec<&str> = these.iter().map(|&at| self.fleet.name(at)).collect();
                failed(&format!("{} did not come together", names.join(", ")))
            }
            Until::Equal(_) => failed("the histories did not become equal"),
            _ => failed("nothing was acknowledged any more"),
        }
    }

    /// Does what a step says; what is to be waited for.
    fn begin_step(&mut self, step: Step) -> Result<Wait, Failure> {
        let since = clock();
        let until = match step {
            Step::Talk(time) => {
                self.ledger.take_waits();
                vec![Until::Time(since + time)]
            }
            Step::CrashLeader => {
                self.must(Action::Crash(Whom::Leader))?;
                vec![Until::NextAcknowledgement(since), Until::Ring(self.fleet.in_state(State::Running))]
            }
            Step::CrashNext(number) => {
                let whom = if number % 2 == 0 { Whom::Leader } else { self.other_than_leader(number.into()) };
                self.must(Action::Crash(whom))?;
                vec![Until::Ring(self.fleet.in_state(State::Running))]
            }
            Step::CrashAll => {
                self.must(Action::Crash(Whom::All))?;
                Vec::new()
            }
            Step::Restart => {
                self.must(Action::Restart(Whom::All))?;
                vec![Until::Ring(self.fleet.in_state(State::Running))]
            }
            Step::Split => {
                let groups = self.halves();
                self.must(Action::Split(groups.iter().map(|group| group.iter().copied().collect()).collect()))?;
                let runs = |group: Vec<usize>| group.into_iter().filter(|at| self.fleet.state(*at) == State::Running);
                groups.into_iter().map(|group| Until::Ring(runs(group).collect())).collect()
            }
            Step::MuteLeader => {
                self.must(Action::Mute)?;
                let rest = self.fleet.in_state(State::Running);
                vec![Until::Ring(rest.into_iter().filter(|at| Some(*at) != self.chosen).collect())]
            }
            Step::Lose(percent) => {
                self.must(Action::Lose(Whom::All, percent))?;
                Vec::new()
            }
            Step::Burst(count) => {
                self.must(Action::Burst(count))?;
                vec![Until::Acknowledged(self.ledger.counts().1 + u64::from(count))]
            }
            Step::SlowOne(ms) => {
                let whom = self.other_than_leader(0);
                self.chosen = if let Whom::One(at) = whom { Some(at) } else { None };
                self.must(Action::Delay(whom, ms))?;
                Vec::new()
            }
            Step::PauseOne => {
                let whom = self.chosen.map_or_else(|| self.other_than_leader(0), Whom::One);
                self.must(Action::Pause(whom))?;
                vec![Until::NextAcknowledgement(since), Until::Ring(self.fleet.in_state(State::Running))]
            }
            Step::Resume => {
                self.must(Action::Resume(Whom::All))?;
                vec![Until::Ring(self.fleet.in_state(State::Running))]
            }
            Step::Heal => {
                self.must(Action::Heal)?;
                if (0..self.fleet.names().len()).any(|at| self.fleet.wiring().delay_of(at) > 0) {
                    self.must(Action::Delay(Whom::All, 0))?;
                }
                vec![Until::Ring(self.fleet.in_state(State::Running))]
            }
            Step::Settle => vec![Until::Equal(self.report.number + 1)],
        };
        let talk = if let Step::Talk(time) = step { time } else { Duration::ZERO };
        Ok(Wait { until, since, limit: since + ANSWER + talk })
    }

    /// The greater half, with those that do not run, and the lesser, the leader in the lesser; with talkers in both if that
    /// can be.
    pub(super) fn halves(&self) -> Vec<Vec<usize>> {
        let all = self.fleet.in_state(State::Running);
        let leader = self.fleet.leader().or(all.first().copied()).unwrap_or_default();
        let has_talkers = |at: &usize| self.homes.values().any(|home| home == self.fleet.name(*at));
        let mut others: Vec<usize> = all.iter().copied().filter(|at| *at != leader).collect();
        let wanted = !has_talkers(&leader);
        others.sort_by_key(|at| has_talkers(at) != wanted);
        let mut lesser: BTreeSet<usize> = others.into_iter().take((all.len() / 2).saturating_sub(1)).collect();
        lesser.insert(leader);
        let everyone = 0..self.fleet.names().len();
        vec![everyone.filter(|at| !lesser.contains(at)).collect(), lesser.into_iter().collect()]
    }

    /// A running server that does not lead; another for another number.
    fn other_than_leader(&self, number: usize) -> Whom {
        let leader = self.fleet.leader();
        let others: Vec<usize> =
            self.fleet.in_state(State::Running).into_iter().filter(|at| Some(*at) != leader).collect();
        others.get(number / 2 % others.len().max(1)).map_or(Whom::Leader, |&at| Whom::One(at))
    }

    /// Does what a step needs; that it is refused fails the lesson.
    pub(super) fn must(&mut self, action: Action) -> Result<(), Failure> {
        self.perform(action).map_err(|trouble| match trouble {
            Trouble::Refused(refusal) => failed(refusal.message.trim_end_matches('.')),
            Trouble::Failed(failure) => failure,
        })
    }

    fn tell_talk(&mut self) -> Result<(), Failure> {
        let (made, stable) = self.ledger.counts();
        let waits = self.ledger.take_waits();
        let (usual, longest) = (waits.sum / waits.count.max(1), waits.longest);
        let how = if waits.count == 0 {
            String::new()
        } else {
            let (usual, longest) = (span(usual), span(longest));
            format!(" In this step they waited {usual} for that on average, {longest} at most.")
        };
        let words = format!(
            "{} said, {stable} of them acknowledged: stored by every server of their view.{how}",
            messages(made)
        );
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (usual, longest) = (ms(usual), ms(longest));
        let fields = json!({ "submitted": made, "acknowledged": stable, "average_ms": usual, "longest_ms": longest });
        self.tell("talked", fields, &words)
    }
}
