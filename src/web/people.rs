//! Who is called what, as far as a browser has met them.

use crate::ids::ClientId;
use std::collections::BTreeMap;

/// People remembered; at the bound the memory begins anew.
const MAX_PEOPLE: usize = 4096;

/// Nicks by client id.
#[derive(Clone, Debug, Default)]
pub(super) struct People(BTreeMap<ClientId, String>);

impl People {
    /// Somebody goes by this nick.
    pub(super) fn met(&mut self, client: ClientId, nick: &str) {
        if nick.is_empty() || self.0.get(&client).is_some_and(|known| known == nick) {
            return;
        }
        if self.0.len() >= MAX_PEOPLE {
            self.0.clear();
        }
        self.0.insert(client, nick.to_owned());
    }

    /// The nick of somebody, if known.
    pub(super) fn nick(&self, client: ClientId) -> Option<&str> {
        self.0.get(&client).map(String::as_str)
    }
}
