// Rooms, and who is at which server: what an operator wants to know.

import { element, hourMinute, isolated } from "./shown.js";

/** Rooms and people listed; the rest is a number. */
const MAX_LISTED = 100;
const EVERY_MS = 3000;

export class Census {
  #box;
  #questions;
  #askedAt = -Infinity;

  constructor(box, questions) {
    this.#box = box;
    this.#questions = questions;
  }

  /** Asks anew when the last answer is old. */
  async refresh() {
    if (performance.now() - this.#askedAt < EVERY_MS) return;
    this.#askedAt = performance.now();
    const [rooms, who] = await Promise.all([this.#questions.ask({ do: "rooms" }), this.#questions.ask({ do: "who", room: null })]);
    if (rooms && who) this.#show(rooms.rooms, who.people);
  }

  #show(rooms, people) {
    const columns = element("div", "census");
    columns.append(this.#rooms(rooms), this.#people(people));
    this.#box.replaceChildren(columns);
  }

  #rooms(rooms) {
    const rows = rooms.slice(0, MAX_LISTED).map(({ room, messages, people, last }) => [isolated(`#${room}`), messages, people, last ? hourMinute(last) : ""]);
    return table(["room", "messages", "people", "last"], rows, rooms.length);
  }

  #people(people) {
    const byServer = new Map();
    for (const { server, nick } of people) {
      if (!byServer.has(server)) byServer.set(server, new Set());
      byServer.get(server).add(nick);
    }
    const rows = [...byServer].sort().map(([server, nicks]) => [isolated(server), nicks.size, list([...nicks].sort())]);
    return table(["server", "people", "who"], rows, rows.length);
  }
}

function list(nicks) {
  const made = element("span", "nicks");
  nicks.slice(0, MAX_LISTED).forEach((nick, at) => made.append(...(at ? [", "] : []), isolated(nick)));
  if (nicks.length > MAX_LISTED) made.append(` and ${nicks.length - MAX_LISTED} more`);
  return made;
}

function table(heads, rows, count) {
  const made = element("table");
  const head = element("tr");
  for (const name of heads) head.append(element("th", "", name));
  made.append(head);
  for (const row of rows) {
    const line = element("tr");
    for (const value of row) {
      const cell = element("td");
      cell.append(value instanceof Node ? value : String(value));
      line.append(cell);
    }
    made.append(line);
  }
  if (count > MAX_LISTED) made.append(element("caption", "", `${count - MAX_LISTED} more are not listed`));
  return made;
}
