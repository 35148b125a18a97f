// The window onto a room's lines: some hundred elements of however many lines, and a place that stays put.

import { dayElement, lineElement } from "./line.js";

/** Elements that the window holds at most, day lines not counted. */
const MAX_SHOWN = 300;
/** Lines added at an edge that is scrolled to. */
const STEP = 60;
/** So near to an edge, in pixels, more is shown or asked for. */
const NEAR = 300;

export class Scrollback {
  #box;
  #button;
  #room = null;
  #first = 0;
  #end = 0;
  #isFollowing = true;
  #stuckAt = 0;
  #missed = 0;
  #wanted = new Set();
  #turns = new WeakMap();

  /** `ask(room, isNewer)` is called when a room's page is wanted, `seen(room)` when its end is in sight again; `mine()` tells
   * one's own nick. */
  constructor(box, button, { ask, seen, mine }) {
    this.#box = box;
    this.#button = button;
    this.ask = ask;
    this.seen = seen;
    this.mine = mine;
    box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    box.addEventListener("keydown", (event) => this.#key(event));
    button.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#isFollowing && this.#stick()).observe(box);
  }

  get isFollowing() {
    return this.#isFollowing && !this.#room?.hasNewer;
  }

  /** Shows a room at the place where it was left. */
  open(room) {
    if (room !== this.#room) this.#wanted.clear();
    this.#room = room;
    this.#isFollowing = true;
    this.#missed = 0;
    this.#end = room.lines.length;
    this.#first = Math.max(0, this.#end - STEP);
    this.#draw();
    this.#stick();
    this.#scrolled();
  }

  /** The room's lines have changed at the end. `isNews` counts a message that is not seen while scrolled up. */
  changed({ isNews = false } = {}) {
    const room = this.#room;
    if (!room) return;
    if (this.#isFollowing && !room.hasNewer) {
      this.#end = room.lines.length;
      this.#first = Math.max(0, this.#end - MAX_SHOWN, Math.min(this.#first, this.#end - STEP));
      this.#draw();
      this.#stick();
    } else {
      if (isNews) this.#missed += 1;
      this.#end = Math.min(this.#end, room.lines.length);
      this.#keepPlace(() => this.#draw());
    }
    this.#showButton();
  }

  /** A page of history has come; `isElsewhere` when it does not follow from what was shown. */
  paged(isNewer, isElsewhere = false) {
    const room = this.#room;
    this.#wanted.delete(isNewer ? "newer" : "older");
    if (!room) return;
    if (isElsewhere || (this.#isFollowing && !isNewer)) return this.open(room);
    this.#keepPlace(() => this.#draw());
    this.#scrolled();
  }

  /** Back to what is new. */
  toEnd() {
    const room = this.#room;
    if (!room) return;
    if (room.hasNewer) {
      room.clear();
      this.#want(false);
    }
    this.open(room);
    this.#reachEnd();
    this.#showButton();
  }

  #reachEnd() {
    this.#missed = 0;
    this.seen(this.#room);
  }

  /** Shows the line with the id in the middle. */
  toLine(id) {
    const at = this.#room.lines.findIndex((line) => line.id === id);
    if (at < 0) return false;
    this.#isFollowing = false;
    this.#first = Math.max(0, at - STEP);
    this.#end = Math.min(this.#room.lines.length, at + STEP);
    this.#draw();
    const shown = this.#box.querySelector(`[data-id="${CSS.escape(id)}"]`);
    shown?.scrollIntoView({ block: "center" });
    shown?.classList.add("hit");
    this.#showButton();
    return true;
  }

  /** Draws the window: elements of lines that are there already are kept. */
  #draw() {
    const { lines } = this.#room;
    const old = new Map();
    for (const child of this.#box.children) if (child.dataset.line) old.set(child.dataset.line, child);
    const wanted = [];
    if (this.#first === 0 && !this.#room.hasOlder && this.#room.isLoaded) wanted.push(this.#beginning());
    for (let i = this.#first; i < this.#end; i += 1) {
      const day = dayElement(lines[i], lines[i - 1]);
      if (day) wanted.push(day);
      wanted.push(this.#elementOf(lines[i], lines[i - 1], old));
    }
    this.#replace(wanted);
  }

  #beginning() {
    const made = document.createElement("div");
    made.className = "beginning";
    made.textContent = this.#room.peer === null ? "The history begins here." : "Only the two of you see this, and whoever owns a server.";
    return made;
  }

  #elementOf(line, previous, old) {
    const turn = `${line.state} ${line.copies} ${line.of} ${line.id} ${line.version} ${line.key} ${previous?.line}`;
    const kept = old.get(String(line.line));
    if (kept && this.#turns.get(kept) === turn) return kept;
    const made = lineElement(line, previous, this.mine());
    this.#turns.set(made, turn);
    return made;
  }

  #replace(wanted) {
    const keep = new Set(wanted);
    for (const child of [...this.#box.children]) if (!keep.has(child)) child.remove();
    let next = this.#box.firstChild;
    for (const child of wanted) {
      if (child === next) next = next.nextSibling;
      else this.#box.insertBefore(child, next);
    }
  }

  /** Runs `change` so that the first line in sight does not move. */
  #keepPlace(change) {
    const { top } = this.#box.getBoundingClientRect();
    const lines = [...this.#box.children].filter((child) => child.dataset.line);
    const anchor = lines.find((child) => child.getBoundingClientRect().bottom > top);
    const before = anchor?.getBoundingClientRect().top;
    const line = anchor && this.#room.lines.findIndex((other) => String(other.line) === anchor.dataset.line);
    this.#frame(anchor && line >= 0 ? line : Math.min(this.#first, this.#room.lines.length));
    change();
    const after = anchor && this.#box.querySelector(`[data-line="${anchor.dataset.line}"]`);
    if (after) this.#box.scrollTop += after.getBoundingClientRect().top - before;
  }

  /** Puts the window around a line, most of it where one scrolls to. */
  #frame(line) {
    const { length } = this.#room.lines;
    const above = this.#box.scrollTop < NEAR ? MAX_SHOWN - STEP : MAX_SHOWN / 2;
    this.#first = Math.max(0, line - above);
    this.#end = Math.min(length, this.#first + MAX_SHOWN);
  }

  #scrolled() {
    const room = this.#room;
    if (!room) return;
    const { scrollTop, scrollHeight, clientHeight } = this.#box;
    const below = scrollHeight - clientHeight - scrollTop;
    // A box that has shrunk is not a person who scrolled up.
    const isStuck = this.#isFollowing && scrollTop >= this.#stuckAt - 1;
    const isAtEnd = (below < 24 || isStuck) && this.#end >= room.lines.length && !room.hasNewer;
    if (isAtEnd !== this.#isFollowing) {
      this.#isFollowing = isAtEnd;
      if (isAtEnd) this.#reachEnd();
      this.#showButton();
    }
    if (scrollTop < NEAR) {
      if (this.#first > 0) this.#keepPlace(() => this.#draw());
      else if (room.hasOlder) this.#want(false);
    } else if (below < NEAR && !isAtEnd) {
      if (this.#end < room.lines.length) this.#keepPlace(() => this.#draw());
      else if (room.hasNewer) this.#want(true);
    }
  }

  #want(isNewer) {
    const which = isNewer ? "newer" : "older";
    if (this.#wanted.has(which)) return;
    this.#wanted.add(which);
    if (!this.ask(this.#room, isNewer)) this.#wanted.delete(which);
  }

  /** Questions on their way are lost with the connection. */
  forgetQuestions() {
    this.#wanted.clear();
    if (this.#room) this.#scrolled();
  }

  #stick() {
    this.#box.scrollTop = this.#box.scrollHeight;
    this.#stuckAt = this.#box.scrollTop;
  }

  #showButton() {
    const room = this.#room;
    this.#button.hidden = this.isFollowing;
    this.#button.textContent = this.#missed > 0 && !room?.hasNewer ? `${this.#missed} new ↓` : "To the newest ↓";
  }

  #key(event) {
    if (event.key === "End") this.toEnd();
    else return;
    event.preventDefault();
  }
}
