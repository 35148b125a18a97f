// The commentary: what happened, in plain words, a line each; the newest in sight unless someone reads further up.

import { element, exactTime, shown } from "./shown.js";

/** Lines kept. */
const MAX_LINES = 300;
/** The same from several servers within this time is told once. */
const SAME_MS = 5000;

export class Tale {
  #list;
  #toldAt = new Map();

  constructor(list) {
    this.#list = list;
  }

  /** Adds a line; one that was told already, by another server or before a move, is passed over. */
  tell(at, text) {
    const earlier = this.#toldAt.get(text);
    if (earlier !== undefined && Math.abs(at - earlier) < SAME_MS) return;
    this.#toldAt.delete(text);
    this.#toldAt.set(text, at);
    if (this.#toldAt.size > MAX_LINES) this.#toldAt.delete(this.#toldAt.keys().next().value);
    const isAtEnd = this.#list.scrollHeight - this.#list.clientHeight - this.#list.scrollTop < 24;
    const line = element("li");
    line.append(element("time", "", exactTime(at).slice(0, 8)), element("bdi", "", shown(text)));
    this.#list.append(line);
    if (this.#list.children.length > MAX_LINES) this.#list.firstChild.remove();
    if (isAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }
}
