// Who is in the open room, and at which server.

import { button, element, isolated, shown } from "./shown.js";
import { hueOf } from "./line.js";

/** People listed; the rest is a number. */
const MAX_LISTED = 200;
/** The shortest time between two questions. */
const PAUSE_MS = 400;

export class People {
  #list;
  #count;
  #questions;
  #onChoose;
  #timer = null;

  constructor({ list, count }, questions, onChoose) {
    this.#list = list;
    this.#count = count;
    this.#questions = questions;
    this.#onChoose = onChoose;
    this.names = [];
  }

  refreshSoon(room) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(room), PAUSE_MS);
  }

  async refresh(room) {
    if (!room || room.peer !== null) return this.#show([]);
    const answer = await this.#questions.ask({ do: "who", room: room.name });
    if (!answer) return;
    room.people = new Set(answer.people.map(({ nick }) => nick));
    this.#show(answer.people);
  }

  #show(people) {
    const sorted = [...people].sort((one, other) => one.nick.localeCompare(other.nick));
    this.names = sorted.map(({ nick }) => nick);
    this.#count.textContent = people.length > 0 ? String(people.length) : "";
    const items = sorted.slice(0, MAX_LISTED).map((person) => this.#item(person));
    if (sorted.length > MAX_LISTED) items.push(element("li", "rest", `and ${sorted.length - MAX_LISTED} more`));
    this.#list.replaceChildren(...items);
  }

  #item({ nick, server }) {
    const item = element("li");
    const choose = button("", { person: nick }, () => this.#onChoose(nick));
    const name = isolated(nick, "who");
    name.style.setProperty("--hue", hueOf(nick));
    choose.append(name, " ", isolated(server, "server"));
    choose.title = `Talk to ${shown(nick)} alone (at ${shown(server)})`;
    item.append(choose);
    return item;
  }
}
