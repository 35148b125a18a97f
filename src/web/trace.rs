//! Events of servers' records as JSON: what `record` files hold, the page draws and `explain --json` tells.
//!
//! ```json
//! {"server":"oak","seq":17,"at_us":1763995200123456,"what":"sent","kind":"data","to":"all","via":"multicast",
//!  "sum":305419896,"bytes":321,"fields":{"epoch":13,"origin":"oak","oseq":9,"part":0,"parts":1,"ids":["<client>-<cseq>"]}}
//! ```

use super::event;
use crate::ids::{MessageId, ServerId};
use crate::wire::sketch::{RunSketch, Sketch};
use crate::wire::trace::{TraceEvent, Via, What, Whom};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Names of servers, as records tell them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names(BTreeMap<ServerId, String>);

impl Names {
    /// Learns names; what is known already stays, so that a server is called the same throughout.
    pub fn learn<'a>(&mut self, names: impl IntoIterator<Item = &'a (ServerId, String)>) {
        for (server, name) in names {
            self.0.entry(*server).or_insert_with(|| name.clone());
        }
    }

    /// The server's name; its id's letters when nobody told.
    pub fn of(&self, server: ServerId) -> String {
        self.0.get(&server).filter(|name| !name.is_empty()).map_or_else(|| server.to_string(), Clone::clone)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }

    fn of_all(&self, servers: &[ServerId]) -> Vec<String> {
        servers.iter().map(|server| self.of(*server)).collect()
    }

    fn of_known(&self, server: Option<ServerId>) -> Option<String> {
        server.map(|server| self.of(server))
    }

    fn whom(&self, whom: Whom) -> String {
        match whom {
            Whom::All => "all".to_owned(),
            Whom::Server(server) => self.of(server),
            Whom::Addr(addr) => addr.to_string(),
        }
    }
}

/// The JSON of an event in the record of `server`.
pub fn document(server: ServerId, event: &TraceEvent, names: &Names) -> Value {
    let mut document = Map::new();
    let mut put = |key: &str, value: Value| _ = document.insert(key.to_owned(), value);
    put("server", names.of(server).into());
    put("seq", event.seq.into());
    put("at_us", event.at_us.into());
    put("what", word(&event.what).into());
    match &event.what {
        What::Sent { to, via, sum, bytes, sketch, repair } => {
            put("kind", sketch.name().into());
            put("to", names.whom(*to).into());
            put("via", way(*via).into());
            put("sum", (*sum).into());
            put("bytes", (*bytes).into());
            put("fields", with_repair(fields(sketch, names), *repair));
        }
        What::Received { from, via, sum, bytes, sketch } => {
            put("kind", sketch.name().into());
            put("from", names.whom(*from).into());
            put("via", way(*via).into());
            put("sum", (*sum).into());
            put("bytes", (*bytes).into());
            put("fields", fields(sketch, names));
        }
        What::Dropped { reason, from, sum } => {
            put("reason", reason.clone().into_owned().into());
            put("from", from.map(|from| names.whom(from)).into());
            put("sum", (*sum).into());
        }
        What::Accepted { id, room } => put("fields", json!({ "id": id.to_string(), "room": room })),
        What::Durable { epoch, upto } | What::Stable { epoch, upto } => {
            put("fields", json!({ "epoch": epoch, "upto": upto }));
        }
        What::Delivered { epoch, gsn, origin, oseq, copies, of, ids } => put(
            "fields",
            json!({
                "epoch": epoch, "gsn": gsn, "origin": names.of(*origin), "oseq": oseq, "copies": copies, "of": of,
                "late": false, "ids": texts(ids),
            }),
        ),
        What::DeliveredLate { epoch, gsn, upto } => {
            put("fields", json!({ "epoch": epoch, "gsn": gsn, "upto": upto, "late": true }));
        }
        What::Event(told) => put("fields", told_fields(told)),
    }
    Value::Object(document)
}

fn word(what: &What) -> &'static str {
    match what {
        What::Sent { .. } => "sent",
        What::Received { .. } => "received",
        What::Dropped { .. } => "dropped",
        What::Accepted { .. } => "accepted",
        What::Durable { .. } => "durable",
        What::Stable { .. } => "stable",
        What::Delivered { .. } | What::DeliveredLate { .. } => "delivered",
        What::Event(_) => "event",
    }
}

fn way(via: Via) -> &'static str {
    match via {
        Via::Multicast => "multicast",
        Via::Unicast => "unicast",
        Via::Link => "link",
    }
}

fn told_fields(told: &crate::proto::event::Event) -> Value {
    let (word, fields) = event::document(told);
    let mut document = Map::new();
    document.insert("event".to_owned(), word.into());
    if let crate::proto::event::Event::View { view, .. } = told {
        document.insert("epoch".to_owned(), view.epoch.num.into());
    }
    if let Value::Object(fields) = fields {
        document.extend(fields);
    }
    Value::Object(document)
}

fn with_repair(mut fields: Value, repair: bool) -> Value {
    if let Value::Object(fields) = &mut fields
        && repair
    {
        fields.insert("repair".to_owned(), true.into());
    }
    fields
}

fn texts(ids: &[MessageId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn fields(sketch: &Sketch, names: &Names) -> Value {
    match sketch {
        Sketch::Beacon { epoch, promised, ready, oseq, head, have, stable, clients, heard } => json!({
            "epoch": epoch, "promised": promised, "ready": ready, "oseq": oseq, "head": head, "have": have,
            "stable": stable, "clients": clients, "heard": heard,
        }),
        Sketch::Scout { any_net } => json!({ "any_net": any_net }),
        Sketch::Elsewhere | Sketch::Bye | Sketch::WantPruned => json!({}),
        // Scripts and pages would round it as a number.
        Sketch::Ping { nonce } | Sketch::Pong { nonce } | Sketch::Probe { nonce } | Sketch::Echo { nonce } => {
            json!({ "nonce": format!("{nonce:016x}") })
        }
        Sketch::Suspect { servers } | Sketch::Heard { servers } | Sketch::Failed { servers } => {
            json!({ "servers": names.of_all(servers) })
        }
        Sketch::Elect { num, candidate, ready, priority, path, hop } => json!({
            "num": num, "candidate": names.of(*candidate), "ready": ready, "priority": priority,
            "path": names.of_all(path), "hop": hop,
        }),
        Sketch::ElectAck { hop } => json!({ "hop": hop }),
        Sketch::Propose { epoch, members } => json!({ "epoch": epoch, "members": names.of_all(members) }),
        Sketch::State { epoch, last, len, stable, damaged } => {
            json!({ "epoch": epoch, "last": last, "len": len, "stable": stable, "damaged": damaged })
        }
        Sketch::Refuse { epoch, promised } => json!({ "epoch": epoch, "promised": promised }),
        Sketch::Commit { epoch, members, cuts } => {
            let cut = |&(epoch, cut): &(u64, u64)| json!({ "epoch": epoch, "cut": cut });
            let cuts: Vec<Value> = cuts.iter().map(cut).collect();
            json!({ "epoch": epoch, "members": names.of_all(members), "cuts": cuts })
        }
        Sketch::Prepared { epoch }
        | Sketch::Install { epoch }
        | Sketch::Opened { epoch }
        | Sketch::Working { epoch } => json!({ "epoch": epoch }),
        Sketch::WantTable { epoch, buckets } => json!({ "epoch": epoch, "buckets": buckets }),
        Sketch::Table { epoch, clients, complete } => {
            json!({ "epoch": epoch, "clients": clients, "complete": complete })
        }
        Sketch::Data { .. }
        | Sketch::Order { .. }
        | Sketch::Ack { .. }
        | Sketch::Nack { .. }
        | Sketch::Heads { .. } => data_path(sketch, names),
        Sketch::Digest { epochs, answer } => json!({ "epochs": epochs, "answer": answer }),
        Sketch::Summary { stretches } => json!({ "stretches": stretches }),
        Sketch::Pruned { clients, complete } => json!({ "clients": clients, "complete": complete }),
        Sketch::Want { epoch, from } => json!({ "epoch": epoch, "from": from }),
        Sketch::Fill { epoch, first, count, committed } => {
            json!({ "epoch": epoch, "first": first, "count": count, "committed": committed })
        }
    }
}

fn data_path(sketch: &Sketch, names: &Names) -> Value {
    match sketch {
        Sketch::Data { epoch, origin, oseq, part, parts, ids } => json!({
            "epoch": epoch, "origin": names.of_known(*origin), "oseq": oseq, "part": part, "parts": parts,
            "ids": texts(ids),
        }),
        Sketch::Order { epoch, stable, first, runs } => {
            let run = |run: &RunSketch| {
                json!({
                    "origin": names.of_known(run.origin), "oseq": run.oseq, "gsn": run.gsn, "batches": run.batches,
                    "datagrams": run.datagrams,
                })
            };
            let runs: Vec<Value> = runs.iter().map(run).collect();
            json!({ "epoch": epoch, "stable": stable, "first": first, "runs": runs })
        }
        Sketch::Ack { epoch, have } => json!({ "epoch": epoch, "have": have }),
        Sketch::Nack { epoch, order, data } => {
            let data: Vec<Value> =
                data.iter().map(|(origin, first, last)| json!([names.of_known(*origin), first, last])).collect();
            json!({ "epoch": epoch, "order": order, "data": data })
        }
        Sketch::Heads { epoch, oseq, order, stable } => {
            json!({ "epoch": epoch, "oseq": oseq, "order": order, "stable": stable })
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ClientId, Pid};
    use crate::proto::event::Event;

    const OAK: ServerId = ServerId(1);
    const ELM: ServerId = ServerId(2);

    fn text(what: What) -> String {
        let mut names = Names::default();
        names.learn(&[(OAK, "oak".to_owned())]);
        document(OAK, &TraceEvent { seq: 17, at_us: 1_763_995_200_123_456, what }, &names).to_string()
    }

    fn data(repair: bool) -> What {
        let ids = vec![MessageId { client: ClientId(0xfeed), cseq: 7 }];
        let sketch = Sketch::Data { epoch: 13, origin: Some(OAK), oseq: 9, part: 0, parts: 1, ids };
        What::Sent { to: Whom::All, via: Via::Multicast, sum: 305_419_896, bytes: 321, repair, sketch }
    }

    #[test]
    fn data_that_was_sent_is_the_document_of_the_contract() {
        assert_eq!(
            text(data(false)),
            "{\"server\":\"oak\",\"seq\":17,\"at_us\":1763995200123456,\"what\":\"sent\",\"kind\":\"data\",\"to\":\"all\",\
             \"via\":\"multicast\",\"sum\":305419896,\"bytes\":321,\"fields\":{\"epoch\":13,\"origin\":\"oak\",\"oseq\":9,\
             \"part\":0,\"parts\":1,\"ids\":[\"000000000000feed-7\"]}}"
        );
        assert!(text(data(true)).ends_with("\"repair\":true}}"));
    }

    #[test]
    fn server_whose_name_nobody_told_goes_by_its_id() {
        let sketch = Sketch::Ack { epoch: 13, have: 4 };
        let from = Whom::Server(ELM);
        let told = text(What::Received { from, via: Via::Unicast, sum: 1, bytes: 40, sketch });
        assert!(told.contains(&format!("\"from\":\"{ELM}\"")), "{told}");
        let at = "10.0.0.1:8285".parse().unwrap();
        let told = text(What::Dropped { reason: "malformed".into(), from: Some(Whom::Addr(at)), sum: 0 });
        assert!(told.ends_with("\"what\":\"dropped\",\"reason\":\"malformed\",\"from\":\"10.0.0.1:8285\",\"sum\":0}"));
    }

    #[test]
    fn what_people_are_told_is_in_the_record_as_they_are_told() {
        let event = Event::Suspected { pid: Pid { server: ELM, ..Pid::default() }, name: "elm".into() };
        assert!(text(What::Event(Box::new(event))).ends_with(
            "\"what\":\"event\",\"fields\":{\"event\":\"suspected\",\"server\":\"elm\",\"id\":\"0000000000000002\"}}"
        ));
    }

    #[test]
    fn view_in_the_record_has_its_epoch() {
        let epoch = crate::ids::EpochId { num: 12, ..Default::default() };
        let view = crate::record::View { epoch, ..Default::default() };
        let event = Event::View { view, addrs: Vec::new(), reason: "join".into() };
        assert!(text(What::Event(Box::new(event))).contains("\"fields\":{\"event\":\"view\",\"epoch\":12,"));
    }

    #[test]
    fn late_stretch_is_told_with_its_ends() {
        assert!(
            text(What::DeliveredLate { epoch: 3, gsn: 5, upto: 900 })
                .ends_with("\"what\":\"delivered\",\"fields\":{\"epoch\":3,\"gsn\":5,\"upto\":900,\"late\":true}}")
        );
    }
}
