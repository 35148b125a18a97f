// The commentary: what happened, in plain words, a line each; the newest in sight unless someone reads further up.

import { element, exactTime, shown } from "./shown.js";

/** Lines kept. */
const MAX_LINES = 300;

export class Tale {
  #list;
  #seen = new Set();

  constructor(list) {
    this.#list = list;
  }

  /** Adds a line; the same one, told again after a move, is passed over. */
  tell(at, text) {
    const key = `${at} ${text}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const isAtEnd = this.#list.scrollHeight - this.#list.clientHeight - this.#list.scrollTop < 24;
    const line = element("li");
    line.append(element("time", "", exactTime(at).slice(0, 8)), element("bdi", "", shown(text)));
    this.#list.append(line);
    if (this.#list.children.length > MAX_LINES) this.#list.firstChild.remove();
    if (this.#seen.size > 2 * MAX_LINES) this.#seen = new Set([...this.#seen].slice(-MAX_LINES));
    if (isAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  clear() {
    this.#list.replaceChildren();
    this.#seen.clear();
  }
}
