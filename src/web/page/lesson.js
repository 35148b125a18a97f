// The prepared lessons of a demo, and the standing proof that nothing is lost.

import { button, counted, element, shown } from "./shown.js";

export class Lesson {
  #box;
  #proof;
  #control;
  #scripts = "";
  #parts = null;

  constructor({ box, proof }, control) {
    this.#box = box;
    this.#proof = proof;
    this.#control = control;
  }

  /** Follows what the demo tells. */
  show(event) {
    this.#box.hidden = false;
    const scripts = JSON.stringify(event.scripts ?? []);
    if (!this.#parts || scripts !== this.#scripts) this.#build(event.scripts ?? []);
    this.#scripts = scripts;
    this.#follow(event.script);
    this.#prove(event);
  }

  #build(scripts) {
    const choice = element("select");
    choice.id = "script";
    choice.setAttribute("aria-label", "Lesson");
    for (const { name, what } of scripts) choice.append(Object.assign(new Option(shown(name), name), { title: shown(what) }));
    const what = element("p", "what");
    const describe = () => (what.textContent = shown(scripts.find(({ name }) => name === choice.value)?.what ?? ""));
    choice.addEventListener("change", describe);
    describe();
    const play = (stepwise) => () => this.#control({ action: "script", name: choice.value, stepwise });
    const start = element("div", "start");
    start.append(choice, button("Play", { do: "script" }, play(false)), button("Step by step", { do: "script", stepwise: "true" }, play(true)), what);
    const step = element("div", "step");
    const text = element("p");
    step.append(text, button("Next step", { do: "step" }, () => this.#control({ action: "step" })), button("Stop", { do: "stop" }, () => this.#control({ action: "stop" })));
    this.#parts = { start, step, text };
    this.#box.replaceChildren(element("h2", "", "Lesson"), start, step);
  }

  #follow(script) {
    const { start, step, text } = this.#parts;
    start.hidden = Boolean(script);
    step.hidden = !script;
    this.#box.dataset.script = script?.name ?? "";
    this.#box.dataset.step = script?.step ?? "";
    if (script) text.textContent = `${shown(script.name)}, step ${script.step} of ${script.steps}: ${shown(script.text)}`;
  }

  #prove({ servers, equal, acknowledged, lost }) {
    const proof = this.#proof;
    proof.hidden = false;
    Object.assign(proof.dataset, { equal: String(equal), acknowledged: String(acknowledged), lost: String(lost) });
    const running = servers.filter(({ state }) => state === "running").length;
    const words = equal ? `✓ histories of ${counted(running, "server")} equal` : "… histories not equal yet";
    proof.replaceChildren(element("span", "verdict", words), ` · acknowledged ${acknowledged} · lost ${lost}`);
    proof.title = servers.map(({ name, digest, messages }) => `${shown(name)}: ${shown(digest ?? "unknown")}, ${messages} messages`).join("\n");
  }
}
