// The input line: text, several lines, slash commands, completion of names.

import { byteLength } from "./shown.js";

/** Longest text of a message. */
const MAX_TEXT_BYTES = 64 * 1024;

const COMMANDS = {
  join: { words: "ROOM", what: "join a room" },
  leave: { words: "", what: "leave this room" },
  msg: { words: "NICK TEXT", what: "talk to one person" },
  me: { words: "DEED", what: "say what you do" },
  nick: { words: "NICK", what: "change your nick" },
  topic: { words: "TEXT", what: "change the topic" },
  search: { words: "WORDS", what: "find messages" },
  ring: { words: "", what: "watch the servers" },
  help: { words: "", what: "these commands" },
};

export class Composer {
  #input;
  #hint;
  #acts;
  #completion = null;

  /** `acts` has a function for each command, `say(text)`, `nicks()` and `rooms()` for completion. */
  constructor({ form, input, hint }, acts) {
    this.#input = input;
    this.#hint = hint;
    this.#acts = acts;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    input.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("input", () => this.#typed());
  }

  /** Says what is wrong, or nothing more. */
  warn(text) {
    this.#hint.textContent = text;
  }

  get text() {
    return this.#input.value;
  }

  set text(text) {
    this.#input.value = text;
    this.#grow();
  }

  focus() {
    this.#input.focus();
  }

  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Tab" && !event.shiftKey && this.#complete()) {
      event.preventDefault();
    } else if (event.key !== "Shift") {
      this.#completion = null;
    }
  }

  #typed() {
    this.#completion = null;
    this.#grow();
    const command = /^\/(\w*)$/.exec(this.text);
    if (!command) return this.warn("");
    const fitting = Object.entries(COMMANDS).filter(([name]) => name.startsWith(command[1]));
    this.warn(fitting.map(([name, { words, what }]) => `/${name} ${words}`.trim() + ` – ${what}`).join("   "));
  }

  #grow() {
    this.#input.rows = Math.min(6, this.text.split("\n").length);
  }

  #submit() {
    const text = this.text.replace(/\s+$/, "");
    if (text === "") return;
    const command = /^\/(\w+)\s*([^]*)$/.exec(text);
    const problem = command ? this.#command(command[1], command[2].trim()) : this.#say(text.replace(/^\/\//, "/"));
    this.warn(problem ?? "");
    if (!problem) this.text = "";
  }

  #say(text) {
    const bytes = byteLength(text);
    if (bytes > MAX_TEXT_BYTES) return `That is ${Math.ceil(bytes / 1024)} KiB; the limit is 64 KiB.`;
    return this.#acts.say(text);
  }

  #command(name, rest) {
    if (!(name in COMMANDS)) return `There is no /${name}. /help lists the commands; // begins a text with a stroke.`;
    const { words } = COMMANDS[name];
    if (words && !rest) return `/${name} ${words}`;
    return this.#acts[name](rest);
  }

  help() {
    return Object.entries(COMMANDS).map(([name, { words, what }]) => `/${name} ${words}`.trim() + `: ${what}`);
  }

  /** Completes a command or a name at the cursor; again for the next that fits. */
  #complete() {
    const at = this.#input.selectionStart;
    const start = this.#completion?.start ?? this.text.slice(0, at).search(/\S+$/);
    if (start < 0) return false;
    const stem = this.#completion?.stem ?? this.text.slice(start, at);
    const fitting = this.#fitting(stem, start);
    if (fitting.length === 0) return false;
    const turn = (this.#completion?.turn ?? -1) + 1;
    const word = fitting[turn % fitting.length];
    this.#input.setRangeText(word, start, at, "end");
    this.#completion = { start, stem, turn };
    return true;
  }

  #fitting(stem, start) {
    if (start === 0 && stem.startsWith("/")) {
      return Object.keys(COMMANDS).map((name) => `/${name} `).filter((name) => name.startsWith(stem));
    }
    const command = start > 0 ? (/^\/(\w+)\s/.exec(this.text)?.[1] ?? "") : "";
    if (command === "join") return ways(stem.replace(/^#/, ""), this.#acts.rooms(), { isAll: true });
    if (command === "msg") return ways(stem.replace(/^@/, ""), this.#acts.nicks(), { after: " ", isAll: true });
    if (stem.startsWith("#")) return ways(stem.slice(1), this.#acts.rooms(), { sign: "#", after: " ", isAll: true });
    if (stem.startsWith("@")) return ways(stem.slice(1), this.#acts.nicks(), { sign: "@", after: " ", isAll: start > 0 });
    return ways(stem, this.#acts.nicks(), { after: start === 0 ? ": " : " " });
  }
}

/** The names that begin so, as they are to stand there; of an empty beginning all if `isAll`, else none. */
function ways(stem, names, { sign = "", after = "", isAll = false }) {
  const folded = stem.toLowerCase();
  const fitting = names.filter((name) => (folded || isAll) && name.toLowerCase().startsWith(folded));
  return fitting.map((name) => `${sign}${name}${after}`);
}
