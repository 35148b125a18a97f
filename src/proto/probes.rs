//! Whether another server gets full-sized datagrams, answers with such, and its disk does what it is asked.

use crate::ids::Pid;
use crate::proto::rng::Rng;
use crate::record::MAX_SERVERS;
use crate::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// An unanswered question is repeated this often.
const REPEAT: Duration = Duration::from_millis(50);
/// An answer to one that is older than this does not count: who is that slow would hold up everyone.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer counts.
const VALID: Duration = Duration::from_secs(3);

/// What became of the questions to others, before they join a view (`PROTOCOL.md` §5): where only small datagrams pass, a
/// server seems well and gets no data; every view with it would stand still until it is evicted, again and again.
///
/// Holds one for each server asked within the last seconds, and how long the last answers took.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    asked: BTreeMap<Pid, Probe>,
    took: BTreeMap<Pid, Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    nonce: u64,
    first: Time,
    sent: Time,
    passed: Option<Time>,
}

impl Probes {
    /// Asks a server, unless it was asked a moment ago: the nonce to send now.
    pub fn ask(&mut self, now: Time, pid: Pid, rng: &mut Rng) -> Option<u64> {
        self.asked.retain(|_, probe| now.since(probe.sent) <= PATIENCE + VALID);
        match self.asked.get_mut(&pid) {
            Some(probe) if now.since(probe.sent) < REPEAT => None,
            Some(probe) if now.since(probe.first) < PATIENCE => {
                probe.sent = now;
                Some(probe.nonce)
            }
            found => {
                let passed = found.and_then(|probe| probe.passed);
                let nonce = rng.next_u64();
                self.asked.insert(pid, Probe { nonce, first: now, sent: now, passed });
                Some(nonce)
            }
        }
    }

    /// A full-sized answer came.
    pub fn on_echo(&mut self, now: Time, pid: Pid, nonce: u64) {
        if let Some(probe) = self.asked.get_mut(&pid)
            && probe.nonce == nonce
            && now.since(probe.first) <= PATIENCE
        {
            probe.passed = Some(now);
            if self.took.len() >= MAX_SERVERS && !self.took.contains_key(&pid) {
                self.took.pop_first();
            }
            self.took.insert(pid, now.since(probe.first));
        }
    }

    /// How long a server's last answer took, its disk's work included; nothing when it never gave one.
    pub fn took(&self, pid: Pid) -> Duration {
        self.took.get(&pid).copied().unwrap_or_default()
    }

    /// Whether a server has answered lately.
    pub fn has_passed(&self, now: Time, pid: Pid) -> bool {
        self.asked.get(&pid).and_then(|probe| probe.passed).is_some_and(|at| now.since(at) <= VALID)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time(1_000_000) + Duration::from_millis(ms)
    }

    #[test]
    fn answers_count_for_a_time_and_only_to_what_was_asked_a_moment_ago() {
        let (mut probes, mut rng, pid) = (Probes::default(), Rng::new(1), Pid::default());
        let nonce = probes.ask(at(0), pid, &mut rng).unwrap();
        assert_eq!(probes.ask(at(20), pid, &mut rng), None, "asked a moment ago");
        assert_eq!(probes.ask(at(60), pid, &mut rng), Some(nonce), "repeated");
        probes.on_echo(at(70), pid, nonce + 1);
        assert!(!probes.has_passed(at(70), pid), "an answer to something else");
        assert_eq!(probes.took(pid), Duration::ZERO);
        probes.on_echo(at(70), pid, nonce);
        assert!(probes.has_passed(at(3000), pid));
        assert_eq!(probes.took(pid), Duration::from_millis(70));
        assert!(!probes.has_passed(at(3100), pid), "worn out");

        let second = probes.ask(at(3100), pid, &mut rng).unwrap();
        assert_ne!(second, nonce);
        probes.on_echo(at(5200), pid, second);
        assert!(!probes.has_passed(at(5200), pid), "too slow");
    }

    #[test]
    fn who_is_asked_no_more_is_forgotten() {
        let (mut probes, mut rng) = (Probes::default(), Rng::new(1));
        for n in 0..200 {
            let pid = Pid { server: crate::ids::ServerId(n), ..Pid::default() };
            assert!(probes.ask(at(1000 * n), pid, &mut rng).is_some());
        }
        assert!(probes.asked.len() < 8, "{}", probes.asked.len());
    }
}
