// A line for each server: what it has, what it lacks, what happens to it; in a demo, what one may do to it.

import { stateOf } from "./picture.js";
import { button, element, isolated, shown } from "./shown.js";

const COLUMNS = [
  ["server", "", (server) => isolated(server.name)],
  ["state", "", (server) => stateOf(server).replace("_", " ")],
  ["head", "the order goes up to this place", (server) => whole(server.head)],
  ["have", "on this server's disk up to here", (server) => whole(server.have)],
  ["stable", "on every server's disk up to here", (server) => whole(server.stable)],
  ["lag", "places behind", (server) => now(server, server.lag)],
  ["clients", "clients with a session here", (server) => now(server, server.clients)],
  ["loss", "beacons lost on the way to here", (server) => (server.loss === undefined ? "" : `${server.loss}%`)],
  ["NACKs/min", "repairs asked for in the last minute", (server) => whole(server.nacks_per_min ?? server.nacks)],
  ["repairs", "messages sent again for others, as seen here", (server) => whole(server.repairs)],
];

const whole = (number) => (Number.isFinite(number) ? String(number) : "");
/** What holds only while a server lives. */
const now = (server, number) => (stateOf(server) === "failed" ? "" : whole(number));

export class Servers {
  #box;
  #control;
  #body;
  #rows = new Map();
  #isDemo = false;

  /** `control(request)` asks the demo for something. */
  constructor(box, control) {
    this.#box = box;
    this.#control = control;
  }

  show(picture, isDemo) {
    if (!this.#body || isDemo !== this.#isDemo) this.#build(isDemo);
    const ring = picture.ring;
    const leaders = picture.leaders;
    const digests = new Map();
    for (const { digest, process } of ring) if (digest && process === "running") digests.set(digest, (digests.get(digest) ?? 0) + 1);
    const common = [...digests].sort((one, other) => other[1] - one[1])[0]?.[0];
    const names = new Set(ring.map(({ name }) => name));
    for (const [name, row] of this.#rows) if (!names.has(name)) (row.remove(), this.#rows.delete(name));
    ring.forEach((server, at) => {
      const row = this.#rows.get(server.name) ?? this.#row(server.name);
      if (this.#body.children[at] !== row) this.#body.insertBefore(row, this.#body.children[at] ?? null);
      this.#fill(row, server, leaders.includes(server.name), common);
    });
  }

  #build(isDemo) {
    this.#isDemo = isDemo;
    this.#rows.clear();
    const table = element("table", "servers");
    const head = element("tr");
    for (const [name, title] of COLUMNS) head.append(Object.assign(element("th", name.replace(/\W+/g, "-"), name), { title, scope: "col" }));
    if (isDemo) head.append(Object.assign(element("th", "", "history"), { title: "digest of this server's history", scope: "col" }), element("th", "", ""));
    const thead = element("thead");
    thead.append(head);
    this.#body = element("tbody");
    table.append(thead, this.#body);
    const scroller = element("div", "scroller");
    scroller.append(table);
    this.#box.replaceChildren(scroller);
  }

  #row(name) {
    const row = element("tr");
    row.dataset.server = name;
    for (const [column] of COLUMNS) row.append(Object.assign(element("td"), { className: column.replace(/\W+/g, "-") }));
    if (this.#isDemo) {
      const acts = element("td", "acts");
      acts.append(this.#act(name, "crash", "Crash"), this.#act(name, "pause", "Pause"));
      row.append(element("td", "digest"), acts);
    }
    this.#rows.set(name, row);
    return row;
  }

  #act(server, action, words) {
    const made = button(words, { do: action, server });
    made.addEventListener("click", () => this.#control({ action: made.dataset.do, server }));
    return made;
  }

  #fill(row, server, isLeader, common) {
    row.dataset.state = stateOf(server);
    row.dataset.leader = String(isLeader);
    COLUMNS.forEach(([, , value], at) => put(row.children[at], value(server)));
    if (!this.#isDemo) return;
    const digest = row.querySelector(".digest");
    const isSame = server.digest === common;
    put(digest, server.digest ? `${isSame ? "=" : "≠"} ${shown(String(server.digest).slice(0, 6))}` : "");
    digest.dataset.same = String(isSame);
    const [crash, pause] = row.querySelector(".acts").children;
    const isGone = server.process === "crashed";
    const isPaused = server.process === "paused";
    set(crash, isGone ? "restart" : "crash", isGone ? "Restart" : "Crash");
    set(pause, isPaused ? "resume" : "pause", isPaused ? "Resume" : "Pause");
    pause.disabled = isGone;
  }
}

function put(cell, value) {
  if (typeof value !== "string") {
    if (cell.textContent !== value.textContent) cell.replaceChildren(value);
  } else if (cell.textContent !== value) {
    cell.textContent = value;
  }
}

function set(made, action, words) {
  if (made.dataset.do === action) return;
  made.dataset.do = action;
  made.textContent = words;
}
