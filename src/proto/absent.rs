//! Servers that should be here: they were in the view and ended without a goodbye.

use crate::ids::{Pid, ServerId};
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a server that does not come back is told of.
pub const MISSED_FOR: Duration = Duration::from_hours(1);
/// Most servers told of, and most goodbyes remembered; beyond, the oldest ids make way.
const MOST: usize = 64;

/// What `status` tells of servers that are not heard.
#[derive(Clone, Debug, Default)]
pub struct Absent {
    missed: BTreeMap<ServerId, (Pid, String, Time)>,
    /// Processes that have said goodbye and are not taken for dead yet.
    leaving: BTreeSet<Pid>,
}

impl Absent {
    /// A process says goodbye.
    pub fn said_goodbye(&mut self, pid: Pid) {
        self.leaving.insert(pid);
        if self.leaving.len() > MOST {
            self.leaving.pop_first();
        }
    }

    /// A process has ended; whether it had said goodbye. Only `members` are missed.
    pub fn ended(&mut self, now: Time, pid: Pid, name: &str, member: bool) -> bool {
        if self.leaving.remove(&pid) {
            self.missed.remove(&pid.server);
            return true;
        }
        if member {
            self.missed.insert(pid.server, (pid, name.to_owned(), now + MISSED_FOR));
            if self.missed.len() > MOST {
                self.missed.pop_first();
            }
        }
        false
    }

    /// A server is heard again.
    pub fn is_back(&mut self, pid: Pid) {
        self.missed.remove(&pid.server);
    }

    /// Who is missed, ascending by id, with the names they had.
    pub fn missed(&self, now: Time) -> impl Iterator<Item = (Pid, &str)> {
        self.missed.values().filter(move |(_, _, until)| *until > now).map(|(pid, name, _)| (*pid, name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Incarnation;

    fn pid(server: u64) -> Pid {
        Pid { server: ServerId(server), incarnation: Incarnation { boot: 1, random: 1 } }
    }

    fn missed(absent: &Absent, now: Time) -> Vec<String> {
        absent.missed(now).map(|(_, name)| name.to_owned()).collect()
    }

    #[test]
    fn who_ended_without_a_goodbye_is_missed_until_it_is_back_or_given_up() {
        let mut absent = Absent::default();
        assert!(!absent.ended(Time(0), pid(1), "oak", true));
        assert!(!absent.ended(Time(0), pid(2), "elm", true));
        assert_eq!(missed(&absent, Time(1)), ["oak", "elm"]);
        absent.is_back(pid(1));
        assert_eq!(missed(&absent, Time(1)), ["elm"]);
        assert!(missed(&absent, Time(0) + MISSED_FOR).is_empty());
    }

    #[test]
    fn who_said_goodbye_or_was_in_no_view_is_not_missed() {
        let mut absent = Absent::default();
        absent.said_goodbye(pid(1));
        assert!(absent.ended(Time(0), pid(1), "oak", true));
        assert!(!absent.ended(Time(0), pid(2), "elm", false));
        assert!(missed(&absent, Time(1)).is_empty());
    }

    #[test]
    fn no_more_are_remembered_than_the_bound() {
        let mut absent = Absent::default();
        for server in 0..200 {
            absent.said_goodbye(pid(server));
            absent.ended(Time(0), pid(1000 + server), "x", true);
        }
        assert_eq!((absent.leaving.len(), missed(&absent, Time(1)).len()), (MOST, MOST));
    }
}
