// The page's connection to whichever host can be reached, and the move to the next one when it is gone.

/** How long an address may take to answer at all, and then its host to find a server and welcome us. */
const ANSWER_MS = 1000;
const WELCOME_MS = 5000;
/** A host tells the ring's state each second; after so long without a word it is taken for gone. */
const SILENCE_MS = 5000;
/** Events kept that a host tells before its welcome, such as a demo's commentary so far. */
const MAX_EARLY = 1000;
/** The longest wait between two rounds through all addresses. */
const MAX_PAUSE_MS = 2000;

export class Connection {
  #identity;
  #token;
  #socket = null;
  #listeners = new Map();
  #pages = [];
  #at = location.origin;
  #server = null;
  #heardAt = 0;
  #watching = { status: true, trace: false };
  #hello = null;
  #early = [];

  constructor(identity, token) {
    this.#identity = identity;
    this.#token = token;
    setInterval(() => this.#listenForSilence(), 1000);
  }

  /** Calls `listener` with each event of the name: the host's, and `host-gone`, `host-moving`, `host-unreachable`,
   * `host-refused`, `host-replaced`. */
  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, []);
    this.#listeners.get(name).push(listener);
    return this;
  }

  /** Whether something sent now can arrive. */
  get isOpen() {
    return this.#hello === null && this.#socket?.readyState === WebSocket.OPEN;
  }

  /** The name of the server behind the host, or null. */
  get server() {
    return this.#server;
  }

  /** Sends a request; false when there is no host, in which case it is forgotten. */
  send(request) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(request));
    return true;
  }

  /** What the host should tell by itself, here and after every move. */
  watch(status, trace) {
    this.#watching = { status, trace };
    this.send({ do: "watch", ...this.#watching });
  }

  /** Goes to the first host that welcomes us, this document's own first. */
  async open() {
    const goneAt = performance.now();
    const from = this.#server;
    for (let pause = 100; ; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
      for (const page of this.#round()) {
        if (from) this.#tell("host-moving", { from, page });
        const welcome = await this.#knock(page);
        if (welcome) return this.#settle(page, welcome, from, goneAt);
      }
      this.#tell("host-unreachable", { from, pages: this.#round().length });
      await new Promise((wake) => setTimeout(wake, pause));
    }
  }

  /** The addresses to try: after the one that went silent its successors, itself last. */
  #round() {
    const pages = [...new Set([...this.#pages, location.origin])];
    const here = pages.indexOf(this.#at);
    if (this.#server === null) return [this.#at, ...pages.filter((page) => page !== this.#at)];
    return [...pages.slice(here + 1), ...pages.slice(0, here + 1)];
  }

  /** Resolves to the welcome, or null when nobody there takes us. */
  #knock(page) {
    return new Promise((answer) => {
      const socket = new WebSocket(`${page.replace(/^http/, "ws")}/ws`);
      let late = setTimeout(() => give(null), ANSWER_MS);
      const give = (welcome) => {
        clearTimeout(late);
        socket.onmessage = socket.onclose = socket.onerror = null;
        if (!welcome) socket.close();
        else this.#take(socket);
        answer(welcome);
      };
      socket.onopen = () => {
        clearTimeout(late);
        late = setTimeout(() => give(null), WELCOME_MS);
        socket.send(JSON.stringify(this.#hello));
      };
      socket.onclose = socket.onerror = () => give(null);
      this.#hello = this.#helloNow();
      this.#early = [];
      socket.onmessage = ({ data }) => {
        const event = parse(data);
        if (event?.event === "welcome") give(event);
        else if (event?.event === "lost") this.#tell("lost", event);
        else if (event?.event === "error") {
          this.#tell("error", event);
          this.#tell("host-refused", event);
          give(null);
        } else if (event && this.#early.length < MAX_EARLY) this.#early.push(event);
      };
    });
  }

  #helloNow() {
    const { client, nick, ackedUpto, cursor, rooms, outbox } = this.#identity;
    const unacknowledged = [...outbox.values()].sort((one, other) => one.cseq - other.cseq);
    return {
      do: "hello",
      token: this.#token,
      nick,
      client,
      acked_upto: ackedUpto,
      outbox: unacknowledged.map(({ cseq, room, text, to, kind }) => ({ cseq, room, text, to: to ?? null, kind })),
      cursor,
      rooms,
    };
  }

  #take(socket) {
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.onmessage = ({ data }) => {
      this.#heardAt = performance.now();
      const event = parse(data);
      if (event) this.#tell(event.event, event);
    };
    socket.onclose = ({ reason }) => this.#lose(socket, reason);
  }

  #lose(socket, reason) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    if (reason === "replaced") return this.#tell("host-replaced", {});
    this.#tell("host-gone", { from: this.#server });
    this.open();
  }

  #settle(page, welcome, from, goneAt) {
    const again = this.#hello.outbox.length;
    this.#hello = null;
    this.#at = page;
    this.#server = welcome.server?.name ?? "";
    this.learn(welcome.pages);
    this.send({ do: "watch", ...this.#watching });
    this.#tell("welcome", welcome);
    for (const event of this.#early.splice(0)) this.#tell(event.event, event);
    if (from !== null) this.#tell("moved", { from, to: this.#server, ms: performance.now() - goneAt, again });
  }

  /** Keeps the addresses of the other hosts; those that were known stay known. */
  learn(pages) {
    if (!Array.isArray(pages)) return;
    const told = pages.filter((page) => /^http:\/\/[^/\s]+$/.test(page));
    this.#pages = [...new Set([...told, ...this.#pages])].slice(0, 64);
  }

  /** The host's client moved to another server by itself. */
  rename(server) {
    this.#server = server;
  }

  #listenForSilence() {
    if (!this.isOpen || document.visibilityState === "hidden") {
      this.#heardAt = performance.now();
    } else if (performance.now() - this.#heardAt > SILENCE_MS) {
      const socket = this.#socket;
      socket.onclose = null;
      socket.close();
      this.#lose(socket);
    }
  }

  #tell(name, event) {
    for (const listener of this.#listeners.get(name) ?? []) listener(event);
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
