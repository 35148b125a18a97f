// The commentary: what happened, in plain words, a line each; the newest in sight unless someone reads further up.

import { element, exactTime, shown } from "./shown.js";

/** Lines kept. */
const MAX_LINES = 300;
/** The same from several servers within this time is told once. */
const SAME_MS = 5000;

export class Tale {
  #list;
  #toldAt = new Map();
  #isFollowing = true;
  #stuckAt = 0;

  constructor(list) {
    this.#list = list;
    list.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#isFollowing && this.#stick()).observe(list);
  }

  /** Somebody scrolled, or what stands above has taken room: only the first leaves the end. */
  #scrolled() {
    if (isAtEnd(this.#list)) this.#isFollowing = true;
    else if (this.#list.scrollTop < this.#stuckAt) this.#isFollowing = false;
  }

  #stick() {
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#stuckAt = this.#list.scrollTop;
  }

  /** Adds a line; one that was told already, by another server or before a move, is passed over. */
  tell(at, text) {
    const earlier = this.#toldAt.get(text);
    if (earlier !== undefined && Math.abs(at - earlier) < SAME_MS) return;
    this.#toldAt.delete(text);
    this.#toldAt.set(text, at);
    if (this.#toldAt.size > MAX_LINES) this.#toldAt.delete(this.#toldAt.keys().next().value);
    const line = element("li");
    line.append(element("time", "", exactTime(at).slice(0, 8)), element("bdi", "", shown(text)));
    this.#list.append(line);
    if (this.#list.children.length > MAX_LINES) this.#list.firstChild.remove();
    if (this.#isFollowing) this.#stick();
  }
}

function isAtEnd(list) {
  return list.clientHeight === 0 || list.scrollHeight - list.clientHeight - list.scrollTop < 24;
}
