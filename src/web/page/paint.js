// Draws a window of the event record: lanes, a grid of time, arrows by group in few strokes.

import { GROUPS } from "./kinds.js";
import { ARRIVED, LOST, MARK, UNSEEN } from "./record.js";
import { exactTime } from "./shown.js";

/** Room for the lanes' names, and for the time above them. */
export const LEFT = 92;
export const TOP = 20;
/** A client's lane is so much of a server's. */
const CLIENT_SHARE = 0.5;
/** With more rows in sight than this, arrows lose their heads and wide strokes. */
const DENSE = 2500;
/** Of a lost datagram's way so much is shown. */
const LOST_SHARE = 0.62;
/** A flight that is not known to have ended is shown as a stub. */
const STUB_SHARE = 0.25;
/** A typical flight, to place what was lost in time. */
const FLIGHT_MS = 1;

/** Colours of the sheet for the present scheme. */
export function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const groups = GROUPS.map(({ name }) => read(name));
  return { groups, text: read("text"), dim: read("dim"), line: read("line"), bg: read("bg"), raised: read("raised"), accent: read("accent"), nack: read("nack") };
}

/** What is where: `x` of a time, `y` of a lane, and the rows' geometry. */
export class Plane {
  constructor({ record, lanes, from, until, width, height, isOn, withClients }) {
    Object.assign(this, { record, lanes, from, until, width, height, isOn, withClients });
    this.labels = lanes.list(withClients);
    this.lane = lanes.serverLanes(record.names, withClients);
    this.clients = this.labels.filter(({ isClient }) => isClient).length;
    this.pitch = (height - TOP) / Math.max(1, this.labels.length - this.clients + this.clients * CLIENT_SHARE);
    this.scale = (width - LEFT) / (until - from);
  }

  x(ms) {
    return LEFT + (ms - this.from) * this.scale;
  }

  y(lane) {
    return (this.edge(lane) + this.edge(lane + 1)) / 2;
  }

  /** The upper edge of a lane. */
  edge(lane) {
    const clients = Math.min(lane, this.clients);
    return TOP + (clients * CLIENT_SHARE + lane - clients) * this.pitch;
  }

  /** Calls `each(row, x0, y0, x1, y1)` for rows in sight: their ends as drawn. */
  rows(each, from = this.from, until = this.until) {
    const { record, lane, isOn } = this;
    record.within(from, until, (row) => {
      if (!isOn[record.group[row]] || record.state[row] === UNSEEN) return;
      const y0 = this.y(lane[record.from[row]]);
      const x0 = this.x(record.t0[row]);
      if (record.state[row] === MARK) return this.#mark(row, x0, y0, each);
      const y1 = this.y(lane[record.to[row]]);
      if (record.state[row] === ARRIVED) return each(row, x0, y0, this.x(record.t1[row]), y1);
      const share = record.state[row] === LOST ? LOST_SHARE : STUB_SHARE;
      each(row, x0, y0, x0 + FLIGHT_MS * this.scale * share, y0 + (y1 - y0) * share);
    });
  }

  #mark(row, x, y, each) {
    const event = this.record.event[row];
    if (event.what === "accepted" && this.withClients) {
      const lane = this.lanes.clientLane(event.fields?.id ?? "");
      return each(row, x, lane >= 0 ? this.y(lane) : y - this.pitch / 2, x, y);
    }
    const half = event.what === "event" ? this.pitch * 0.34 : this.pitch * 0.14;
    each(row, x, y - half, x, y + half);
  }
}

/** Draws the plane; `hit` is a row to stress. Returns how many rows it drew. */
export function paint(context, plane, colours, hit = -1) {
  const { width, height } = plane;
  context.fillStyle = colours.bg;
  context.fillRect(0, 0, width, height);
  if (plane.record.rows === 0) return drawNothing(context, plane, colours);
  drawGrid(context, plane, colours);
  context.save();
  context.beginPath();
  context.rect(LEFT, 0, width - LEFT, height);
  context.clip();
  const drawn = drawRows(context, plane, colours, hit);
  context.restore();
  drawLabels(context, plane, colours);
  return drawn;
}

function drawNothing(context, { width, height }, colours) {
  context.fillStyle = colours.dim;
  context.font = "13px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText("The servers have told of no messages yet.", width / 2, height / 2);
  return 0;
}

function drawRows(context, plane, colours, hit) {
  const { record } = plane;
  const byGroup = GROUPS.map(() => []);
  const lost = [];
  let count = 0;
  let stressed = null;
  plane.rows((row, x0, y0, x1, y1) => {
    count += 1;
    byGroup[record.group[row]].push(x0, y0, x1, y1, record.state[row] === ARRIVED || record.event[row].what === "accepted" ? 1 : 0);
    if (record.state[row] === LOST) lost.push(x1, y1);
    if (row === hit) stressed = [x0, y0, x1, y1];
  });
  const isDense = count > DENSE;
  const order = GROUPS.map((_, group) => group).sort((one, other) => GROUPS[one].width - GROUPS[other].width);
  for (const group of order) {
    if (byGroup[group].length > 0) stroke(context, byGroup[group], GROUPS[group], colours.groups[group], isDense);
  }
  drawCrosses(context, lost, colours.nack, isDense);
  if (stressed) drawStress(context, stressed, colours.accent);
  return count;
}

function stroke(context, lines, { width, dash }, colour, isDense) {
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = isDense ? 1 : width;
  context.setLineDash(isDense ? [] : dash);
  // One path of all lines would have to be tested against itself; short paths are drawn at once.
  for (let from = 0; from < lines.length; from += 500) {
    context.beginPath();
    for (let i = from; i < Math.min(lines.length, from + 500); i += 5) {
      context.moveTo(lines[i], lines[i + 1]);
      context.lineTo(lines[i + 2], lines[i + 3]);
    }
    context.stroke();
  }
  context.setLineDash([]);
  if (!isDense) drawHeads(context, lines, width);
}

function drawHeads(context, lines, width) {
  const size = 4 + width;
  context.beginPath();
  for (let i = 0; i < lines.length; i += 5) {
    if (!lines[i + 4]) continue;
    const [x0, y0, x1, y1] = [lines[i], lines[i + 1], lines[i + 2], lines[i + 3]];
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const [ux, uy] = [((x1 - x0) / length) * size, ((y1 - y0) / length) * size];
    context.moveTo(x1, y1);
    context.lineTo(x1 - ux - uy * 0.5, y1 - uy + ux * 0.5);
    context.lineTo(x1 - ux + uy * 0.5, y1 - uy - ux * 0.5);
  }
  context.fill();
}

function drawCrosses(context, lost, colour, isDense) {
  const size = isDense ? 2.5 : 4.5;
  context.strokeStyle = colour;
  context.lineWidth = isDense ? 1 : 2;
  context.beginPath();
  for (let i = 0; i < lost.length; i += 2) {
    const [x, y] = [lost[i], lost[i + 1]];
    context.moveTo(x - size, y - size);
    context.lineTo(x + size, y + size);
    context.moveTo(x + size, y - size);
    context.lineTo(x - size, y + size);
  }
  context.stroke();
}

function drawStress(context, [x0, y0, x1, y1], colour) {
  context.strokeStyle = colour;
  context.lineWidth = 5;
  context.globalAlpha = 0.45;
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
  context.globalAlpha = 1;
}

function drawGrid(context, plane, colours) {
  const { from, until, width, height, labels } = plane;
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "center";
  context.lineWidth = 1;
  context.strokeStyle = colours.line;
  labels.forEach(({ isClient }, lane) => {
    if (isClient) {
      context.fillStyle = colours.raised;
      context.fillRect(LEFT, plane.edge(lane), width, plane.edge(lane + 1) - plane.edge(lane));
    }
    line(context, LEFT, plane.y(lane), width, plane.y(lane));
  });
  const step = stepOf((until - from) / Math.max(2, (width - LEFT) / 110));
  context.fillStyle = colours.dim;
  context.globalAlpha = 0.6;
  for (let ms = Math.ceil(from / step) * step; ms <= until; ms += step) line(context, plane.x(ms), TOP, plane.x(ms), height);
  context.globalAlpha = 1;
  for (let ms = Math.ceil(from / step) * step; ms <= until; ms += step) {
    if (plane.x(ms) > LEFT + 30 && plane.x(ms) < width - 40) context.fillText(timeLabel(ms, step), plane.x(ms), TOP / 2);
  }
}

function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(Math.round(x0) + 0.5, Math.round(y0) + 0.5);
  context.lineTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  context.stroke();
}

function timeLabel(ms, step) {
  const time = exactTime(ms);
  if (step >= 1000) return time.slice(0, 8);
  return step >= 1 ? time.slice(3) : `${time.slice(6)}${(ms % 1).toFixed(1).slice(1)}`;
}

function stepOf(least) {
  const base = 10 ** Math.floor(Math.log10(least));
  const steps = least > 5000 ? [1e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5] : [base, base * 2, base * 5, base * 10];
  return steps.find((step) => step >= least) ?? 36e5;
}

function drawLabels(context, plane, colours) {
  context.fillStyle = colours.bg;
  context.fillRect(0, 0, LEFT - 4, plane.height);
  context.textAlign = "right";
  context.direction = "ltr";
  plane.labels.forEach(({ label, isClient }, lane) => {
    context.font = isClient ? "italic 12px system-ui, sans-serif" : "600 13px system-ui, sans-serif";
    context.fillStyle = isClient ? colours.dim : colours.text;
    context.fillText(fitted(context, label), LEFT - 10, plane.y(lane), LEFT - 14);
  });
}

function fitted(context, label) {
  if (context.measureText(label).width <= LEFT - 14) return label;
  return `${[...label].slice(0, 11).join("")}…\u2069`;
}

