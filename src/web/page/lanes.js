// The diagram's lanes: clients above, as they appear, then the servers in the order of the ring.

import { shown, shownIsolated } from "./shown.js";

/** Clients with a lane of their own; later ones share one. */
const MAX_CLIENTS = 4;
/** Clients whose nicks are remembered. */
const MAX_NICKS = 500;

export class Lanes {
  #clients = [];
  #nicks = new Map();
  #order = [];
  #hasOthers = false;

  /** Learns a client's nick from a message that was heard. */
  learn(id, nick) {
    const client = clientOf(id);
    if (this.#nicks.size >= MAX_NICKS && !this.#nicks.has(client)) this.#nicks.delete(this.#nicks.keys().next().value);
    this.#nicks.set(client, nick);
  }

  /** Gives the client of an accepted message its lane. Returns whether that is new. */
  appear(id) {
    const client = clientOf(id);
    if (this.#clients.includes(client)) return false;
    if (this.#clients.length < MAX_CLIENTS) {
      this.#clients.push(client);
      return true;
    }
    const isNew = !this.#hasOthers;
    this.#hasOthers = true;
    return isNew;
  }

  /** Lays the lanes out: servers by the ring's order, those it does not know at the end. */
  arrange(names, ring) {
    const known = ring.map(({ name }) => name).filter((name) => names.includes(name));
    this.#order = [...known, ...names.filter((name) => !known.includes(name))];
    return this;
  }

  /** `{label, isClient, server}` from the top. */
  list(withClients) {
    const servers = this.#order.map((name) => ({ label: shownIsolated(name), name, isClient: false }));
    if (!withClients) return servers;
    const clients = this.#clients.map((client) => ({ label: shownIsolated(this.#nicks.get(client) ?? `client ${client.slice(0, 4)}`), isClient: true }));
    if (this.#hasOthers) clients.push({ label: "others", isClient: true });
    return [...clients, ...servers];
  }

  /** The lane's number of a server's index in the record, for each index. */
  serverLanes(names, withClients) {
    const above = withClients ? this.#clientLanes : 0;
    return names.map((name) => above + this.#order.indexOf(name));
  }

  get #clientLanes() {
    return this.#clients.length + (this.#hasOthers ? 1 : 0);
  }

  /** The lane's number of a message's client, or -1. */
  clientLane(id) {
    const at = this.#clients.indexOf(clientOf(id));
    return at >= 0 ? at : this.#clients.length - (this.#hasOthers ? 0 : 1);
  }
}

function clientOf(id) {
  const text = shown(id);
  return text.slice(0, text.lastIndexOf("-"));
}
