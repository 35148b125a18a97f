//! How far one's own messages have got: `·` queued, `↑` a server has it, `✓` on the one disk there is, `✓✓` on all.

use crate::client::Progress;
use crate::ids::MessageId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A message that is not stable after this is told about.
const SLOW: Duration = Duration::from_millis(1500);

/// One's own messages that are not stable yet.
#[derive(Debug, Default)]
pub(super) struct Ladder {
    steps: BTreeMap<MessageId, Step>,
}

#[derive(Debug)]
struct Step {
    text: String,
    since: Instant,
    is_accepted: bool,
    is_told: bool,
}

impl Ladder {
    /// A message was made; one without text is never told about.
    pub(super) fn begin(&mut self, id: MessageId, text: &str, now: Instant) {
        let text = text.chars().take(60).collect();
        self.steps.insert(id, Step { text, since: now, is_accepted: false, is_told: false });
    }

    /// A message got further. Gives back the text of one that will never be taken.
    pub(super) fn climb(&mut self, id: MessageId, progress: &Progress) -> Option<String> {
        match progress {
            Progress::Queued => None,
            Progress::Accepted => {
                if let Some(step) = self.steps.get_mut(&id) {
                    step.is_accepted = true;
                }
                None
            }
            Progress::Stable { .. } => {
                self.steps.remove(&id);
                None
            }
            Progress::Rejected(_) => self.steps.remove(&id).map(|step| step.text),
        }
    }

    /// Marks and texts of messages that take long, each once.
    pub(super) fn slow(&mut self, now: Instant) -> Vec<(&'static str, &str)> {
        let is_slow = |step: &&mut Step| {
            !step.is_told && !step.text.is_empty() && now.saturating_duration_since(step.since) >= SLOW
        };
        self.steps
            .values_mut()
            .filter(is_slow)
            .map(|step| {
                step.is_told = true;
                (if step.is_accepted { "↑" } else { "·" }, step.text.as_str())
            })
            .collect()
    }

    /// How many are not stable.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }
}

/// The mark of a message that is history.
pub(super) fn stable_mark(copies: u16, of: u16) -> String {
    match (copies, of) {
        (1, 1) => "✓".to_owned(),
        (copies, of) if copies >= of => "✓✓".to_owned(),
        (copies, of) => format!("✓ {copies} of {of}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ClientId, RecordKey};

    fn id(cseq: u64) -> MessageId {
        MessageId { client: ClientId(1), cseq }
    }

    #[test]
    fn slow_messages_are_told_once_with_their_step() {
        let start = crate::cli::times::clock();
        let mut ladder = Ladder::default();
        ladder.begin(id(1), "one", start);
        ladder.begin(id(2), "two", start);
        ladder.begin(id(3), "three", start);
        ladder.climb(id(2), &Progress::Accepted);
        ladder.climb(id(3), &Progress::Stable { key: RecordKey::default(), copies: 3, of: 3 });
        assert!(ladder.slow(start).is_empty());
        assert_eq!(ladder.slow(start + SLOW), [("·", "one"), ("↑", "two")]);
        assert!(ladder.slow(start + SLOW).is_empty());
        assert_eq!(ladder.len(), 2);
    }

    #[test]
    fn marks_never_claim_more_than_is_known() {
        assert_eq!(stable_mark(1, 1), "✓");
        assert_eq!(stable_mark(3, 3), "✓✓");
        assert_eq!(stable_mark(2, 3), "✓ 2 of 3");
    }
}
