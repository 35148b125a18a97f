// What a test may measure: frames that were drawn, how often, and how much was in them.

/** Frames looked at for the rate. */
const WINDOW = 120;
/** Servers count whose records told of this last time. */
const LATELY_MS = 1000;

export class Stats {
  #times = [];
  #paints = [];

  constructor(record) {
    this.record = record;
    this.frames = 0;
    this.drawn = 0;
    window.ringtalkStats = () => this.read();
  }

  /** A frame was drawn in so many milliseconds, with so many rows. */
  frame(paintMs, drawn) {
    this.frames += 1;
    this.drawn = drawn;
    this.#times.push(performance.now());
    this.#paints.push(paintMs);
    if (this.#times.length > WINDOW) (this.#times.shift(), this.#paints.shift());
  }

  read() {
    const { frames, drawn, record } = this;
    const since = performance.now() - 2000;
    const recent = this.#times.filter((time) => time > since);
    const fps = recent.length > 1 ? ((recent.length - 1) * 1000) / (recent.at(-1) - recent[0]) : 0;
    const paintMs = this.#paints.reduce((sum, ms) => sum + ms, 0) / (this.#paints.length || 1);
    const { taken: events, rows, forgottenRows: forgotten } = record;
    const servers = record.last.filter((ms) => ms > record.newest - LATELY_MS).length;
    return { frames, fps, events, rows, forgotten, servers, drawn, paintMs };
  }
}
