// Where the page is connected, and the line that tells of a move: who is gone, where we are now, that nothing was lost.

import { counted, isolated, shown } from "./shown.js";

/** How long the line about a move stays at the top. */
const SHOWN_MS = 8000;

export class Moves {
  #where;
  #notice;
  #onMoved;
  #identity;
  #timer = null;
  #again = 0;
  #mode = "server";
  #isRefused = false;

  /** `onMoved(text)` gets the line for the chat. */
  constructor({ where, notice }, connection, identity, onMoved) {
    this.#where = where;
    this.#notice = notice;
    this.#identity = identity;
    this.#onMoved = onMoved;
    connection
      .on("welcome", ({ server, mode }) => this.#at(server?.name, mode))
      .on("host-gone", ({ from }) => this.#gone(from))
      .on("host-moving", ({ from, page }) => this.#say(`${shown(from)} is gone. Moving to ${new URL(page).host} …`))
      .on("host-unreachable", ({ from }) => this.#unreachable(from))
      .on("host-replaced", () => this.#replaced())
      .on("host-refused", (event) => this.#refused(event))
      .on("error", ({ code }) => code === "replaced" && this.#replaced())
      .on("lost", () => this.#lost())
      .on("read_only", ({ server }) => this.#readOnly(server))
      .on("moved", (event) => this.#moved(event, connection));
  }

  #at(server, mode) {
    this.#where.dataset.state = "open";
    this.#mode = mode ?? this.#mode;
    const words = { client: "client at ", demo: "demo, at ", replay: "replay of a file" }[this.#mode] ?? "at ";
    this.#where.replaceChildren(words, ...(this.#mode === "replay" ? [] : [isolated(server ?? "")]));
    if (!mode || this.#isRefused) this.#notice.hidden = true;
    this.#isRefused = false;
    this.#where.dataset.server = server ?? "";
  }

  #gone(from) {
    this.#where.dataset.state = "moving";
    this.#again = this.#identity.outbox.size + this.#identity.waiting.length;
    this.#where.textContent = "moving …";
    this.#say(`${shown(from)} is gone. Moving …`);
  }

  #unreachable(from) {
    this.#where.dataset.state = "lost";
    this.#where.textContent = "no server reachable";
    if (this.#isRefused) return;
    const kept = this.#identity.outbox.size + this.#identity.waiting.length;
    const waiting = kept > 0 ? ` ${counted(kept, "message")} kept here until then.` : "";
    this.#say(`${from ? `${shown(from)} is gone, and no other` : "No"} server can be reached. Trying again.${waiting}`);
  }

  /** The host does not take us: what it says is more than that nobody answers. */
  #refused({ code, message, hint }) {
    if (code === "replaced") return;
    this.#isRefused = true;
    this.#where.dataset.state = "lost";
    this.#say(shown([message, hint].filter(Boolean).join(" ")));
  }

  #replaced() {
    this.#where.dataset.state = "lost";
    this.#where.textContent = "in another tab";
    this.#say("This chat goes on in another tab. Reload to have it here.");
  }

  /** The host is there, but no server behind it. */
  #lost() {
    this.#where.dataset.state = "lost";
    this.#where.textContent = "no server reachable";
    this.#say("No server can be reached. What you write is kept, and sent when one is back.");
  }

  /** The server's disk takes nothing, and there is no other. */
  #readOnly(server) {
    this.#where.dataset.state = "lost";
    this.#where.replaceChildren(isolated(server ?? ""), " is read-only");
    this.#say(`${shown(server)} is read-only, its disk takes nothing. History works; what you write is kept until it is taken.`);
  }

  #moved({ from, to, ms, again }, connection) {
    const count = Math.max(again ?? 0, this.#again);
    this.#again = 0;
    connection.rename(to);
    this.#at(to);
    const sent = count > 0 ? `${counted(count, "message")} sent again, nothing lost.` : "Nothing lost.";
    const done = `done (${(ms / 1000).toFixed(ms < 100 ? 2 : 1)} s). ${sent}`;
    const text = from === to ? `${shown(to)} is back: ${done}` : `${shown(from)} is gone. Moving to ${shown(to)} … ${done}`;
    this.#say(text, SHOWN_MS);
    this.#onMoved(text);
  }

  #say(text, ms = 0) {
    this.#notice.hidden = false;
    this.#notice.textContent = text;
    clearTimeout(this.#timer);
    if (ms > 0) this.#timer = setTimeout(() => (this.#notice.hidden = true), ms);
  }
}
