// What is known of one room, or of one person one talks with: lines in the order they are shown, never twice the same message.
//
// Lines are bounded; what falls off at one end is asked for again when somebody scrolls there.

/** Lines kept in memory for a room. */
const MAX_LINES = 1500;
/** Names told in a fold of joins and leaves. */
const MAX_FOLDED = 200;

/** How a deed begins in a talk of two, where the wire has words only (as in XMPP, XEP-0245). */
export const DEED = "/me ";

/** How something is told, and its words without how. */
function toldAs(kind, text) {
  return kind === "direct" && text.startsWith(DEED) ? { told: "action", text: text.slice(DEED.length) } : { told: kind, text };
}

export class Room {
  #ids = new Set();
  #nextLine = 1;

  constructor(name, peer = null) {
    this.name = name;
    /** With whom, when it is a talk of two. */
    this.peer = peer;
    this.lines = [];
    this.unread = 0;
    this.mentioned = false;
    this.topic = "";
    this.people = new Set();
    /** Whether history goes on above the first line, and below the last one. */
    this.hasOlder = true;
    this.hasNewer = false;
    this.isLoaded = false;
    /** How far a talk of two was looked for beyond its first and its last line, as keys. */
    this.edges = { older: null, newer: null };
    /** When a page was last asked for. */
    this.pagedAt = -Infinity;
  }

  has(id) {
    return this.#ids.has(id);
  }

  find(id) {
    return this.lines.findLast((line) => line.id === id);
  }

  /** Key of the oldest line that has one. */
  get oldestKey() {
    return this.lines.find((line) => line.key && !line.late)?.key ?? null;
  }

  /** Key of the newest line that has one. */
  get newestKey() {
    return this.lines.findLast((line) => line.key && !line.late)?.key ?? null;
  }

  /** Takes a message of the live feed. Returns whether it is news. */
  take(message) {
    if (this.#ids.has(message.id)) {
      this.#settle(message);
      return false;
    }
    if (this.hasNewer) return true; // it will come with the newer pages
    const line = this.#line(message);
    const at = message.late ? this.#endOfTold() : this.#placeOf(message.key);
    if (at === 0 && this.hasOlder && this.lines.length > 0) return true;
    this.#insert(at, line);
    this.#trim("older");
    return true;
  }

  /** A message of one's own that is on its way: stays at the end until the order has it. */
  queue(entry, nick) {
    const at = new Date().toISOString();
    const told = this.peer === null ? { told: entry.told, text: entry.text } : toldAs("direct", entry.text);
    this.#insert(this.lines.length, { kind: "message", nick, at, own: true, state: "queued", ...entry, ...told });
  }

  /** Names the queued line after its message. */
  rename(tag, id) {
    const line = this.lines.find((line) => line.tag === tag && line.state);
    if (!line) return null;
    if (this.#ids.has(id)) {
      this.lines.splice(this.lines.indexOf(line), 1);
      return null;
    }
    line.id = id;
    this.#ids.add(id);
    return line;
  }

  /** A message's way: accepted, stable, rejected. */
  advance(id, change) {
    const line = this.find(id);
    if (line) Object.assign(line, change);
    return line;
  }

  drop(line) {
    const at = this.lines.indexOf(line);
    if (at >= 0) this.lines.splice(at, 1);
  }

  /** Takes a page of history, ascending, that ends above the first line or begins below the last one. */
  takePage(messages, { isNewer = false, hasMore = false, edge = null } = {}) {
    const fresh = messages.filter((message) => !this.#ids.has(message.id)).map((message) => this.#line(message));
    for (const line of fresh) {
      this.#ids.add(line.id);
      line.line = this.#nextLine;
      this.#nextLine += 1;
    }
    if (isNewer) {
      this.hasNewer = hasMore;
      this.lines.splice(this.#endOfTold(), 0, ...fresh);
    } else {
      this.hasOlder = hasMore;
      this.lines.unshift(...fresh);
    }
    this.isLoaded = true;
    this.edges[isNewer ? "newer" : "older"] = edge;
    this.#trim(isNewer ? "older" : "newer");
    return fresh.length;
  }

  /** Forgets what is loaded, but for what is on its way: to show another part of history. */
  clear() {
    this.lines = this.lines.filter((line) => line.state && !line.key);
    this.#ids = new Set(this.lines.map((line) => line.id).filter(Boolean));
    this.hasOlder = true;
    this.hasNewer = false;
    this.isLoaded = false;
    this.edges = { older: null, newer: null };
  }

  /** A line that is not a person's: a notice, or the head of a late block. */
  tell(kind, text, extra = {}) {
    if (this.hasNewer) return;
    this.#insert(this.#endOfTold(), { kind, text, at: new Date().toISOString(), ...extra });
    this.#trim("older");
  }

  /** The head of the late block that a message stands in counts it; a new block gets a head. */
  countLate(at) {
    const head = this.#lateHead();
    if (!head) return this.tell("late", "", { late: true, at, messages: 1, from: at, until: at, servers: 0 });
    head.messages += 1;
    if (at < head.from) head.from = at;
    if (at > head.until) head.until = at;
    head.version = (head.version ?? 0) + 1;
  }

  /** So many servers came back with the late block that stands last, if one does. */
  rejoined(servers) {
    const head = this.#lateHead();
    if (!head || head.servers > 0) return;
    head.servers = servers;
    head.version = (head.version ?? 0) + 1;
  }

  #lateHead() {
    let at = this.#endOfTold() - 1;
    while (at >= 0 && (this.lines[at].kind === "fold" || (this.lines[at].kind === "message" && this.lines[at].late))) at -= 1;
    return this.lines[at]?.kind === "late" ? this.lines[at] : null;
  }

  /** Somebody came or went; neighbours are folded to one line. */
  fold(event, nick) {
    if (this.hasNewer) return;
    const end = this.#endOfTold();
    const last = this.lines[end - 1];
    if (last?.kind === "fold") {
      if (last.moves.length < MAX_FOLDED) last.moves.push({ event, nick });
      last.count[event] += 1;
      last.version = (last.version ?? 0) + 1;
      return;
    }
    const count = { joined: 0, left: 0 };
    count[event] += 1;
    this.#insert(end, { kind: "fold", at: new Date().toISOString(), moves: [{ event, nick }], count });
    this.#trim("older");
  }

  #line(message) {
    const { id, nick, text, at, key, kind, copies, of, late, epoch, gsn, leader } = message;
    const own = Boolean(message.own);
    const state = own ? "stable" : undefined;
    return { kind: "message", ...toldAs(kind ?? "plain", text), id, nick, at, key, copies, of, late, epoch, gsn, leader, own, state };
  }

  #settle(message) {
    const line = this.find(message.id);
    if (!line || line.key) return;
    this.lines.splice(this.lines.indexOf(line), 1);
    const settled = { ...this.#line(message), line: line.line };
    this.#place(message.late ? this.#endOfTold() : this.#placeOf(message.key), settled);
  }

  #insert(at, line) {
    if (line.id) this.#ids.add(line.id);
    line.line = this.#nextLine;
    this.#nextLine += 1;
    this.#place(at, line);
  }

  #place(at, line) {
    this.lines.splice(at, 0, line);
  }

  /** Where what is on its way begins. */
  #endOfTold() {
    let at = this.lines.length;
    while (at > 0 && this.lines[at - 1].state && !this.lines[at - 1].key) at -= 1;
    return at;
  }

  /** Behind the last line that sorts before the key; late blocks and notices stay where they were shown. */
  #placeOf(key) {
    const end = this.#endOfTold();
    let at = end;
    for (let i = end - 1; i >= 0; i -= 1) {
      const other = this.lines[i];
      if (!other.key || other.late) continue;
      if (other.key <= key) break;
      at = i;
    }
    return at;
  }

  #trim(end) {
    const over = this.lines.length - MAX_LINES;
    if (over <= 0) return;
    const gone = end === "older" ? this.lines.splice(0, over) : this.lines.splice(this.#endOfTold() - over, over);
    for (const line of gone) if (line.id) this.#ids.delete(line.id);
    this.edges[end] = null;
    if (end === "newer") this.hasNewer = true;
    else this.hasOlder = true;
  }
}
