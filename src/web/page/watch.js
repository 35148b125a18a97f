// The view of the servers: what the host tells goes to the ring, the tables, the plots, the commentary and the diagram.

import { Census } from "./census.js";
import { Diagram } from "./diagram.js";
import { Faults } from "./faults.js";
import { groupOf, nameOf, told, GROUPS } from "./kinds.js";
import { Lanes } from "./lanes.js";
import { Lesson } from "./lesson.js";
import { readColours } from "./paint.js";
import { Picture } from "./picture.js";
import { Plots } from "./plots.js";
import { EventRecord, FILE_CAPACITY } from "./record.js";
import { Ring } from "./ring.js";
import { Servers } from "./servers.js";
import { counted, element, shown } from "./shown.js";
import { Stats } from "./stats.js";
import { Tabs } from "./tabs.js";
import { Tale } from "./tale.js";

const $ = (id) => document.getElementById(id);
/** The plots and tables are drawn anew this often at most. */
const REFRESH_MS = 500;
/** Of more events at once, only the ring's last state is shown, not each hop and dot. */
const MAX_LIVELY = 4000;
/** Tags of what a demo is asked for, apart from those of questions. */
const FIRST_TAG = 1_000_000;

export class Watch {
  #connection;
  #record = new EventRecord();
  #lanes = new Lanes();
  #picture = new Picture();
  #stats = new Stats(this.#record);
  #mode = "";
  #isShown = false;
  #hasTrace = false;
  #isDrawn = true;
  #lost = 0;
  #tag = FIRST_TAG;
  #moment = Infinity;

  constructor({ connection, questions }) {
    this.#connection = connection;
    const control = (request) => this.#control(request);
    this.ring = new Ring($("ring"), (name) => this.#choose(name));
    this.servers = new Servers($("panel-servers"), control);
    this.census = new Census($("panel-rooms"), questions);
    this.plots = new Plots($("panel-plots"));
    this.faults = new Faults($("panel-faults"), control, () => this.#changed());
    this.lesson = new Lesson({ box: $("lesson"), proof: $("proof") }, control);
    this.tale = new Tale($("tale"));
    this.panels = new Tabs($("panel-tabs"), () => this.#refresh());
    this.diagram = new Diagram(diagramParts(), { record: this.#record, lanes: this.#lanes, stats: this.#stats, onTime: (ms) => this.#lookBack(ms) });
    this.#caption();
    this.#listen();
    setInterval(() => this.#refresh(), REFRESH_MS);
  }

  set isShown(isShown) {
    this.#isShown = isShown;
    this.diagram.isShown = isShown;
    if (isShown) this.#trace();
    this.#refresh();
  }

  #listen() {
    const on = (name, listener) => this.#connection.on(name, (event) => listener.call(this, event));
    on("welcome", this.#welcomed);
    on("status", this.#status);
    on("trace", this.#traced);
    on("replayed", () => this.#replayed());
    on("demo", this.#demo);
    on("tale", ({ at, text }) => this.tale.tell(Date.parse(at), text));
    on("error", ({ tag, message, hint }) => tag >= FIRST_TAG && this.tale.tell(Date.now(), [message, hint].filter(Boolean).join(" ")));
    on("message", ({ id, nick }) => this.#lanes.learn(id, nick));
    $("taller").addEventListener("click", () => {
      const isTall = document.body.classList.toggle("tall");
      $("taller").setAttribute("aria-pressed", String(isTall));
    });
  }

  #welcomed({ mode, client, nick, nicks }) {
    if (client) this.#lanes.learn(`${client}-`, nick);
    for (const [client, nick] of Object.entries(nicks ?? {})) this.#lanes.learn(`${client}-`, nick);
    const isNew = this.#mode !== mode;
    this.#mode = mode;
    if (!isNew) return;
    $("tab-faults").hidden = mode !== "demo";
    if (mode === "replay") this.#openFile();
    if (mode === "demo") this.#trace();
  }

  /** Events are asked for from the first look at the ring on. */
  #trace() {
    if (this.#hasTrace || this.#mode === "replay") return;
    this.#hasTrace = true;
    this.#connection.watch(true, true);
  }

  #openFile() {
    this.#record = this.#stats.record = this.diagram.record = new EventRecord(FILE_CAPACITY);
    $("tab-rooms").hidden = true;
    this.plots.keeps = 7200;
    this.ring.hasDots = false;
    this.#connection.send({ do: "replay" });
    $("ring-caption").firstChild.textContent = "Reading the file …";
  }

  #replayed() {
    // It tells the moment that it shows.
    this.diagram.openFile();
  }

  #status(event) {
    if (this.#mode === "replay") return;
    this.#picture.status(event);
    this.#lanes.arrange(this.#record.names, this.#picture.ring);
    const problems = event.problems ?? [];
    $("ring-box").dataset.healthy = String(Boolean(event.healthy));
    $("ring-caption").title = problems.map(shown).join("\n");
    this.#changed();
  }

  #demo(event) {
    this.#picture.demo(event);
    this.faults.show(event);
    this.lesson.show(event);
    this.#changed();
  }

  #traced({ events, lost }) {
    const isLively = this.#isShown && events.length < MAX_LIVELY && this.#mode !== "replay";
    this.#record.take(events, (event, ms) => this.#one(event, ms, isLively));
    for (const count of Object.values(lost ?? {})) this.#lost += count;
    this.#lanes.arrange(this.#record.names, this.#picture.ring);
    this.diagram.changed();
    this.#changed();
  }

  #one(event, ms, isLively) {
    this.plots.take(event, ms);
    if (event.what === "accepted") this.#lanes.appear(event.fields?.id ?? "");
    const text = told(event);
    if (text !== null) {
      this.diagram.mark(ms, groupOf(event));
      if (this.#mode !== "demo") this.tale.tell(ms, text);
    }
    if (this.#mode === "replay") return this.#picture.keep(event);
    this.#picture.trace(event);
    if (!isLively) return;
    if (event.what === "sent" && event.kind === "elect") this.ring.pass(event.server, event.to, nameOf(event.fields?.candidate));
    else if (event.what === "received" && event.kind !== "beacon") this.ring.fly(event.from, event.server, GROUPS[groupOf(event)].name);
  }

  #lookBack(ms) {
    this.#moment = ms;
    this.#picture.lookBack(ms);
    this.#lanes.arrange(this.#record.names, this.#picture.ring);
    this.#changed();
  }

  #changed() {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    requestAnimationFrame(() => {
      this.#isDrawn = true;
      if (this.#isShown) this.#draw();
    });
  }

  #draw() {
    const picture = this.#picture;
    this.ring.show(picture, this.faults.chosen);
    this.servers.show(picture, this.#mode === "demo");
    const { epoch, leaders, electing } = picture;
    let words = leaders.length > 0 ? `${shown(leaders[0])} leads, epoch ${epoch}, ${counted(picture.living, "server")}` : "Nobody leads";
    if (leaders.length > 1) words = `${leaders.length} rings, led by ${leaders.map(shown).join(" and ")}`;
    if (electing) words = `Election ${electing.num}: the token carries ${shown(electing.candidate)}`;
    const caption = $("ring-caption").firstChild;
    if (caption.textContent !== words) caption.textContent = words;
  }

  /** What need not follow each event. */
  #refresh() {
    if (!this.#isShown || document.visibilityState === "hidden") return;
    if (this.panels.shown === "tab-plots") this.plots.draw(plotColours(), this.#moment);
    if (this.panels.shown === "tab-rooms") this.census.refresh();
  }

  #caption() {
    const label = element("label", "dots");
    const box = Object.assign(element("input"), { type: "checkbox", id: "dots" });
    box.addEventListener("change", () => (this.ring.hasDots = box.checked));
    label.append(box, " datagrams");
    $("ring-caption").append(element("span"), label);
  }

  #choose(name) {
    if (this.#mode !== "demo") return;
    this.faults.choose(name);
    if (this.faults.chosen.length === 2) this.panels.show("tab-faults");
  }

  #control(request) {
    this.#tag += 1;
    this.#connection.send({ do: "control", tag: this.#tag, ...request });
  }
}

function plotColours() {
  const colours = readColours();
  GROUPS.forEach(({ name }, at) => (colours[name] = colours.groups[at]));
  return colours;
}

function diagramParts() {
  return {
    canvas: document.querySelector("#diagram #plane canvas"),
    landmarks: $("landmarks"),
    detail: $("detail"),
    legend: $("legend"),
    pause: $("pause"),
    scrub: $("scrub"),
    clock: $("clock"),
    span: $("span"),
    zoomIn: $("zoom-in"),
    zoomOut: $("zoom-out"),
  };
}
