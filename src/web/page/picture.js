// The ring as it stands at a moment: each server's state, the leader, who is suspected, what is cut.
//
// Two sources: the state that the host tells each second, and the servers' own events. In a file there are only events; then
// the picture is made anew for the moment that is looked at.

import { nameOf } from "./kinds.js";

/** Events kept to make a picture of an earlier moment. */
const MAX_KEPT = 100_000;
/** A server whose beacons are so young lives, whoever cannot hear it. */
const BEAT_MS = 1500;

export class Picture {
  #kept = [];
  #next = 0;
  #at = -Infinity;
  #lastOrder = "";
  #toldLeader = "";

  constructor() {
    this.#clear();
  }

  #clear() {
    this.servers = new Map();
    this.epoch = 0;
    this.electing = null;
    this.#toldLeader = "";
  }

  /** The servers in the order of the ring: by id, as the token goes. */
  get ring() {
    const byId = (one, other) => (one.id || one.name).localeCompare(other.id || other.name);
    return [...this.servers.values()].sort(byId);
  }

  /** How many servers live, as far as it is known. */
  get living() {
    return [...this.servers.values()].filter((server) => stateOf(server) !== "failed").length;
  }

  /** Those who lead: one, or one on each side of a cut. The order of the ring's. */
  get leaders() {
    return this.ring.filter(leads).map(({ name }) => name);
  }

  /** The leader; of the rings of a cut network, that of the greatest epoch. Before anyone is known to lead, whom the host told. */
  get leader() {
    const later = (one, other) => (other.viewEpoch > one.viewEpoch ? other : one);
    return this.ring.filter(leads).reduce(later, { name: this.#toldLeader, viewEpoch: -1 }).name;
  }

  server(name) {
    if (!this.servers.has(name)) this.servers.set(name, unknown(name));
    return this.servers.get(name);
  }

  /** The state that the host tells, as one server sees it; of whom that one does not hear, as they see it themselves. */
  status(event) {
    this.#toldLeader = nameOf(event.leader);
    this.#reach(event.epoch);
    const told = new Set();
    for (const { name, epoch = event.epoch, apart = false, ...rest } of event.servers ?? []) {
      told.add(name);
      const server = this.server(name);
      // Who is out of the host's reach may live on the other side of a cut, and tell of itself.
      if (rest.state === "unreachable" && isHeard(server)) rest.state = server.state;
      Object.assign(server, rest);
      if (rest.state === "leader") this.#enthrone(server, epoch ?? 0);
      if (rest.state === "member" || rest.state === "catching_up") server.viewEpoch = Math.max(server.viewEpoch, epoch ?? 0);
      // What it said of itself may be older than its death.
      if (rest.state !== "unreachable" && !apart) server.isFailed = false;
      if (rest.state === "leader" || rest.state === "member") server.isSuspected &&= Date.now() - server.suspectedAt < 1500;
    }
    for (const [name, server] of this.servers) if (!told.has(name) && !server.process && !isHeard(server)) this.servers.delete(name);
  }

  /** What a demo knows of its processes and cut links. */
  demo(event) {
    for (const { name, state, cut_from: cutFrom, loss, digest, messages } of event.servers ?? []) {
      Object.assign(this.server(name), { process: state, cutFrom: cutFrom ?? [], demoLoss: loss, digest, messages });
    }
  }

  /** An event of a server's record. Returns whether it may have changed the picture. */
  trace(event) {
    const server = this.server(event.server);
    server.heardAt = event.at_us / 1000;
    if (event.what === "event") return this.#happened(event);
    if (event.what === "sent") return this.#sent(event, server);
    return false;
  }

  #sent({ kind, fields, to, server: from }, server) {
    if (kind === "beacon") {
      this.#beat(server, fields ?? {});
      return true;
    }
    if (kind === "order" && !fields?.repair) return this.#enthrone(server, fields?.epoch ?? 0);
    if (kind === "nack") server.nacks += 1;
    if (fields?.repair) server.repairs += 1;
    else if (kind === "elect") this.electing = { num: fields?.num, candidate: nameOf(fields?.candidate), path: (fields?.path ?? []).map(nameOf), from, to };
    return kind === "nack" || kind === "elect" || Boolean(fields?.repair);
  }

  /** A server tells of itself: it lives, in the view of this epoch or in none. */
  #beat(server, { head, have, stable, clients, epoch = 0 }) {
    if (server.isFailed || /^(unknown|joining|unreachable)$/.test(server.state)) server.state = epoch > 0 ? "member" : "joining";
    Object.assign(server, { head, have, stable, clients, lag: Math.max(0, head - have) || 0, viewEpoch: epoch, isFailed: false });
    server.beatAt = performance.now();
    this.#reach(epoch);
  }

  #reach(epoch) {
    if (epoch > this.epoch) this.epoch = epoch;
  }

  /** A server leads this epoch: who gives places does, also where the record began later than the view. It leads until it is in
   * another view. Returns whether that is news. */
  #enthrone(server, epoch) {
    if (epoch === 0 || (server.ledEpoch >= epoch && server.viewEpoch >= epoch)) return false;
    server.ledEpoch = Math.max(server.ledEpoch, epoch);
    server.viewEpoch = Math.max(server.viewEpoch, epoch);
    this.#reach(epoch);
    return true;
  }

  #happened({ fields, at_us: at, server: teller }) {
    const about = fields.server === undefined ? null : this.server(nameOf(fields.server));
    switch (fields.event) {
      case "suspected":
        Object.assign(about, { isSuspected: true, suspectedAt: at / 1000 });
        break;
      case "failed":
      case "goodbye":
        about.isSuspected = false;
        // Records come one after the other: who has told of itself since then lives, beyond a cut.
        if (!(about.heardAt > at / 1000)) about.isFailed = true;
        break;
      case "rejoined":
        Object.assign(about, { isSuspected: false, isFailed: false });
        break;
      case "view":
        this.#viewed(fields, this.server(teller));
        break;
      default:
        return false;
    }
    return true;
  }

  /** A server tells of the view it is in. */
  #viewed({ leader, epoch = 0, members }, teller) {
    for (const { name, id } of (members ?? []).filter(({ id }) => id)) {
      const member = this.server(name);
      member.id = id;
      if (member.heardAt !== undefined) continue;
      // It tells nothing itself: what others tell of it is all there is.
      if (member.state === "unknown") member.state = "member";
      Object.assign(member, { isFailed: false, viewEpoch: Math.max(member.viewEpoch, epoch) });
    }
    const first = this.server(nameOf(leader));
    Object.assign(teller, { isFailed: false, isSuspected: false, viewEpoch: epoch || teller.viewEpoch, state: first === teller ? "leader" : "member" });
    this.#enthrone(first, epoch);
    this.#reach(epoch);
    this.electing = null;
  }

  /** Keeps an event of a file for pictures of its moments. */
  keep(event) {
    if (this.#kept.length < MAX_KEPT && this.#isTelling(event)) this.#kept.push(event);
  }

  #isTelling({ what, kind, fields, server }) {
    if (what !== "sent") return what === "event";
    if (kind !== "order" || fields?.repair) return /^(beacon|nack|elect)$/.test(kind) || Boolean(fields?.repair);
    const order = `${server} ${fields?.epoch}`;
    const isNew = order !== this.#lastOrder;
    this.#lastOrder = order;
    return isNew;
  }

  /** The picture of a moment, from what was kept. */
  lookBack(ms) {
    if (ms < this.#at) {
      this.#clear();
      this.#next = 0;
    }
    this.#at = ms;
    while (this.#next < this.#kept.length && this.#kept[this.#next].at_us / 1000 <= ms) {
      this.trace(this.#kept[this.#next]);
      this.#next += 1;
    }
  }
}

function unknown(name) {
  const numbers = { nacks: 0, repairs: 0, viewEpoch: 0, ledEpoch: 0, beatAt: -Infinity };
  return { name, id: "", state: "unknown", ...numbers, isSuspected: false, isFailed: false, cutFrom: [] };
}

/** Whether a server's own record told of it lately. */
function isHeard(server) {
  return performance.now() - server.beatAt < BEAT_MS;
}

/** Whether a server lives and leads the view it is in. */
function leads(server) {
  return isEnthroned(server) && stateOf(server) !== "failed";
}

function isEnthroned({ ledEpoch, viewEpoch }) {
  return ledEpoch > 0 && ledEpoch === viewEpoch;
}

/** A server's state for people and for the ring's hooks. */
export function stateOf(server) {
  if (server.process === "crashed" || server.isFailed) return "failed";
  if (server.process === "paused") return "paused";
  if (server.isSuspected) return "suspected";
  if (server.state === "unreachable") return "failed";
  return isEnthroned(server) ? "leader" : server.state;
}
