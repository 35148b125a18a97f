// The ring: servers on a circle, the leader crowned, the election's token on its way, cut links, datagrams as dots.

import { stateOf } from "./picture.js";
import { shown, shownIsolated } from "./shown.js";

const SVG = "http://www.w3.org/2000/svg";
const RADIUS = 112;
/** How long the token takes from one server to the next: real hops are too short to be seen. */
const HOP_MS = 420;
/** Hops that wait to be shown; of more, the oldest are left out. */
const MAX_HOPS = 24;
/** Dots on their way at a time. */
const MAX_DOTS = 48;
const DOT_MS = 380;
const WORDS = { leader: "leads", member: "member", joining: "joining", catching_up: "catching up", failed: "gone", paused: "paused", suspected: "suspected", unknown: "" };

const isStill = matchMedia("(prefers-reduced-motion: reduce)");

export class Ring {
  #svg;
  #nodes = new Map();
  #places = new Map();
  #cuts;
  #token;
  #dots = [];
  #flying = [];
  #hops = [];
  #hop = null;
  #running = false;

  /** `onChoose(name)` is called when a server is clicked. */
  constructor(svg, onChoose) {
    this.#svg = svg;
    this.onChoose = onChoose;
    const circle = make("circle", { r: RADIUS, class: "round" });
    this.#cuts = make("g", { class: "cuts" });
    this.#token = make("g", { class: "token", visibility: "hidden" });
    this.#token.append(make("circle", { r: 13 }), textAt("", 0, 4, "token-name"));
    svg.append(circle, this.#cuts);
    for (let at = 0; at < 12; at += 1) svg.append(chevron((at / 12) * 2 * Math.PI));
    svg.append(this.#token);
    /** Whether datagrams are shown as dots. */
    this.hasDots = false;
  }

  /** Shows the picture; `chosen` are the names that are picked. */
  show(picture, chosen = []) {
    const ring = picture.ring;
    const names = new Set(ring.map(({ name }) => name));
    const leaders = picture.leaders;
    for (const [name, node] of this.#nodes) {
      if (names.has(name)) continue;
      node.remove();
      this.#nodes.delete(name);
      this.#places.delete(name);
    }
    ring.forEach((server, at) => {
      const angle = (at / ring.length) * 2 * Math.PI - Math.PI / 2;
      this.#places.set(server.name, { angle, x: Math.cos(angle) * RADIUS, y: Math.sin(angle) * RADIUS });
      this.#draw(server, leaders.includes(server.name), chosen.includes(server.name));
    });
    this.#drawCuts(ring);
    this.#svg.dataset.leader = picture.leader;
    this.#svg.dataset.epoch = picture.epoch;
  }

  #draw(server, leads, isChosen) {
    const node = this.#nodes.get(server.name) ?? this.#makeNode(server.name);
    const { x, y } = this.#places.get(server.name);
    const state = stateOf(server);
    node.style.transform = `translate(${x}px, ${y}px)`;
    node.dataset.state = state;
    node.dataset.leader = String(leads);
    node.setAttribute("aria-pressed", String(isChosen));
    node.setAttribute("aria-label", `${shown(server.name)}, ${leads ? "leads" : WORDS[state] || state}`);
    node.querySelector(".sub").textContent = leads && state !== "suspected" ? "leads" : (WORDS[state] ?? state);
    node.querySelector(".name").setAttribute("y", y < -RADIUS / 2 ? -30 : 42);
    node.querySelector(".sub").setAttribute("y", y < -RADIUS / 2 ? -45 : 57);
    node.querySelector(".crown").setAttribute("visibility", leads ? "visible" : "hidden");
  }

  #makeNode(name) {
    const node = make("g", { class: "node", tabindex: 0, role: "button", "data-server": name });
    const crown = make("path", { class: "crown", d: "M-11 6 L-13 -8 L-6 -1 L0 -11 L6 -1 L13 -8 L11 6 Z" });
    node.append(make("circle", { r: 23 }), crown, textAt(shownIsolated(shortened(shown(name))), 0, 42, "name"), textAt("", 0, 57, "sub"));
    const choose = () => this.onChoose(name);
    node.addEventListener("click", choose);
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    });
    this.#svg.insertBefore(node, this.#token);
    this.#nodes.set(name, node);
    return node;
  }

  #drawCuts(ring) {
    const parts = [];
    for (const server of ring) {
      for (const from of server.cutFrom ?? []) {
        const there = this.#places.get(from);
        const here = this.#places.get(server.name);
        if (!there || !here) continue;
        const isBoth = ring.find(({ name }) => name === from)?.cutFrom?.includes(server.name);
        if (isBoth && from > server.name) continue;
        parts.push(cutLine(there, here, isBoth, from, server.name));
      }
    }
    this.#cuts.replaceChildren(...parts);
  }

  /** The token goes from one server to another, carrying a candidate. */
  pass(from, to, candidate) {
    if (document.visibilityState === "hidden") return;
    this.#hops.push({ from, to, candidate });
    if (this.#hops.length > MAX_HOPS) this.#hops.shift();
    this.#run();
  }

  /** A datagram on its way, as a dot. */
  fly(from, to, group) {
    if (!this.hasDots || isStill.matches || this.#flying.length >= MAX_DOTS) return;
    const here = this.#places.get(from);
    const there = this.#places.get(to);
    if (!here || !there) return;
    const dot = this.#dots.pop() ?? this.#svg.insertBefore(make("circle", { r: 4 }), this.#token);
    dot.setAttribute("class", `dot ${group}`);
    this.#flying.push({ dot, here, there, since: performance.now() });
    this.#run();
  }

  #run() {
    if (this.#running) return;
    this.#running = true;
    requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    this.#moveToken(now);
    this.#flying = this.#flying.filter((flight) => this.#moveDot(flight, now));
    this.#running = this.#hop !== null || this.#hops.length > 0 || this.#flying.length > 0;
    if (this.#running) requestAnimationFrame((next) => this.#frame(next));
    else this.#token.setAttribute("visibility", "hidden");
  }

  #moveToken(now) {
    if (this.#hop && now - this.#hop.since > HOP_MS) this.#hop = null;
    if (!this.#hop) {
      const next = this.#hops.shift();
      if (!next) return;
      this.#hop = { ...next, since: now };
      this.#token.dataset.from = next.from;
      this.#token.dataset.to = next.to;
      this.#token.lastChild.textContent = shownIsolated([...String(next.candidate)].slice(0, 3).join(""));
      this.#token.setAttribute("visibility", "visible");
    }
    const from = this.#places.get(this.#hop.from);
    const to = this.#places.get(this.#hop.to);
    if (!from || !to) return;
    const share = isStill.matches ? 1 : ease(Math.min(1, (now - this.#hop.since) / HOP_MS));
    let turn = to.angle - from.angle;
    if (turn <= 0) turn += 2 * Math.PI;
    const angle = from.angle + turn * share;
    this.#token.setAttribute("transform", `translate(${Math.cos(angle) * (RADIUS - 34)} ${Math.sin(angle) * (RADIUS - 34)})`);
  }

  #moveDot({ dot, here, there, since }, now) {
    const share = Math.min(1, (now - since) / DOT_MS);
    dot.setAttribute("cx", here.x + (there.x - here.x) * share);
    dot.setAttribute("cy", here.y + (there.y - here.y) * share);
    if (share < 1) return true;
    dot.setAttribute("class", "dot resting");
    this.#dots.push(dot);
    return false;
  }
}

const ease = (share) => share * share * (3 - 2 * share);

function make(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function textAt(words, x, y, className) {
  const made = make("text", { x, y, class: className });
  made.textContent = words;
  return made;
}

function shortened(name) {
  const characters = [...name];
  return characters.length > 14 ? `${characters.slice(0, 13).join("")}…` : name;
}

/** A sign of the direction in which the token goes. */
function chevron(angle) {
  const degrees = (angle * 180) / Math.PI;
  return make("path", { class: "chevron", d: "M-4 -3 L0 2 L4 -3", transform: `rotate(${degrees}) translate(${RADIUS} 0)` });
}

function cutLine(from, to, isBoth, fromName, toName) {
  const made = make("g", { class: "cut", "data-from": fromName, "data-to": toName, "data-both": Boolean(isBoth) });
  const at = isBoth ? 0.5 : 0.68;
  const [x, y] = [from.x + (to.x - from.x) * at, from.y + (to.y - from.y) * at];
  made.append(make("line", { x1: from.x, y1: from.y, x2: to.x, y2: to.y }));
  made.append(make("path", { d: "M-6 -6 L6 6 M6 -6 L-6 6", transform: `translate(${x} ${y})` }));
  const title = make("title", {});
  title.textContent = isBoth ? `${shown(fromName)} and ${shown(toName)} do not hear each other` : `${shown(toName)} does not hear ${shown(fromName)}`;
  made.append(title);
  return made;
}
