// The kinds of messages between servers in groups, each with its colour and stroke, and what an event is in a few words.

/** Groups of the legend: hook, words, strokes (`dash` in pixels, `width`), whether shown at first. */
export const GROUPS = [
  { name: "data", words: "data", what: "messages on their way to all servers", width: 1.6, dash: [], isOn: true },
  { name: "order", words: "order", what: "the leader gives places", width: 1.6, dash: [], isOn: true },
  { name: "ack", words: "ack", what: "on disk here", width: 1, dash: [2, 3], isOn: true },
  { name: "nack", words: "NACK", what: "something is missing here", width: 2, dash: [6, 3], isOn: true },
  { name: "repair", words: "repair", what: "sent again for who asked", width: 2.4, dash: [], isOn: true },
  { name: "beacon", words: "beacon", what: "four times a second: I am here", width: 1, dash: [], isOn: true },
  { name: "election", words: "election", what: "the token goes round", width: 2.4, dash: [], isOn: true },
  { name: "view", words: "view change", what: "propose, state, commit, prepared, install", width: 2, dash: [], isOn: true },
  { name: "suspicion", words: "suspicion", what: "does anyone hear it? ping, pong, heard, failed, bye", width: 1.6, dash: [4, 2], isOn: true },
  { name: "catchup", words: "catch-up", what: "history that was missed", width: 1.6, dash: [1, 2], isOn: true },
  { name: "client", words: "client", what: "a client's message taken by its server", width: 1, dash: [1, 3], isOn: true },
  { name: "mark", words: "disk, stable, delivered", what: "what a server did by itself", width: 1, dash: [], isOn: false },
];

const GROUP_OF = {
  data: "data", order: "order", ack: "ack", nack: "nack",
  beacon: "beacon", heads: "beacon", scout: "beacon", elsewhere: "beacon",
  elect: "election", "elect-ack": "election",
  propose: "view", state: "view", refuse: "view", commit: "view", prepared: "view", working: "view", install: "view",
  opened: "view", "want-table": "view", table: "view",
  ping: "suspicion", pong: "suspicion", suspect: "suspicion", heard: "suspicion", failed: "suspicion", bye: "suspicion",
  digest: "catchup", summary: "catchup", want: "catchup", fill: "catchup",
};
const indexOf = new Map(GROUPS.map((group, index) => [group.name, index]));
const REPAIR = indexOf.get("repair");
const MARK = indexOf.get("mark");
const CLIENT = indexOf.get("client");
const VIEW = indexOf.get("view");
const SUSPICION = indexOf.get("suspicion");
const ELECTION = indexOf.get("election");

/** The group's number of an event. */
export function groupOf(event) {
  if (event.what === "sent" || event.what === "received") {
    return event.fields?.repair ? REPAIR : indexOf.get(GROUP_OF[event.kind] ?? "catchup");
  }
  if (event.what === "accepted") return CLIENT;
  if (event.what !== "event") return MARK;
  const name = event.fields?.event;
  if (name === "election") return ELECTION;
  return name === "suspected" || name === "failed" ? SUSPICION : VIEW;
}

/** A server's name, however it is told. */
export function nameOf(server) {
  return typeof server === "string" ? server : (server?.name ?? "");
}

/** What happened, in a few plain words for the list beside the ring, the same from every server that tells it; null for what
 * is too small for it. */
export function told(event) {
  if (event.what !== "event") return null;
  const { server, fields } = event;
  switch (fields.event) {
    case "suspected":
      return `nothing is heard of ${nameOf(fields.server)}`;
    case "failed":
      return `${nameOf(fields.server)} is taken for dead`;
    case "rejoined":
      return `${nameOf(fields.server)} is back`;
    case "election":
      return fields.winner ? `election ${fields.num}: ${nameOf(fields.winner)} won` : `election ${fields.num} begins at ${nameOf(fields.started_by)}`;
    case "view":
      return `${nameOf(fields.leader)} leads${fields.epoch ? ` epoch ${fields.epoch}` : ""}: ${(fields.members ?? []).map(nameOf).join(", ")}`;
    case "caught_up":
      return fields.messages > 0 ? `${server} caught up: ${fields.messages} messages` : null;
    case "merged":
      return `${server} merged ${fields.messages} messages from the other side`;
    default:
      return null;
  }
}
