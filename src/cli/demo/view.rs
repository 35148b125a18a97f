//! A view of the ring as a server tells it in its events.

use serde_json::Value;

/// A view, as a server told it.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The epoch's number.
    pub(super) epoch: u64,
    /// The leader's name.
    pub(super) leader: String,
    /// The leader's id.
    pub(super) leader_id: String,
    /// The members' ids and names, ascending by id, as they stand in the ring.
    pub(super) members: Vec<(String, String)>,
    /// Why it began, in a word or two.
    pub(super) reason: String,
}

impl View {
    /// What the event says.
    pub(super) fn read(event: &Value) -> Option<Self> {
        let member = |member: &Value| Some((member["id"].as_str()?.to_owned(), member["name"].as_str()?.to_owned()));
        let mut members: Vec<(String, String)> = event["members"].as_array()?.iter().filter_map(member).collect();
        members.sort();
        let leader = event["leader"].as_str()?.to_owned();
        let leader_id = event["leader_id"].as_str().map(str::to_owned);
        let leader_id = leader_id.or_else(|| Some(members.iter().find(|(_, name)| *name == leader)?.0.clone()))?;
        let reason = event["reason"].as_str().unwrap_or_default().to_owned();
        Some(Self { epoch: event["epoch"].as_u64()?, leader, leader_id, members, reason })
    }

    /// Names in ring order.
    pub(super) fn names(&self) -> Vec<&str> {
        self.members.iter().map(|(_, name)| name.as_str()).collect()
    }

    /// `ash → elm → oak → ash`
    pub(super) fn ring(&self) -> String {
        let mut names = self.names();
        names.extend(names.first().copied().filter(|_| names.len() > 1));
        names.join(" → ")
    }
}

/// Why it began is told differently by who was in the one before and who was not.
impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.leader_id == other.leader_id && self.members == other.members
    }
}
