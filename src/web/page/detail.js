// The panel that shows what a row of the diagram is: who sent what to whom, when it arrived, its decoded fields.

import { ARRIVED, LOST, MARK } from "./record.js";
import { element, exactTime, shown } from "./shown.js";

/** Characters of a field's value. */
const MAX_VALUE = 400;

/** Shows a row, or with -1 the invitation to point at something. */
export function showDetail(box, record, row) {
  const event = row >= 0 ? record.event[row] : null;
  box.dataset.empty = String(!event);
  if (!event) {
    box.replaceChildren(element("p", "", "Point at an arrow to see what it says. Wheel: zoom. Drag: move. Click: keep. Keys: Space, ← →, + −, comma and full stop for the one before and after."));
    return;
  }
  box.dataset.kind = event.kind ?? event.what;
  const list = element("dl");
  for (const [name, value] of facts(record, row, event)) list.append(element("dt", "", shown(name)), element("dd", "", value));
  const fields = element("dl", "fields");
  for (const [name, value] of Object.entries(event.fields ?? {})) fields.append(element("dt", "", shown(name)), element("dd", "", worded(value)));
  box.replaceChildren(element("h3", "", titleOf(record, row, event)), list, fields);
}

function titleOf(record, row, event) {
  const kind = event.kind ?? (event.what === "event" ? event.fields?.event : event.what);
  return shown(event.fields?.repair ? `${kind} (repair)` : kind);
}

function facts(record, row, event) {
  const at = exactTime(record.t0[row]);
  if (record.state[row] === MARK) return markFacts(event, at);
  const rows = [
    ["from", shown(record.names[record.from[row]])],
    ["to", shown(record.names[record.to[row]]) + (event.to === "all" ? " (and all)" : "")],
    ["sent", at],
    ["arrived", arrival(record, row)],
  ];
  if (event.via) rows.push(["via", shown(event.via)]);
  if (Number.isFinite(event.bytes)) rows.push(["bytes", String(event.bytes)]);
  if (Number.isFinite(event.sum)) rows.push(["checksum", (event.sum >>> 0).toString(16).padStart(8, "0")]);
  return rows;
}

function markFacts({ server, seq, reason, from }, at) {
  const facts = [["at", at], ["server", shown(server)], ["number", String(seq)]];
  if (reason !== undefined) facts.push(["why", shown(reason)]);
  if (from !== undefined) facts.push(["from", shown(from)]);
  return facts;
}

function arrival(record, row) {
  if (record.state[row] === ARRIVED) return `after ${(record.t1[row] - record.t0[row]).toFixed(2)} ms`;
  return record.state[row] === LOST ? "never: lost on the way" : "not yet known";
}

function worded(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const safe = shown(text);
  return safe.length > MAX_VALUE ? `${safe.slice(0, MAX_VALUE)} …` : safe;
}
