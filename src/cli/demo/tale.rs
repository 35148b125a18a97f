//! What the demo tells while it goes on: plain words for people, an object a line for scripts.

use crate::cli::failure::Failure;
use crate::cli::output::{Output, Style, to_json};
use crate::cli::shown::shown;
use crate::cli::times::{clock, now_ms, rfc3339};
use serde_json::{Value, json};
use std::time::Instant;

/// A running commentary, timed from its beginning.
#[derive(Debug)]
pub(super) struct Tale {
    output: Output,
    begun: Instant,
}

impl Tale {
    /// Begins now.
    pub(super) fn new(output: &Output) -> Self {
        Self { output: output.clone(), begun: clock() }
    }

    /// Tells one thing.
    pub(super) fn tell(&self, event: &str, fields: Value, words: &str) -> Result<(), Failure> {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.output.json {
            let mut document = json!({ "event": event, "at": rfc3339(now_ms()), "ms": ms });
            if let (Value::Object(document), Value::Object(fields)) = (&mut document, fields) {
                document.extend(fields);
            }
            return self.output.line(&to_json(&document));
        }
        let at = self.output.paint(Style::Dim, &format!("{:>4}.{} s ", ms / 1000, ms % 1000 / 100));
        self.output.line(&format!("{at} {}", shown(words)))
    }
}
