// Plots over the last minutes: messages each second, the time from sent to delivered, repairs.

import { element } from "./shown.js";

/** Seconds shown. */
const SECONDS = 180;
/** Messages on their way whose delivery is waited for. */
const MAX_OPEN = 4096;

const PLOTS = [
  { name: "rate", words: "messages/s", colour: "data", unit: "" },
  { name: "latency", words: "sent → delivered, median", colour: "order", unit: " ms" },
  { name: "repairs", words: "repairs/s and NACKs/s", colour: "repair", second: "nacks", secondColour: "nack", unit: "" },
];

export class Plots {
  #box;
  #canvases = [];
  #seconds = new Map();
  #open = new Map();
  #newest = 0;

  constructor(box) {
    this.#box = box;
    /** Seconds kept: more of a file, in which one looks back. */
    this.keeps = SECONDS;
    for (const { name, words } of PLOTS) {
      const figure = element("figure", "plot");
      figure.dataset.plot = name;
      const canvas = element("canvas");
      canvas.setAttribute("role", "img");
      figure.append(element("figcaption", "", words), canvas);
      this.#canvases.push(canvas);
      box.append(figure);
    }
  }

  /** Counts an event of a server's record. */
  take(event, ms) {
    const { what, kind, fields } = event;
    if (what === "sent" && kind === "data" && !fields?.repair) this.#begin(fields?.ids, event.server, ms);
    if (what === "sent" && fields?.repair) this.#second(ms).repairs += 1;
    else if (what === "sent" && kind === "nack") this.#second(ms).nacks += 1;
    else if (what === "delivered") for (const id of fields?.ids ?? [fields?.id]) this.#end(id, event.server, ms);
  }

  #begin(ids, server, ms) {
    for (const id of ids ?? []) if (!this.#open.has(id)) this.#open.set(id, { server, ms });
    while (this.#open.size > MAX_OPEN) this.#open.delete(this.#open.keys().next().value);
  }

  #end(id, server, ms) {
    const sending = this.#open.get(id);
    if (!sending || sending.server !== server) return;
    this.#open.delete(id);
    const second = this.#second(ms);
    second.rate += 1;
    if (second.took.length < 500) second.took.push(ms - sending.ms);
  }

  #second(ms) {
    const at = Math.floor(ms / 1000);
    const known = this.#seconds.get(at);
    if (known) return known;
    const second = { rate: 0, repairs: 0, nacks: 0, took: [] };
    if (at < this.#newest - this.keeps) return second; // too old to be shown
    this.#seconds.set(at, second);
    this.#newest = Math.max(this.#newest, at);
    if (this.#seconds.size > 2 * this.keeps) this.#forget();
    return second;
  }

  #forget() {
    for (const at of this.#seconds.keys()) if (at < this.#newest - this.keeps) this.#seconds.delete(at);
  }

  /** Draws up to the moment, or up to now. */
  draw(colours, ms = Infinity) {
    if (this.#box.hidden) return;
    const last = Math.min(this.#newest - 1, Math.floor(ms / 1000));
    PLOTS.forEach((plot, at) => this.#plot(this.#canvases[at], plot, last, colours));
  }

  #plot(canvas, { name, words, colour, second, secondColour, unit }, last, colours) {
    const values = this.#values(name, last);
    const others = second ? this.#values(second, last) : [];
    const most = Math.max(1, ...values, ...others) * 1.15;
    const context = fit(canvas);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    drawScale(context, width, height, most, colours);
    bars(context, values, most, width, height, colours[colour]);
    if (second) trail(context, others, most, width, height, colours[secondColour]);
    const now = values.at(-1) ?? 0;
    const words2 = second ? `${now} · ${others.at(-1) ?? 0}` : `${round(now)}${unit}`;
    canvas.parentElement.firstChild.textContent = `${words}: ${words2}`;
    canvas.setAttribute("aria-label", `${words}: now ${words2}, at most ${round(most / 1.15)}${unit} in ${SECONDS} s`);
  }

  #values(name, last) {
    const values = [];
    for (let at = last - SECONDS + 1; at <= last; at += 1) {
      const second = this.#seconds.get(at);
      values.push(name === "latency" ? median(second?.took ?? []) : (second?.[name] ?? 0));
    }
    return values;
  }
}

function median(values) {
  if (values.length === 0) return 0;
  return [...values].sort((one, other) => one - other)[values.length >> 1];
}

const round = (value) => (value >= 10 ? Math.round(value) : Number(value.toFixed(1)));

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  return context;
}

function drawScale(context, width, height, most, colours) {
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.strokeRect(0.5, 0.5, width - 1, height - 1);
  context.fillStyle = colours.dim;
  context.font = "10px system-ui, sans-serif";
  context.textBaseline = "top";
  context.fillText(String(round(most / 1.15)), 4, 3);
  context.textBaseline = "bottom";
  context.textAlign = "right";
  context.fillText(`last ${SECONDS / 60} min`, width - 4, height - 2);
  context.textAlign = "left";
}

function bars(context, values, most, width, height, colour) {
  context.fillStyle = colour;
  const wide = width / values.length;
  values.forEach((value, at) => context.fillRect(at * wide, height - (value / most) * height, Math.max(1, wide - 0.5), (value / most) * height));
}

function trail(context, values, most, width, height, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  const wide = width / values.length;
  values.forEach((value, at) => context.lineTo((at + 0.5) * wide, height - 1 - (value / most) * (height - 2)));
  context.stroke();
}
