//! Answers to what people ask.

use super::pages::Sought;
use super::{Checker, Verdict, Violation, hold};
use crate::sim::world::Counts;
use crate::wire::session::{Answer, Query};

impl Checker {
    /// 28: an answer names nobody by a nick that he never wrote under.
    pub fn answered(&mut self, client: usize, query: &Query, answer: &Answer, counts: &mut Counts) -> Verdict {
        let number = client + 1;
        counts.rare("questions answered");
        match answer {
            Answer::Nick(Some(owner)) => {
                let Query::Nick(nick) = query else { return wrong(number, query) };
                let has_it = self.talk.has_claimed(nick, *owner);
                hold!(28, has_it, "c{number} is told that {nick} is {owner}, who never wrote under it");
            }
            Answer::Who(who) => {
                for one in who {
                    let has_it = self.talk.has_claimed(&one.nick, one.client);
                    hold!(28, has_it, "c{number} is told of {one:?}, who never wrote under that nick");
                }
            }
            Answer::Page { records, more } => {
                let Some(sought) = Sought::of(query) else { return wrong(number, query) };
                counts.rare("pages of history");
                self.page(client, sought, records, *more)?;
            }
            Answer::Failed(why) => hold!(28, false, "c{number} is not answered: {why}"),
            _ => {}
        }
        Ok(())
    }
}

fn wrong(number: usize, query: &Query) -> Verdict {
    Err(Violation { property: 28, text: format!("c{number} is answered something else than {query:?}") })
}
