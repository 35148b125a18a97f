// What one may do to a demo's servers and network: cut, lose, slow down, flood, heal.

import { button, element, shown } from "./shown.js";

/** Steps of the slow-motion slider. */
const SLOW = [1, 2, 3, 5, 7, 10, 15, 20];

export class Faults {
  #control;
  #servers = [];
  #sides = new Map();
  #chosen = [];
  #parts = {};

  /** `control(request)` asks the demo for something; `onChoose()` is called when the choice of servers changed. */
  constructor(box, control, onChoose) {
    this.#control = control;
    this.onChoose = onChoose;
    box.append(this.#link(), this.#groups(), this.#loss(), this.#slow(), this.#all());
  }

  get chosen() {
    return this.#chosen;
  }

  /** Picks a server: the first is where datagrams come from, the second where they no longer arrive. */
  choose(name) {
    if (this.#chosen.includes(name)) this.#chosen = this.#chosen.filter((other) => other !== name);
    else this.#chosen = [...this.#chosen, name].slice(-2);
    const { from, to } = this.#parts;
    if (this.#chosen[0]) from.value = this.#chosen[0];
    if (this.#chosen[1]) to.value = this.#chosen[1];
    this.onChoose();
  }

  /** Follows what the demo tells. */
  show({ servers, slow }) {
    const names = servers.map(({ name }) => name);
    if (names.join() !== this.#servers.join()) this.#name(names);
    const { loss, lossOf, slowness } = this.#parts;
    if (document.activeElement !== loss) {
      const told = servers.find(({ name }) => name === lossOf.value)?.loss ?? Math.max(0, ...servers.map((server) => server.loss ?? 0));
      loss.value = String(told);
      this.#parts.lossShown.textContent = `${told} %`;
    }
    const at = SLOW.findIndex((factor) => factor >= (slow ?? 1));
    if (document.activeElement !== slowness) slowness.value = String(at < 0 ? SLOW.length - 1 : at);
    this.#parts.slowShown.textContent = factorWords(slow ?? 1);
  }

  #name(names) {
    this.#servers = names;
    const { from, to, lossOf, sides } = this.#parts;
    for (const select of [from, to]) select.replaceChildren(...names.map(option));
    to.selectedIndex = Math.min(1, names.length - 1);
    lossOf.replaceChildren(new Option("all servers", "all"), ...names.map(option));
    names.forEach((name, at) => this.#sides.set(name, this.#sides.get(name) ?? (at < Math.floor(names.length / 2) ? "A" : "B")));
    sides.replaceChildren(...names.map((name) => this.#side(name)));
  }

  #side(name) {
    const made = button("", { side: this.#sides.get(name), server: name }, () => {
      const side = this.#sides.get(name) === "A" ? "B" : "A";
      this.#sides.set(name, side);
      made.dataset.side = side;
      made.lastChild.textContent = side;
    });
    made.title = "Click to change sides";
    made.append(element("bdi", "", shown(name)), " ", element("b", "", this.#sides.get(name)));
    return made;
  }

  #link() {
    const from = select("From");
    const to = select("To");
    Object.assign(this.#parts, { from, to });
    const cut = (both) => this.#control({ action: "cut", from: from.value, to: to.value, both });
    return row("Link", "Or click two servers of the ring.", from, "→", to,
      button("Cut one way", { do: "cut", way: "one" }, () => cut(false)),
      button("Cut both ways", { do: "cut", way: "both" }, () => cut(true)));
  }

  #groups() {
    const sides = element("span", "sides");
    this.#parts.sides = sides;
    const cut = () => {
      const of = (side) => this.#servers.filter((name) => this.#sides.get(name) === side);
      this.#control({ action: "cut", groups: [of("A"), of("B")] });
    };
    return row("Split", "Two sides that do not hear each other.", sides, button("Cut A from B", { do: "cut", way: "groups" }, cut));
  }

  #loss() {
    const lossOf = select("Loss at");
    const loss = slider("Loss in percent", 0, 90, 1, 0);
    const lossShown = element("output", "", "0 %");
    Object.assign(this.#parts, { lossOf, loss, lossShown });
    loss.dataset.do = "loss";
    loss.addEventListener("input", () => (lossShown.textContent = `${loss.value} %`));
    loss.addEventListener("change", () => this.#control({ action: "loss", server: lossOf.value, percent: Number(loss.value) }));
    return row("Loss", "Of a hundred datagrams so many do not arrive.", lossOf, loss, lossShown);
  }

  #slow() {
    const slowness = slider("Slow motion", 0, SLOW.length - 1, 1, 0);
    const slowShown = element("output", "", "real time");
    Object.assign(this.#parts, { slowness, slowShown });
    slowness.dataset.do = "slow";
    slowness.addEventListener("input", () => (slowShown.textContent = factorWords(SLOW[slowness.value])));
    slowness.addEventListener("change", () => this.#control({ action: "slow", factor: SLOW[slowness.value] }));
    return row("Slow motion", "Datagrams take so many times as long.", slowness, slowShown);
  }

  #all() {
    const count = element("input", "count");
    Object.assign(count, { type: "number", min: "1", max: "1000", value: "200", id: "burst-count" });
    count.setAttribute("aria-label", "Messages in the burst");
    const ask = (request) => () => this.#control(request);
    return row("All", "",
      button("Crash the leader", { do: "crash", server: "leader" }, ask({ action: "crash", server: "leader" })),
      button("Restart all", { do: "restart", server: "all" }, ask({ action: "restart", server: "all" })),
      button("Heal all", { do: "heal" }, ask({ action: "heal" })),
      count, button("Send a burst", { do: "burst" }, () => this.#control({ action: "burst", messages: Number(count.value) || 1 })));
  }
}

function row(words, title, ...parts) {
  const made = element("fieldset", "fault");
  made.append(Object.assign(element("legend", "", words), { title }), ...parts);
  return made;
}

function select(label) {
  const made = element("select");
  made.setAttribute("aria-label", label);
  return made;
}

function slider(label, min, max, step, value) {
  const made = element("input");
  Object.assign(made, { type: "range", min: String(min), max: String(max), step: String(step), value: String(value) });
  made.setAttribute("aria-label", label);
  return made;
}

function option(name) {
  return new Option(shown(name), name);
}

function factorWords(factor) {
  return factor <= 1 ? "real time" : `${factor} times slower`;
}
