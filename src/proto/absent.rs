//! Servers that should be here: they were in the view and ended without a goodbye.

use crate::ids::{Pid, ServerId};
use crate::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long a server that does not come back is told of.
pub const MISSED_FOR: Duration = Duration::from_hours(1);
/// Most servers told of, and most goodbyes remembered; beyond, the oldest make way.
const MOST: usize = 64;

/// What `status` tells of servers that are not heard.
#[derive(Clone, Debug, Default)]
pub struct Absent {
    missed: BTreeMap<ServerId, Missed>,
    /// The last processes that said goodbye.
    left: VecDeque<Pid>,
}

#[derive(Clone, Debug)]
struct Missed {
    pid: Pid,
    name: String,
    until: Time,
}

impl Absent {
    /// A process says goodbye.
    pub fn said_goodbye(&mut self, pid: Pid) {
        if self.has_left(pid) {
            return;
        }
        if self.left.len() >= MOST {
            self.left.pop_front();
        }
        self.left.push_back(pid);
        if self.missed.get(&pid.server).is_some_and(|missed| missed.pid == pid) {
            self.missed.remove(&pid.server);
        }
    }

    /// Whether a process has said goodbye.
    pub fn has_left(&self, pid: Pid) -> bool {
        self.left.contains(&pid)
    }

    /// A member has ended, or the view went on without it, whichever is known first: it is missed if it said no goodbye.
    pub fn ended(&mut self, now: Time, pid: Pid, name: &str) {
        if self.has_left(pid) {
            return;
        }
        self.missed.insert(pid.server, Missed { pid, name: name.to_owned(), until: now + MISSED_FOR });
        let oldest = self.missed.iter().min_by_key(|(_, missed)| missed.until).map(|(server, _)| *server);
        if let Some(oldest) = oldest.filter(|_| self.missed.len() > MOST) {
            self.missed.remove(&oldest);
        }
    }

    /// A server is heard again, or in the view.
    pub fn is_back(&mut self, pid: Pid) {
        self.missed.remove(&pid.server);
    }

    /// Who is missed, ascending by id, with the names they had.
    pub fn missed(&self, now: Time) -> impl Iterator<Item = (Pid, &str)> {
        self.missed.values().filter(move |missed| missed.until > now).map(|missed| (missed.pid, missed.name.as_str()))
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
    fn goodbye_of_an_earlier_life_takes_nobody_from_those_who_are_missed() {
        let mut absent = Absent::default();
        let later = Pid { incarnation: Incarnation { boot: 2, random: 1 }, ..pid(1) };
        absent.ended(Time(0), later, "oak");
        absent.said_goodbye(pid(1));
        assert_eq!(missed(&absent, Time(1)), ["oak"]);
        absent.said_goodbye(later);
        assert!(missed(&absent, Time(1)).is_empty());
    }

    #[test]
    fn who_ended_without_a_goodbye_is_missed_until_it_is_back_or_given_up() {
        let mut absent = Absent::default();
        absent.ended(Time(0), pid(1), "oak");
        absent.ended(Time(0), pid(2), "elm");
        assert_eq!(missed(&absent, Time(1)), ["oak", "elm"]);
        absent.is_back(pid(1));
        assert_eq!(missed(&absent, Time(1)), ["elm"]);
        assert!(missed(&absent, Time(0) + MISSED_FOR).is_empty());
    }

    #[test]
    fn who_said_goodbye_is_not_missed_whatever_is_known_first() {
        let mut absent = Absent::default();
        absent.said_goodbye(pid(1));
        absent.ended(Time(0), pid(1), "oak");
        absent.ended(Time(0), pid(2), "elm");
        absent.said_goodbye(pid(2));
        absent.ended(Time(1), pid(2), "elm");
        assert!(missed(&absent, Time(1)).is_empty());
    }

    #[test]
    fn no_more_are_remembered_than_the_bound_and_the_latest_stay() {
        let mut absent = Absent::default();
        for n in 0..200 {
            absent.said_goodbye(pid(1000 - n));
            absent.ended(Time(n), pid(2000 - n), &n.to_string());
        }
        assert_eq!((absent.left.len(), missed(&absent, Time(200)).len()), (MOST, MOST));
        assert!(absent.has_left(pid(801)) && missed(&absent, Time(200)).contains(&"199".to_owned()));
    }
}
