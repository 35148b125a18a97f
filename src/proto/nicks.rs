//! Whose name is whose: the claims that follow from the ordered log.

use crate::ids::{ClientId, RecordKey};
use crate::name;
use crate::time::Hlc;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// For how long after its owner was last seen a nick is kept, in milliseconds: 30 days.
pub const KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Most claims; at the bound those whose owners were not seen for longest are forgotten, a sixteenth at a time.
pub const MAX_CLAIMS: usize = 65_536;

/// Claims on names, compared without case: the least key keeps the name, until 30 days after its owner was last seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Nicks {
    /// By folded name.
    claims: BTreeMap<String, Claim>,
}

/// One client's claim on a name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    owner: ClientId,
    since: RecordKey,
    seen: Hlc,
}

impl Claim {
    /// Of one record.
    pub(super) fn new(owner: ClientId, key: RecordKey) -> Self {
        Self { owner, since: key, seen: key.hlc }
    }

    /// The owner wrote under the name at this place, too.
    pub(super) fn keep_up(&mut self, since: RecordKey, seen: Hlc) {
        self.since = self.since.min(since);
        self.seen = self.seen.max(seen);
    }

    /// Whose it is.
    pub(super) fn owner(&self) -> ClientId {
        self.owner
    }

    fn is_over(&self, at: Hlc) -> bool {
        self.seen.wall_ms().saturating_add(KEPT_MS) < at.wall_ms()
    }
}

impl Nicks {
    /// `client` wrote under `nick` at `key`: claims it if it is free then, or if this key is the lesser one. Returns who is
    /// without it: who thereby lost it, or `client` itself, where it is another's and stays so.
    pub fn claim(&mut self, nick: &str, client: ClientId, key: RecordKey) -> Option<ClientId> {
        self.absorb(&name::folded(nick), Claim::new(client, key))
    }

    /// The same with a claim by a folded name that was kept up for a while.
    pub(super) fn absorb(&mut self, folded: &str, claim: Claim) -> Option<ClientId> {
        let Some(held) = self.claims.get_mut(folded) else {
            self.make_room();
            self.claims.insert(folded.to_owned(), claim);
            return None;
        };
        if held.owner == claim.owner {
            held.keep_up(claim.since, claim.seen);
            return None;
        }
        let is_earlier = claim.since < held.since && !claim.is_over(held.since.hlc);
        let is_free = claim.since > held.since && held.is_over(claim.since.hlc);
        if is_earlier || is_free {
            return Some(std::mem::replace(held, claim).owner);
        }
        Some(claim.owner)
    }

    /// Who holds the nick at this time, if anyone does.
    pub fn owner(&self, nick: &str, at: Hlc) -> Option<ClientId> {
        self.claims.get(&name::fold(nick)).filter(|claim| !claim.is_over(at)).map(|claim| claim.owner)
    }

    /// Who held the nick last: whom a message to it reaches, even after a long absence.
    pub fn resolve(&self, nick: &str) -> Option<ClientId> {
        self.claims.get(&name::fold(nick)).map(|claim| claim.owner)
    }

    /// The nick itself when `client` may have it at this time, else the first like it that nobody holds: `ana2`, `ana3` …
    pub fn offer(&self, nick: &str, client: ClientId, at: Hlc) -> String {
        let may_have = |nick: &str| self.owner(nick, at).is_none_or(|owner| owner == client);
        if may_have(nick) {
            return nick.to_owned();
        }
        let stem = nick.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let stem = if stem.is_empty() { nick } else { stem };
        let numbered = (2_u64..).map(|number| shortened(stem, &number.to_string()));
        numbered.take(self.claims.len() + 1).find(|nick| may_have(nick)).unwrap_or_default()
    }

    fn make_room(&mut self) {
        if self.claims.len() < MAX_CLAIMS {
            return;
        }
        let mut oldest: Vec<(Hlc, String)> =
            self.claims.iter().map(|(nick, claim)| (claim.seen, nick.clone())).collect();
        oldest.sort_unstable();
        for (_, nick) in oldest.into_iter().take(MAX_CLAIMS / 16) {
            self.claims.remove(&nick);
        }
    }
}

/// The stem with the number behind it, the stem cut so that both are one valid name.
fn shortened(stem: &str, number: &str) -> String {
    let mut stem: String = stem.chars().take(name::MAX_CHARS - number.len()).collect();
    while stem.len() + number.len() > name::MAX_BYTES {
        stem.pop();
    }
    stem + number
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: ClientId = ClientId(1);
    const BOB: ClientId = ClientId(2);

    fn key(ms: u64) -> RecordKey {
        RecordKey { hlc: Hlc::from_wall_ms(ms), ..RecordKey::default() }
    }

    #[test]
    fn first_in_the_order_keeps_the_name_without_regard_to_case() {
        let mut nicks = Nicks::default();
        assert_eq!(nicks.claim("Ana", ANA, key(10)), None);
        assert_eq!(nicks.claim("ANA", BOB, key(20)), Some(BOB));
        assert_eq!(nicks.owner("ana", Hlc::from_wall_ms(20)), Some(ANA));
        assert_eq!(nicks.offer("ana", ANA, Hlc(0)), "ana");
        assert_eq!(nicks.offer("ana", BOB, Hlc(0)), "ana2");
        nicks.claim("ana2", BOB, key(30));
        assert_eq!(nicks.offer("ana", ClientId(3), Hlc(0)), "ana3");
        assert_eq!(nicks.offer("ana2", ClientId(3), Hlc(0)), "ana3");
    }

    #[test]
    fn least_key_takes_the_name_after_a_merge() {
        let mut nicks = Nicks::default();
        nicks.claim("ana", BOB, key(20));
        assert_eq!(nicks.claim("ana", ANA, key(10)), Some(BOB));
        assert_eq!(nicks.claim("ana", BOB, key(30)), Some(BOB));
        assert_eq!(nicks.resolve("ana"), Some(ANA));
    }

    #[test]
    fn name_is_free_thirty_days_after_its_owner_was_last_seen() {
        let mut nicks = Nicks::default();
        nicks.claim("ana", ANA, key(0));
        nicks.claim("ana", ANA, key(1000));
        nicks.claim("ana", BOB, key(KEPT_MS + 1000));
        assert_eq!(nicks.resolve("ana"), Some(ANA));
        let later = Hlc::from_wall_ms(KEPT_MS + 1001);
        assert_eq!((nicks.owner("ana", later), nicks.resolve("ana")), (None, Some(ANA)));
        assert_eq!(nicks.claim("ana", BOB, key(KEPT_MS + 1001)), Some(ANA));
        assert_eq!(nicks.claim("ana", ANA, key(500)), Some(ANA), "a tenancy that was over does not come back");
        assert_eq!(nicks.resolve("ana"), Some(BOB));
    }

    #[test]
    fn offers_are_valid_names_however_long_the_nick_is() {
        for nick in ["x".repeat(32), "\u{e9}".repeat(32), "12345678901234567890123456789012".into(), "7".into()] {
            let mut nicks = Nicks::default();
            nicks.claim(&nick, ANA, key(1));
            let offer = nicks.offer(&nick, BOB, Hlc(0));
            assert_eq!(name::parse(&offer).as_deref(), Ok(offer.as_str()));
            assert!(!name::same(&offer, &nick));
        }
    }

    #[test]
    fn at_the_bound_the_longest_unseen_are_forgotten() {
        let mut nicks = Nicks::default();
        for claim in 0..=MAX_CLAIMS as u64 {
            nicks.claim(&format!("n{claim}"), ClientId(claim), key(claim));
        }
        assert!(nicks.claims.len() <= MAX_CLAIMS);
        assert_eq!(nicks.resolve("n0"), None);
        assert_eq!(nicks.resolve("n65536"), Some(ClientId(65_536)));
    }
}
