// The ring as it stands at a moment: each server's state, the leader, who is suspected, what is cut.
//
// Two sources: the state that the host tells each second, and the servers' own events. In a file there are only events; then
// the picture is made anew for the moment that is looked at.

import { nameOf } from "./kinds.js";

/** Events kept to make a picture of an earlier moment. */
const MAX_KEPT = 100_000;

export class Picture {
  #kept = [];
  #next = 0;
  #at = -Infinity;

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
      if (server.state === "unknown" || server.isFailed) Object.assign(server, { state: "joining", isFailed: false });
      return true;
    }
    if (kind === "nack") server.nacks += 1;
    if (fields?.repair) server.repairs += 1;
    if (kind === "elect") this.electing = { num: fields?.num, candidate: nameOf(fields?.candidate), path: (fields?.path ?? []).map(nameOf), from, to };
    return kind === "nack" || kind === "elect" || Boolean(fields?.repair);
  }

  #happened({ fields, at_us: at }) {
    const about = fields.server === undefined ? null : this.server(nameOf(fields.server));
    switch (fields.event) {
      case "suspected":
        Object.assign(about, { isSuspected: true, suspectedAt: at / 1000 });
        break;
      case "failed":
        Object.assign(about, { isSuspected: false, isFailed: true, state: "unreachable" });
        break;
      case "rejoined":
        Object.assign(about, { isSuspected: false, isFailed: false });
        break;
      case "view":
        this.#viewed(fields);
        break;
      default:
        return false;
    }
    return true;
  }

  #viewed({ leader, epoch, members }) {
    if (epoch < this.epoch) return;
    this.leader = nameOf(leader);
    this.epoch = epoch;
    this.electing = null;
    const inside = new Set((members ?? []).map(nameOf));
    for (const member of members ?? []) if (member.id) this.server(nameOf(member)).id = member.id;
    for (const [name, server] of this.servers) {
      if (inside.has(name)) Object.assign(server, { state: name === this.leader ? "leader" : "member", isSuspected: false, isFailed: false });
      else if (server.state === "leader" || server.state === "member") server.state = "unreachable";
    }
  }

  /** Keeps an event of a file for pictures of its moments. */
  keep(event) {
    const isTelling = event.what === "event" || (event.what === "sent" && /^(beacon|nack|elect)$/.test(event.kind)) || event.fields?.repair;
    if (isTelling && this.#kept.length < MAX_KEPT) this.#kept.push(event);
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
  return { name, id: "", state: "unknown", head: 0, stable: 0, have: 0, lag: 0, clients: 0, nacks: 0, repairs: 0, isSuspected: false, isFailed: false, cutFrom: [] };
}

/** A server's state for people and for the ring's hooks. */
export function stateOf(server) {
  if (server.process === "crashed" || server.isFailed) return "failed";
  if (server.process === "paused") return "paused";
  if (server.isSuspected) return "suspected";
  return server.state === "unreachable" ? "failed" : server.state;
}
