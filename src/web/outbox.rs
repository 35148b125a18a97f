//! The outbox that a browser keeps, as its client goes on from it.

use super::answers::from_hex;
use super::document::refusal::Words;
use super::request::{Hello, Kept, MAX_OUTBOX};
use crate::client::Draft;
use crate::ids::ClientId;
use crate::name;
use crate::record::{Kind, MAX_BODY_BYTES};
use std::collections::{BTreeMap, BTreeSet};

/// What a browser brought, checked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Restored {
    /// Who it is, if it was anyone.
    pub(super) client: Option<ClientId>,
    /// All its numbers up to this one are done with.
    pub(super) acked_upto: u64,
    /// The others, without a gap.
    pub(super) unacked: Vec<(u64, Draft)>,
    /// Of these, those that have no addressee any more.
    pub(super) undeliverable: Vec<u64>,
}

/// Nicks to whom one-to-one messages of the outbox go.
pub(super) fn addressees(hello: &Hello) -> BTreeSet<&str> {
    hello.outbox.iter().filter_map(|kept| kept.to.as_deref()).collect()
}

/// The outbox of a hello, whose addressees were looked up.
///
/// A number that the browser does not know of was given, and perhaps used: a claim on the nick, which changes nothing,
/// takes its place. If it was used, the servers know the number and take it for the message that it was.
///
/// # Errors
/// The browser brought nonsense.
pub(super) fn restore(hello: &Hello, nick: &str, ids: &BTreeMap<String, ClientId>) -> Result<Restored, Words> {
    let bad = |what: &str| ("bad_outbox", format!("The outbox cannot be read: {what}."), "reload the page".to_owned());
    let client = match &hello.client {
        None => return Ok(Restored::default()),
        Some(text) => client_id(text).ok_or_else(|| bad("the client id is none"))?,
    };
    let kept: BTreeMap<u64, &Kept> =
        hello.outbox.iter().map(|kept| (kept.cseq, kept)).filter(|(cseq, _)| *cseq > hello.acked_upto).collect();
    let last = kept.keys().last().copied().unwrap_or(hello.acked_upto);
    if last - hello.acked_upto > MAX_OUTBOX as u64 || last > 1 << 60 {
        return Err(bad("its numbers are too far apart"));
    }
    let mut restored = Restored { client: Some(client), acked_upto: hello.acked_upto, ..Restored::default() };
    for cseq in hello.acked_upto + 1..=last {
        let draft = match kept.get(&cseq) {
            Some(kept) => match draft_of(kept, ids) {
                Brought::Message(draft) => draft,
                Brought::Undeliverable => {
                    restored.undeliverable.push(cseq);
                    claim(nick)
                }
                Brought::Nonsense => return Err(bad("a message is none")),
            },
            None => claim(nick),
        };
        restored.unacked.push((cseq, draft));
    }
    Ok(restored)
}

/// A client's id as text has it.
fn client_id(text: &str) -> Option<ClientId> {
    let bytes = from_hex(text)?;
    Some(ClientId(u64::from_be_bytes(bytes.try_into().ok()?)))
}

/// The message that claims a nick, again or for the first time.
pub(super) fn claim(nick: &str) -> Draft {
    Draft { room: String::new(), kind: Kind::Nick, body: nick.to_owned() }
}

/// A message that a browser brought.
enum Brought {
    /// One that can be sent.
    Message(Draft),
    /// Nobody goes by its addressee's nick.
    Undeliverable,
    /// None.
    Nonsense,
}

/// The message that was kept.
fn draft_of(kept: &Kept, ids: &BTreeMap<String, ClientId>) -> Brought {
    if kept.text.len() > MAX_BODY_BYTES {
        return Brought::Nonsense;
    }
    let kind = match (kept.kind.as_deref(), &kept.to) {
        (None | Some("direct"), Some(nick)) => match ids.get(nick) {
            Some(to) => Kind::Direct { to: *to },
            None => return Brought::Undeliverable,
        },
        (None | Some("text"), None) => Kind::Text,
        (Some("action"), None) => Kind::Action,
        (Some("topic"), None) => Kind::Topic,
        (Some("join"), None) => Kind::Join,
        (Some("leave"), None) => Kind::Leave,
        (Some("nick"), None) => Kind::Nick,
        _ => return Brought::Nonsense,
    };
    let may_lack = matches!(kind, Kind::Leave | Kind::Nick);
    let roomless = matches!(kind, Kind::Direct { .. }) || may_lack && kept.room.is_empty();
    let room = if roomless { Ok(String::new()) } else { name::parse(&kept.room) };
    room.map_or(Brought::Nonsense, |room| Brought::Message(Draft { room, kind, body: kept.text.clone() }))
}

/// The word of a kind, as `queued` has it and the outbox brings it back.
pub(super) fn kind_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Action => "action",
        Kind::Topic => "topic",
        Kind::Direct { .. } => "direct",
        Kind::Join => "join",
        Kind::Leave => "leave",
        Kind::Nick => "nick",
        Kind::Gone { .. } => "gone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(cseq: u64, text: &str) -> Kept {
        Kept { cseq, room: "lobby".into(), text: text.into(), ..Kept::default() }
    }

    fn hello(acked_upto: u64, outbox: Vec<Kept>) -> Hello {
        Hello { client: Some("000000000000feed".into()), acked_upto, outbox, ..Hello::default() }
    }

    #[test]
    fn outbox_comes_back_with_its_numbers_and_a_claim_where_one_is_unknown() {
        let direct = Kept { to: Some("bob".into()), ..kept(9, "psst") };
        let hello = hello(5, vec![kept(4, "done"), kept(6, "a"), kept(8, "b"), direct.clone()]);
        let ids = BTreeMap::from([("bob".to_owned(), ClientId(7))]);
        let restored = restore(&hello, "ana", &ids).unwrap();
        let text = |body: &str| Draft { room: "lobby".into(), kind: Kind::Text, body: body.into() };
        let to_bob = Draft { room: String::new(), kind: Kind::Direct { to: ClientId(7) }, body: "psst".into() };
        assert_eq!(restored.unacked, [(6, text("a")), (7, claim("ana")), (8, text("b")), (9, to_bob)]);
        assert_eq!((restored.client, restored.acked_upto), (Some(ClientId(0xfeed)), 5));
        let nobody = restore(&hello, "ana", &BTreeMap::new()).unwrap();
        assert_eq!(nobody.undeliverable, [9]);
    }

    #[test]
    fn nonsense_is_refused() {
        let far = hello(0, vec![kept(5000, "a")]);
        let long = hello(0, vec![kept(1, &"x".repeat(MAX_BODY_BYTES + 1))]);
        let room = hello(0, vec![Kept { room: "a b".into(), ..kept(1, "a") }]);
        let kind = hello(0, vec![Kept { kind: Some("gone".into()), ..kept(1, "a") }]);
        let id = Hello { client: Some("xyz".into()), ..Hello::default() };
        for hello in [far, long, room, kind, id, hello(0, vec![kept(u64::MAX, "a")])] {
            assert_eq!(restore(&hello, "ana", &BTreeMap::new()).unwrap_err().0, "bad_outbox");
        }
    }
}
