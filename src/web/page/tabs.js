// A row of tabs as keyboards and screen readers expect it: arrows move, the panel follows.

export class Tabs {
  #tabs;
  #onShow;

  constructor(list, onShow = () => {}) {
    this.#tabs = [...list.querySelectorAll("[role=tab]")];
    this.#onShow = onShow;
    for (const tab of this.#tabs) {
      tab.addEventListener("click", () => this.show(tab.id));
      tab.addEventListener("keydown", (event) => this.#key(event, tab));
    }
  }

  get shown() {
    return this.#tabs.find((tab) => tab.getAttribute("aria-selected") === "true")?.id;
  }

  show(id) {
    for (const tab of this.#tabs) {
      const isShown = tab.id === id;
      tab.setAttribute("aria-selected", String(isShown));
      tab.tabIndex = isShown ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !isShown;
    }
    this.#onShow(id);
  }

  #key(event, tab) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const usable = this.#tabs.filter((other) => !other.hidden);
    const next = usable[(usable.indexOf(tab) + by + usable.length) % usable.length];
    this.show(next.id);
    next.focus();
  }
}
