// Search: the words, what was found, and the way to where it stands.

import { button, counted, element, hourMinute, isolated, shown, shownLines } from "./shown.js";

/** Results asked for. */
const LIMIT = 50;

export class Finder {
  #words;
  #found;
  #questions;
  #jump;

  /** `jump(message)` shows a message where it stands in history. */
  constructor({ form, words, found }, questions, jump) {
    this.#words = words;
    this.#found = found;
    this.#questions = questions;
    this.#jump = jump;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.search(words.value.trim());
    });
    words.addEventListener("input", () => words.value === "" && this.close());
    for (const part of [words, found]) part.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  async search(words) {
    if (!words) return;
    this.#words.value = words;
    this.#show([element("p", "", "Searching …")]);
    const answer = await this.#questions.ask({ do: "search", words, room: null });
    if (!answer) return this.#show([element("p", "", "No answer. Try again.")]);
    const hits = answer.messages.slice(-LIMIT).reverse();
    const head = element("p", "", hits.length ? counted(hits.length, "message") + (answer.more ? ", the newest" : "") : "Nothing found.");
    this.#show([head, ...hits.map((hit) => this.#hit(hit, words))]);
    this.#found.querySelector("[data-hit]")?.focus();
  }

  close() {
    this.#found.hidden = true;
    this.#found.replaceChildren();
  }

  #show(parts) {
    this.#found.hidden = false;
    this.#found.replaceChildren(button("Close", { do: "close-search" }, () => this.close()), ...parts);
  }

  #hit(hit, words) {
    const made = button("", { hit: hit.id }, () => {
      this.close();
      this.#jump(hit);
    });
    let place = hit.to ? `@${shown(hit.to)}` : `#${shown(hit.room)}`;
    if (hit.kind === "direct" && !hit.to) place = "one-to-one";
    const when = `${new Date(hit.at).toLocaleDateString("en-GB")} ${hourMinute(hit.at)}`;
    made.append(element("span", "meta", `${when} ${place} `), isolated(hit.nick, "who"), marked(hit.text, words));
    return made;
  }
}

/** A piece of the text around the first word found, with that word marked. */
function marked(text, words) {
  const made = element("bdi", "text");
  const first = words.toLowerCase().split(/\s+/)[0];
  const at = text.toLowerCase().indexOf(first);
  if (at < 0) {
    made.textContent = shownLines(text).slice(0, 160);
    return made;
  }
  const from = Math.max(0, at - 60);
  const until = at + first.length;
  const before = (from > 0 ? "…" : "") + shownLines(text.slice(from, at));
  made.append(before, element("mark", "", shownLines(text.slice(at, until))), shownLines(text.slice(until, until + 100)));
  return made;
}
