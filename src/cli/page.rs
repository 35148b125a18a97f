//! History, page by page: never all of it in memory unless its end was asked for.

use super::contact::Contact;
use super::failure::Failure;
use crate::record::Record;
use crate::wire::session::{Answer, HistoryQuery, Query};

/// Most messages asked for at once.
const PAGE: u32 = 1000;

/// Which part of what matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// The last so many.
    Last(u64),
    /// Everything.
    All,
}

/// A record and the name of the leader that ordered it.
pub(crate) type Row = (Record, String);

/// Asks a server for history, or for what has these words in it.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    /// Who is asked.
    pub(crate) contact: &'a mut Contact,
    /// The words, when it is a search.
    pub(crate) words: Option<String>,
    /// What matches.
    pub(crate) within: HistoryQuery,
}

impl Pages<'_> {
    /// Hands over what matches, ascending, and tells whether there is more before it.
    pub(crate) fn read(
        &mut self,
        part: Part,
        mut each: impl FnMut(&Row) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        match part {
            Part::All => self.forwards(&mut each).map(|()| false),
            Part::Last(count) => {
                let (rows, more) = self.last(count)?;
                rows.iter().try_for_each(each)?;
                Ok(more)
            }
        }
    }

    fn forwards(&mut self, each: &mut impl FnMut(&Row) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut query = HistoryQuery { limit: PAGE, newest: false, ..self.within.clone() };
        loop {
            let (rows, more) = self.page(query.clone())?;
            rows.iter().try_for_each(&mut *each)?;
            match rows.last() {
                Some((record, _)) if more => query.after = Some(record.key),
                _ => return Ok(()),
            }
        }
    }

    /// The last so many, and whether there are more before them.
    pub(crate) fn last(&mut self, count: u64) -> Result<(Vec<Row>, bool), Failure> {
        let mut pages: Vec<Vec<Row>> = Vec::new();
        let mut query = HistoryQuery { newest: true, ..self.within.clone() };
        let mut left = count;
        while left > 0 {
            query.limit = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
            let (rows, more) = self.page(query.clone())?;
            left = left.saturating_sub(rows.len() as u64);
            let first = rows.first().map(|(record, _)| record.key);
            pages.push(rows);
            query.before = first;
            if !more || first.is_none() {
                return Ok((pages.into_iter().rev().flatten().collect(), false));
            }
        }
        Ok((pages.into_iter().rev().flatten().collect(), true))
    }

    fn page(&mut self, within: HistoryQuery) -> Result<(Vec<Row>, bool), Failure> {
        let query = match &self.words {
            Some(words) => Query::Search { words: words.clone(), within },
            None => Query::History(within),
        };
        match self.contact.ask(query)? {
            Answer::Page { records, more } => Ok((records, more)),
            other => Err(self.contact.nonsense(&other)),
        }
    }
}
