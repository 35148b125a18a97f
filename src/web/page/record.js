// The bounded record of what servers told: flights of datagrams from one to another, and marks of what one did by itself.
//
// Rows live in typed arrays. An index by quarter seconds finds the rows of a window of time and forgets the oldest when all
// rows are taken; so a record that arrives late, of a server that could not be asked, still finds its place.

import { groupOf } from "./kinds.js";

/** Rows kept while watching. */
export const CAPACITY = 1 << 16;
/** Rows kept of a file. */
export const FILE_CAPACITY = 1 << 18;
/** Width of an index entry in milliseconds. */
const BUCKET_MS = 250;
/** A datagram that nobody received within this time was lost. */
const LOST_MS = 2000;
/** It is taken for lost sooner when its receiver tells of later things; so much later, and twice the slowest flight. */
const PATIENCE_MS = 200;
/** A flight may take this long when its receiver was asleep. */
const FORGOTTEN_MS = 10_000;
/** A receipt waits so long at most for its sender's record. */
const HELD_MS = 1000;
/** Clocks of one machine may differ so much in two records. */
const SKEW_MS = 1;
/** Sendings whose receipts may still be told of, and kinds of receipts whose sendings may. */
const MAX_OPEN = 1 << 14;
const MAX_EARLY = 1 << 15;
/** Most servers that a record tells of. */
const MAX_NAMES = 200;

const ADDRESS = /:\d+$/;

export const PENDING = 0;
export const ARRIVED = 1;
export const LOST = 2;
/** The receiver was not there: nothing to show. */
export const UNSEEN = 3;
export const MARK = 4;

export class EventRecord {
  #free;
  #freeCount;
  #buckets = new Map();
  #oldestBucket = Infinity;
  #newestBucket = -Infinity;
  #open = new Map();
  #early = new Map();
  #held = [];
  #sentLately = [];
  #doubted = [];
  #judged = [];
  #slowest = 0;
  #indexOf = new Map();

  constructor(capacity = CAPACITY) {
    this.capacity = capacity;
    this.t0 = new Float64Array(capacity);
    this.t1 = new Float64Array(capacity);
    this.from = new Uint8Array(capacity);
    this.to = new Uint8Array(capacity);
    this.group = new Uint8Array(capacity);
    this.state = new Uint8Array(capacity);
    this.event = new Array(capacity).fill(null);
    this.#free = Int32Array.from({ length: capacity }, (_, row) => capacity - 1 - row);
    this.#freeCount = capacity;
    /** Names by index, and for each the first and last moment of its present life. */
    this.names = [];
    this.born = [];
    this.last = [];
    this.lastSeq = [];
    /** Events ever taken, and those forgotten for want of room, in rows. */
    this.taken = 0;
    this.forgottenRows = 0;
    this.newest = -Infinity;
    /** Grows with each change: who draws compares it. */
    this.version = 0;
  }

  get rows() {
    return this.capacity - this.#freeCount;
  }

  /** The beginning of what is kept. */
  get oldest() {
    return this.rows === 0 ? this.newest : this.#oldestBucket * BUCKET_MS;
  }

  /** Takes events, skipping those it has; calls `each(event, ms)` for the new ones. */
  take(events, each = () => {}) {
    for (const event of events) {
      const ms = event.at_us / 1000;
      const server = this.#index(event.server);
      if (server < 0 || !Number.isFinite(ms) || !this.#isNew(server, event.seq, ms)) continue;
      this.taken += 1;
      if (ms > this.newest) this.newest = ms;
      if (event.what === "sent") this.#sent(event, server, ms);
      else if (event.what === "received") this.#hold(event, server, ms);
      else this.#add(event, server, server, ms, ms, MARK);
      each(event, ms);
    }
    this.#settle();
    this.#judge();
    this.version += 1;
  }

  /** Calls `each(row)` for rows whose time may overlap the window. */
  within(from, until, each) {
    const first = Math.max(Math.floor((from - LOST_MS) / BUCKET_MS), this.#oldestBucket);
    const last = Math.min(Math.floor(until / BUCKET_MS), this.#newestBucket);
    for (let at = first; at <= last; at += 1) {
      const bucket = this.#buckets.get(at);
      if (!bucket) continue;
      for (let i = 0; i < bucket.length; i += 1) {
        const row = bucket[i];
        if (this.t0[row] <= until && this.t1[row] >= from) each(row);
      }
    }
  }

  #index(name) {
    const known = this.#indexOf.get(name);
    if (known !== undefined) return known;
    if (typeof name !== "string" || this.names.length >= MAX_NAMES) return -1;
    this.#indexOf.set(name, this.names.length);
    this.born.push(Infinity);
    this.last.push(-Infinity);
    this.lastSeq.push(0);
    return this.names.push(name) - 1;
  }

  /** A server's numbers ascend; smaller ones at a later time are a new life. */
  #isNew(server, seq, ms) {
    if (seq <= this.lastSeq[server]) {
      if (ms <= this.last[server]) return false;
      this.born[server] = ms;
    } else if (ms < this.born[server]) {
      this.born[server] = ms;
    }
    this.lastSeq[server] = seq;
    if (ms > this.last[server]) this.last[server] = ms;
    return true;
  }

  #sent(event, from, ms) {
    const rows = [];
    if (event.to === "all") {
      for (let to = 0; to < this.names.length; to += 1) if (to !== from) rows.push(this.#add(event, from, to, ms, ms, PENDING));
    } else if (this.#indexOf.has(event.to)) {
      rows.push(this.#add(event, from, this.#indexOf.get(event.to), ms, ms, PENDING));
    }
    const sending = { event, rows, from, key: keyOf(from, event.sum), ms };
    const same = this.#open.get(sending.key);
    if (same) same.push(sending);
    else this.#open.set(sending.key, [sending]);
    this.#sentLately.push(sending);
    this.#takeEarly(sending, this.#patience);
  }

  #hold(event, to, ms) {
    const isKnown = this.#indexOf.has(event.from);
    if (!isKnown && ADDRESS.test(event.from)) return; // not a server, or not known as one yet
    const from = this.#index(event.from);
    if (from < 0) return;
    this.#held.push({ key: keyOf(from, event.sum), from, to, ms });
  }

  /** Receipts are looked at when their sender's record has come that far: only then is the latest sending known. */
  #settle() {
    this.#held = this.#held.filter((receipt) => {
      if (this.last[receipt.from] < receipt.ms && this.newest < receipt.ms + HELD_MS) return true;
      this.#received(receipt);
      return false;
    });
  }

  #received({ key, to, ms }) {
    const sendings = this.#open.get(key) ?? [];
    // The latest: the same bytes may be sent again and again, and now and then be lost.
    for (let at = sendings.length - 1; at >= 0; at -= 1) {
      if (isWithin(ms - sendings[at].ms, this.#patience) && this.#arrive(sendings[at], to, ms)) return;
    }
    const early = this.#early.get(key);
    if (early) early.push({ to, ms });
    else this.#early.set(key, [{ to, ms }]);
    if (this.#early.size > MAX_EARLY) this.#early.delete(this.#early.keys().next().value);
  }

  /** Receipts that were told of before their sending: records of servers come one after the other. */
  #takeEarly(sending, reach) {
    const early = this.#early.get(sending.key);
    if (!early) return;
    const left = early.filter(({ to, ms }) => !(isWithin(ms - sending.ms, reach) && this.#arrive(sending, to, ms)));
    if (left.length > 0) this.#early.set(sending.key, left);
    else this.#early.delete(sending.key);
  }

  /** Ends a sending's flight to a receiver; false when that has ended before. */
  #arrive({ event, rows, from, ms: sentAt }, to, ms) {
    const row = rows.find((other) => this.event[other] === event && this.to[other] === to);
    if (row === undefined) {
      if (event.to !== "all" || to === from) return false;
      rows.push(this.#add(event, from, to, sentAt, Math.max(ms, sentAt), ARRIVED)); // it was not known yet
      return true;
    }
    if (this.state[row] === ARRIVED) return false;
    this.state[row] = ARRIVED;
    this.t1[row] = Math.max(ms, this.t0[row]);
    this.#slowest = Math.max(this.#slowest * 0.999, Math.min(LOST_MS, ms - this.t0[row]));
    return true;
  }

  /** So long a flight is nothing unusual. */
  get #patience() {
    return Math.min(LOST_MS, PATIENCE_MS + 2 * this.#slowest);
  }

  /** What has not arrived in time was lost, if the receiver lived then; if it arrives after all, it was not. */
  #judge() {
    const patience = this.#patience;
    for (const sending of takeWhile(this.#sentLately, ({ ms }) => ms < this.newest - patience)) {
      this.#pending(sending, (row, to) => {
        if (this.#lived(to, sending.ms, patience)) this.state[row] = LOST;
      });
      this.#doubted.push(sending);
    }
    for (const sending of takeWhile(this.#doubted, ({ ms }) => ms < this.newest - LOST_MS)) {
      this.#takeEarly(sending, FORGOTTEN_MS);
      this.#pending(sending, (row, to) => {
        this.state[row] = this.#lived(to, sending.ms, 0) ? LOST : UNSEEN;
      });
      this.#judged.push(sending);
    }
    for (const { key } of this.#judged.splice(0, Math.max(0, this.#judged.length - MAX_OPEN))) {
      const same = this.#open.get(key);
      if (same?.length > 1) same.shift();
      else this.#open.delete(key);
    }
  }

  #pending({ rows, event }, each) {
    for (const row of rows) if (this.event[row] === event && this.state[row] === PENDING) each(row, this.to[row]);
  }

  /** Whether a server was there at a moment, and told of something so much later. */
  #lived(server, ms, later) {
    return this.born[server] <= ms && this.last[server] > ms + later;
  }

  #add(event, from, to, t0, t1, state) {
    if (this.#freeCount === 0) this.#forgetOldest();
    this.#freeCount -= 1;
    const row = this.#free[this.#freeCount];
    this.t0[row] = t0;
    this.t1[row] = t1;
    this.from[row] = from;
    this.to[row] = to;
    this.group[row] = groupOf(event);
    this.state[row] = state;
    this.event[row] = event;
    const at = Math.floor(t0 / BUCKET_MS);
    const bucket = this.#buckets.get(at);
    if (bucket) bucket.push(row);
    else this.#buckets.set(at, [row]);
    if (at < this.#oldestBucket) this.#oldestBucket = at;
    if (at > this.#newestBucket) this.#newestBucket = at;
    return row;
  }

  #forgetOldest() {
    const bucket = this.#buckets.get(this.#oldestBucket) ?? [];
    this.#buckets.delete(this.#oldestBucket);
    for (const row of bucket) {
      this.event[row] = null;
      this.#free[this.#freeCount] = row;
      this.#freeCount += 1;
    }
    this.forgottenRows += bucket.length;
    if (this.#buckets.size === 0) this.#oldestBucket = Infinity;
    else this.#oldestBucket = this.#nextBucket();
  }

  #nextBucket() {
    for (let at = this.#oldestBucket + 1; at < this.#oldestBucket + 64; at += 1) if (this.#buckets.has(at)) return at;
    return Math.min(...this.#buckets.keys());
  }
}

function keyOf(from, sum) {
  return (sum >>> 0) * 256 + from;
}

function isWithin(took, reach) {
  return took >= -SKEW_MS && took <= reach;
}

/** Takes the first ones that fit out of a list in which order of time is nearly kept. */
function takeWhile(list, fits) {
  let count = 0;
  while (count < list.length && fits(list[count])) count += 1;
  return count === 0 ? [] : list.splice(0, count);
}
