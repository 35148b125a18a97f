// The space-time diagram: which window of time is shown, and how one moves about in it.

import { showDetail } from "./detail.js";
import { GROUPS } from "./kinds.js";
import { LEFT, Plane, TOP, paint, readColours } from "./paint.js";
import { button, element, exactTime } from "./shown.js";

/** The window of time, in milliseconds. */
const MIN_SPAN = 2;
const MAX_SPAN = 3_600_000;
/** Records come in batches: the live edge stays so far behind. */
const DELAY_MS = 350;
/** So near, in pixels, an arrow is meant. */
const NEAR = 7;
/** The next arrow is looked for in such steps of time. */
const MAX_STEP = 1000;
const isStill = matchMedia("(prefers-reduced-motion: reduce)");
const isDark = matchMedia("(prefers-color-scheme: dark)");

export class Diagram {
  #parts;
  #record;
  #lanes;
  #stats;
  #onTime;
  #context;
  #colours = readColours();
  #span = 2000;
  #end = 0;
  #isPlaying = true;
  #isFile = false;
  #clock = -Infinity;
  #playedAt = 0;
  #isDirty = true;
  #isShown = false;
  #isRunning = false;
  #hover = -1;
  #pinned = -1;
  #pinnedEvent = null;
  #drag = null;
  #landmarks = [];
  #scrubbedAt = 0;

  /** `onTime(ms)` is called when a file's moment changes. */
  constructor(parts, { record, lanes, stats, onTime }) {
    this.#parts = parts;
    this.#record = record;
    this.#lanes = lanes;
    this.#stats = stats;
    this.#onTime = onTime;
    this.#context = parts.canvas.getContext("2d", { alpha: false });
    this.isOn = GROUPS.map(({ isOn }) => isOn);
    this.#legend();
    this.#listen();
    showDetail(parts.detail, record, -1);
  }

  set record(record) {
    this.#record = record;
    this.#touch();
  }

  set isShown(isShown) {
    this.#isShown = isShown;
    this.#touch();
  }

  /** A file is shown: time does not run by itself. */
  openFile() {
    this.#isFile = true;
    this.#play(false);
    this.#goTo(this.#record.oldest + this.#span);
  }

  /** Events have come; `landmark` is the group of something to be seen from afar. */
  changed() {
    this.#clock = Math.max(this.#clock, this.#record.newest - performance.now());
    this.#touch();
  }

  mark(ms, group) {
    this.#landmarks.push({ ms, group });
    if (this.#landmarks.length > 2000) this.#landmarks.shift();
  }

  /** The present of the servers' clocks. */
  get #now() {
    return Number.isFinite(this.#clock) ? this.#clock + performance.now() : 0;
  }

  #touch() {
    this.#isDirty = true;
    if (this.#isRunning || !this.#isShown) return;
    this.#isRunning = true;
    requestAnimationFrame(() => this.#frame());
  }

  #frame() {
    this.#isRunning = false;
    if (!this.#isShown) return;
    this.#advance();
    if (this.#isDirty) this.#draw();
    this.#isDirty = this.#isPlaying && this.#record.rows > 0;
    if (!this.#isDirty) return;
    if (isStill.matches) setTimeout(() => this.#touch(), 500);
    else this.#touch();
  }

  #advance() {
    if (!this.#isPlaying) return;
    const now = performance.now();
    if (!this.#isFile) this.#end = Math.max(this.#now - DELAY_MS, this.#record.oldest);
    else this.#goTo(this.#end + Math.min(500, now - this.#playedAt));
    this.#playedAt = now;
    if (this.#isFile && this.#end >= this.#record.newest) this.#play(false);
  }

  #goTo(end) {
    this.#end = Math.min(Math.max(end, this.#record.oldest), Math.max(this.#record.newest, this.#record.oldest) + this.#span * 0.05);
    if (this.#isFile) this.#onTime(this.#end);
    this.#touch();
  }

  #play(isPlaying) {
    this.#isPlaying = isPlaying;
    this.#playedAt = performance.now();
    if (isPlaying && this.#isFile && this.#end >= this.#record.newest) this.#end = this.#record.oldest;
    const { pause } = this.#parts;
    pause.setAttribute("aria-pressed", String(!isPlaying));
    pause.textContent = isPlaying ? "Pause" : this.#isFile ? "Play" : "Live";
    this.#touch();
  }

  #plane() {
    const { canvas } = this.#parts;
    const withClients = this.isOn[GROUPS.findIndex(({ name }) => name === "client")];
    return new Plane({
      record: this.#record, lanes: this.#lanes, isOn: this.isOn, withClients,
      from: this.#end - this.#span, until: this.#end, width: canvas.clientWidth, height: canvas.clientHeight,
    });
  }

  #draw() {
    const { canvas } = this.#parts;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (width === 0 || height === 0) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.#pinned >= 0 && this.#record.event[this.#pinned] !== this.#pinnedEvent) this.#pinned = -1; // forgotten
    const began = performance.now();
    const drawn = paint(this.#context, this.#plane(), this.#colours, this.#pinned >= 0 ? this.#pinned : this.#hover);
    this.#stats.frame(performance.now() - began, drawn);
    this.#showTime();
  }

  #showTime() {
    const { scrub, clock, span } = this.#parts;
    const now = performance.now();
    if (now - this.#scrubbedAt < 200 && this.#isPlaying) return;
    this.#scrubbedAt = now;
    const { oldest, newest } = this.#record;
    const share = newest > oldest ? (this.#end - oldest) / (newest - oldest) : 1;
    scrub.value = String(Math.min(1, Math.max(0, share)) * 1000);
    clock.textContent = this.#record.rows > 0 ? exactTime(this.#end).slice(0, 10) : "";
    scrub.setAttribute("aria-valuetext", clock.textContent);
    span.textContent = spanWords(this.#span);
    this.#drawLandmarks(oldest, newest);
  }

  /** Elections, views and suspicions as ticks along the scrub bar. */
  #drawLandmarks(oldest, newest) {
    const { landmarks } = this.#parts;
    const { clientWidth: width, clientHeight: height } = landmarks;
    if (landmarks.width !== width || landmarks.height !== height) Object.assign(landmarks, { width, height });
    const context = landmarks.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (!(newest > oldest)) return;
    for (const { ms, group } of this.#landmarks) {
      if (ms < oldest) continue;
      context.fillStyle = this.#colours.groups[group];
      context.fillRect(8 + ((ms - oldest) / (newest - oldest)) * (width - 16) - 1, 0, 2, height);
    }
  }

  #legend() {
    const items = GROUPS.map(({ name, words, what }, group) => {
      const toggle = button(words, { group: name }, () => {
        this.isOn[group] = !this.isOn[group];
        toggle.setAttribute("aria-pressed", String(this.isOn[group]));
        this.#touch();
      });
      toggle.title = what;
      toggle.setAttribute("aria-pressed", String(this.isOn[group]));
      toggle.prepend(element("i", `swatch ${name}`));
      return toggle;
    });
    const lost = element("span", "lost-sign", "✕ lost");
    this.#parts.legend.replaceChildren(...items, lost);
  }

  #listen() {
    const { canvas, pause, scrub, zoomIn, zoomOut } = this.#parts;
    pause.addEventListener("click", () => this.#play(!this.#isPlaying));
    scrub.addEventListener("input", () => this.#scrub(Number(scrub.value) / 1000));
    zoomIn.addEventListener("click", () => this.#zoom(0.5, 0.5));
    zoomOut.addEventListener("click", () => this.#zoom(2, 0.5));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointerleave", () => this.#point(-1));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#touch()).observe(canvas);
    isDark.addEventListener("change", () => {
      this.#colours = readColours();
      this.#touch();
    });
  }

  #scrub(share) {
    this.#play(false);
    const { oldest, newest } = this.#record;
    this.#goTo(oldest + share * (newest - oldest));
  }

  /** Changes the span; the moment at `share` of the width stays where it is. */
  #zoom(factor, share = 1) {
    const span = Math.min(MAX_SPAN, Math.max(MIN_SPAN, this.#span * factor));
    const fixed = this.#end - this.#span * (1 - share);
    this.#span = span;
    this.#scrubbedAt = 0;
    if (!this.#isPlaying) this.#goTo(fixed + span * (1 - share));
    this.#touch();
  }

  #wheel(event) {
    event.preventDefault();
    const { width } = this.#parts.canvas.getBoundingClientRect();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.#play(false);
      this.#goTo(this.#end + (event.deltaX / width) * this.#span);
    } else {
      this.#zoom(event.deltaY > 0 ? 1.25 : 0.8, Math.max(0, (event.offsetX - LEFT) / (width - LEFT)));
    }
  }

  #press(event) {
    this.#parts.canvas.setPointerCapture(event.pointerId);
    this.#drag = { x: event.offsetX, end: this.#end, hasMoved: false };
  }

  #move(event) {
    if (!this.#drag) return this.#point(this.#rowAt(event.offsetX, event.offsetY));
    const by = event.offsetX - this.#drag.x;
    if (!this.#drag.hasMoved && Math.abs(by) < 4) return;
    if (!this.#drag.hasMoved) this.#play(false);
    this.#drag.hasMoved = true;
    this.#goTo(this.#drag.end - (by / (this.#parts.canvas.clientWidth - LEFT)) * this.#span);
  }

  #release(event) {
    const hasMoved = this.#drag?.hasMoved;
    this.#drag = null;
    if (!hasMoved) this.#pin(this.#rowAt(event.offsetX, event.offsetY));
  }

  #point(row) {
    if (row === this.#hover) return;
    this.#hover = row;
    if (this.#pinned < 0) showDetail(this.#parts.detail, this.#record, row);
    this.#touch();
  }

  #pin(row) {
    this.#pinned = row;
    this.#pinnedEvent = row >= 0 ? this.#record.event[row] : null;
    showDetail(this.#parts.detail, this.#record, row >= 0 ? row : this.#hover);
    this.#touch();
  }

  /** The row drawn nearest to a place, or -1. */
  #rowAt(x, y) {
    if (x < LEFT || y < TOP) return -1;
    const plane = this.#plane();
    const ms = plane.from + (x - LEFT) / plane.scale;
    const reach = 12 / plane.scale;
    let [best, least] = [-1, NEAR];
    const look = (row, x0, y0, x1, y1) => {
      const away = distance(x, y, x0, y0, x1, y1);
      if (away < least) [best, least] = [row, away];
    };
    plane.rows(look, ms - reach, ms + reach);
    return best;
  }

  #key(event) {
    const acts = {
      " ": () => this.#play(!this.#isPlaying),
      "+": () => this.#zoom(0.5, 0.5),
      "=": () => this.#zoom(0.5, 0.5),
      "-": () => this.#zoom(2, 0.5),
      ArrowLeft: () => (this.#play(false), this.#goTo(this.#end - this.#span / 10)),
      ArrowRight: () => (this.#play(false), this.#goTo(this.#end + this.#span / 10)),
      Home: () => this.#scrub(0),
      End: () => this.#scrub(1),
      ",": () => this.#step(-1),
      ".": () => this.#step(1),
      Escape: () => this.#pin(-1),
    };
    if (!(event.key in acts) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    acts[event.key]();
  }

  /** Keeps the row before or after the kept one, and brings it in sight. */
  #step(by) {
    this.#play(false);
    const { t0 } = this.#record;
    const from = this.#pinned >= 0 ? t0[this.#pinned] : this.#end - (by > 0 ? this.#span : 0);
    let next = -1;
    for (let reach = this.#span; next < 0 && reach < 64 * MAX_STEP; reach *= 4) next = this.#neighbour(from, by, reach);
    if (next < 0) return;
    if (t0[next] > this.#end || t0[next] < this.#end - this.#span) this.#goTo(t0[next] + this.#span / 2);
    this.#pin(next);
  }

  /** The row that follows a moment, or the kept row if it is of that moment, within reach. */
  #neighbour(moment, by, reach) {
    const { t0 } = this.#record;
    const isAfter = (row, ms, other) => (t0[row] - ms || row - other) * by > 0;
    let best = -1;
    const look = (row) => {
      if (isAfter(row, moment, this.#pinned) && (best < 0 || isAfter(best, t0[row], row))) best = row;
    };
    this.#plane().rows(look, by > 0 ? moment : moment - reach, by > 0 ? moment + reach : moment);
    return best;
  }
}

function spanWords(ms) {
  if (ms < 1000) return `${Number(ms.toPrecision(2))} ms`;
  return ms < 120_000 ? `${Number((ms / 1000).toPrecision(2))} s` : `${Math.round(ms / 60_000)} min`;
}

function distance(x, y, x0, y0, x1, y1) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const along = dx || dy ? Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy))) : 0;
  return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
}
