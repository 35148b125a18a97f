// Questions to the host and their answers, matched by tag. What is unanswered when the host dies is answered with null.

export class Questions {
  #connection;
  #open = new Map();
  #next = 1;

  constructor(connection) {
    this.#connection = connection;
    for (const kind of ["history", "search", "who", "rooms"]) connection.on(kind, (event) => this.#answer(event));
    connection.on("error", (event) => this.#answer({ ...event, isError: true }));
    connection.on("host-gone", () => this.#forget());
  }

  /** A tag that nothing else has. */
  tag() {
    this.#next += 1;
    return this.#next;
  }

  /** Resolves to the answer; to null when there is none. */
  ask(request) {
    const tag = this.tag();
    if (!this.#connection.send({ ...request, tag })) return Promise.resolve(null);
    return new Promise((give) => this.#open.set(tag, give));
  }

  #answer(event) {
    const give = this.#open.get(event.tag);
    if (!give) return;
    this.#open.delete(event.tag);
    give(event.isError ? null : event);
  }

  #forget() {
    for (const give of this.#open.values()) give(null);
    this.#open.clear();
  }
}
