// Who this tab is, across reloads and moves: client id, nick, what is not acknowledged yet, how far the feed was shown.
//
// A browser keeps some identities, each in use by one tab at a time (a web lock sees to it), so that a person who comes
// back keeps the nick. Where the browser has no locks or no storage, the tab is somebody new.

/** Identities kept for one net; the one unused for longest goes. */
const MAX_IDENTITIES = 8;
/** Messages that wait to be taken; more are refused, and the text stays in the input line. */
export const MAX_WAITING = 256;

export class Identity {
  #key;
  #storage;

  constructor(key, storage, kept = {}) {
    this.#key = key;
    this.#storage = storage;
    this.client = typeof kept.client === "string" ? kept.client : null;
    this.nick = typeof kept.nick === "string" ? kept.nick : `guest-${1000 + Math.floor(Math.random() * 9000)}`;
    this.ackedUpto = Number.isSafeInteger(kept.ackedUpto) ? kept.ackedUpto : 0;
    this.cursor = kept.cursor ?? null;
    this.rooms = Array.isArray(kept.rooms) ? kept.rooms.slice(0, 64) : ["lobby"];
    /** With whom there are talks of two. */
    this.peers = Array.isArray(kept.peers) ? kept.peers.slice(0, 64) : [];
    /** What has a number and is not stable yet, by number. */
    this.outbox = new Map(Array.isArray(kept.outbox) ? kept.outbox.map((entry) => [entry.cseq, entry]) : []);
    /** What has no number yet, in order: `{tag, room, text, to}`. */
    this.waiting = Array.isArray(kept.waiting) ? kept.waiting : [];
  }

  /** The identity of this tab on the net. */
  static async open(net) {
    const storage = storageOf();
    const prefix = `ringtalk:${net}:`;
    const names = storage ? slots(storage, prefix) : [];
    for (const key of names) {
      if (await isOurs(key)) return new Identity(key, storage, read(storage, key));
    }
    const key = prefix + crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
    await isOurs(key);
    for (const old of names.slice(MAX_IDENTITIES - 1)) storage.removeItem(old);
    return new Identity(key, storage);
  }

  /** Keeps the present state; called before anything is told to the host that depends on it. */
  save() {
    if (!this.#storage) return;
    const { client, nick, ackedUpto, cursor, rooms, peers, waiting } = this;
    const outbox = [...this.outbox.values()];
    const kept = JSON.stringify({ client, nick, ackedUpto, cursor, rooms, peers, outbox, waiting, at: Date.now() });
    try {
      this.#storage.setItem(this.#key, kept);
    } catch {
      this.#storage = null; // full or forbidden: the tab goes on in memory
    }
  }

  /** Gives the oldest waiting message its number. */
  number(tag, cseq) {
    const at = this.waiting.findIndex((draft) => draft.tag === tag);
    if (at < 0) return null;
    const [draft] = this.waiting.splice(at, 1);
    const entry = { ...draft, cseq };
    this.outbox.set(cseq, entry);
    this.save();
    return entry;
  }

  /** What the host of the cursor has seen acknowledged needs no keeping. */
  acknowledge(upto) {
    this.ackedUpto = Math.max(this.ackedUpto, upto);
    for (const cseq of this.outbox.keys()) if (cseq <= upto) this.outbox.delete(cseq);
  }

  /** Somebody new: the host knows nothing of who this was. */
  become(client) {
    if (this.client && this.client !== client) this.ackedUpto = 0;
    this.client = client;
  }
}

function storageOf() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

/** The kept identities, this tab's last one first, then the lately used ones. */
function slots(storage, prefix) {
  const keys = [];
  for (let i = 0; i < storage.length; i += 1) if (storage.key(i).startsWith(prefix)) keys.push(storage.key(i));
  const usedAt = new Map(keys.map((key) => [key, read(storage, key).at ?? 0]));
  return keys.sort((one, other) => usedAt.get(other) - usedAt.get(one));
}

function read(storage, key) {
  try {
    return JSON.parse(storage.getItem(key)) ?? {};
  } catch {
    return {};
  }
}

/** Takes the identity for as long as the tab lives; false when another tab has it. */
function isOurs(key) {
  if (!navigator.locks) return Promise.resolve(false);
  return new Promise((answer) => {
    const held = navigator.locks.request(key, { ifAvailable: true }, (lock) => {
      answer(lock !== null);
      return lock ? new Promise(() => {}) : undefined;
    });
    held.catch(() => answer(false));
  });
}
