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

  constructor() {
    this.#clear();
  }

  #clear() {
    this.servers = new Map();
    this.leader = "";
    this.epoch = 0;
    this.electing = null;
  }

  /** The servers in the order of the ring: by id, as the token goes. */
  get ring() {
    const byId = (one, other) => (one.id || one.name).localeCompare(other.id || other.name);
    return [...this.servers.values()].sort(byId);
  }

  /** Those who lead: one, or one on each side of a cut. */
  get leaders() {
    const leading = this.ring.filter((server) => server.leads && stateOf(server) !== "failed").map(({ name }) => name);
    return leading.length > 0 || !this.servers.has(this.leader) || stateOf(this.server(this.leader)) === "failed" ? leading : [this.leader];
  }

  server(name) {
    if (!this.servers.has(name)) this.servers.set(name, unknown(name));
    return this.servers.get(name);
  }

  /** The state that the host tells. */
  status(event) {
    this.leader = nameOf(event.leader);
    this.epoch = event.epoch ?? this.epoch;
    const told = new Set();
    for (const { name, ...rest } of event.servers ?? []) {
      told.add(name);
      const server = this.server(name);
      // Who is out of the host's reach may live on the other side of a cut, and tell of itself.
      if (rest.state === "unreachable" && performance.now() - server.beatAt < BEAT_MS) rest.state = server.state;
      Object.assign(server, rest);
      if (rest.state !== "unreachable") server.isFailed = false;
      if (rest.state === "leader" || rest.state === "member") server.isSuspected &&= Date.now() - server.suspectedAt < 1500;
    }
    for (const [name, server] of this.servers) if (!told.has(name) && !server.process) this.servers.delete(name);
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
      const { head, have, stable, clients, epoch } = fields ?? {};
      Object.assign(server, { head, have, stable, clients, lag: Math.max(0, head - have) || 0, viewEpoch: epoch });
      server.beatAt = performance.now();
      if (epoch > this.epoch) this.epoch = epoch;
      if (server.isFailed) Object.assign(server, { state: "joining", isFailed: false });
      if (server.state === "unknown" || server.state === "joining") server.state = epoch > 0 ? "member" : "joining";
      return true;
    }
    if (kind === "order" && !fields?.repair) return this.#ordered(from, fields?.epoch ?? 0);
    if (kind === "nack") server.nacks += 1;
    if (fields?.repair) server.repairs += 1;
    if (kind === "elect") this.electing = { num: fields?.num, candidate: nameOf(fields?.candidate), path: (fields?.path ?? []).map(nameOf), from, to };
    return kind === "nack" || kind === "elect" || Boolean(fields?.repair);
  }

  /** Who gives places leads, even where the record began later than the view. */
  #ordered(name, epoch) {
    const server = this.server(name);
    if (epoch === 0 || (server.leads && server.viewEpoch === epoch)) return false;
    this.#enthrone(server, epoch);
    return true;
  }

  /** A server leads the ring it is in; of the rings of a cut network, the greatest epoch is the picture's. */
  #enthrone(server, epoch) {
    for (const other of this.servers.values()) if (other.leads && other.viewEpoch < epoch && !other.isFailed) other.leads = false;
    Object.assign(server, { leads: true, viewEpoch: epoch });
    if (epoch <= this.epoch && this.leader) return;
    this.leader = server.name;
    this.epoch = epoch;
  }

  #happened({ fields, at_us: at, server: teller }) {
    const about = fields.server === undefined ? null : this.server(nameOf(fields.server));
    switch (fields.event) {
      case "suspected":
        Object.assign(about, { isSuspected: true, suspectedAt: at / 1000 });
        break;
      case "failed":
        Object.assign(about, { isSuspected: false, isFailed: true, leads: false, state: "unreachable" });
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
  #viewed({ leader, epoch, members }, teller) {
    const name = nameOf(leader);
    Object.assign(teller, { leads: name === teller.name, isFailed: false, isSuspected: false });
    for (const member of members ?? []) {
      const server = this.server(nameOf(member));
      if (member.id) server.id = member.id;
      if (teller.leads && server !== teller) server.leads = false;
    }
    if (epoch > this.epoch) this.epoch = epoch;
    this.leader = name;
    this.electing = null;
    teller.state = teller.leads ? "leader" : "member";
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
  return { name, id: "", state: "unknown", nacks: 0, repairs: 0, isSuspected: false, isFailed: false, leads: false, beatAt: -Infinity, cutFrom: [] };
}

/** A server's state for people and for the ring's hooks. */
export function stateOf(server) {
  if (server.process === "crashed" || server.isFailed) return "failed";
  if (server.process === "paused") return "paused";
  if (server.isSuspected) return "suspected";
  return server.state === "unreachable" ? "failed" : server.state;
}
