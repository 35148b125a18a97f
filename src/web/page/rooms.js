// The rooms and talks of two that this tab has open, and the list of them at the side.

import { Room } from "./room.js";
import { button, element, isolated, shown } from "./shown.js";

export class Rooms {
  #byName = new Map();
  #byPeer = new Map();
  #lists;
  #shown = null;

  /** `lists` are the elements `{rooms, peers, peersTitle}`; `onOpen(room)` is called when one is chosen. */
  constructor(lists, onOpen) {
    this.#lists = lists;
    this.onOpen = onOpen;
  }

  get names() {
    return [...this.#byName.values()].map((room) => room.name);
  }

  /** With whom there are talks of two. */
  get peers() {
    return [...this.#byPeer.values()].map((room) => room.peer);
  }

  get all() {
    return [...this.#byName.values(), ...this.#byPeer.values()];
  }

  /** The room on the screen. */
  get shown() {
    return this.#shown;
  }

  /** A room by its name, without case; made when it is new. */
  room(name) {
    return this.#get(this.#byName, name, () => new Room(name));
  }

  /** The talk with a person. */
  peer(nick) {
    return this.#get(this.#byPeer, nick, () => new Room(nick, nick));
  }

  #get(map, name, make) {
    const folded = String(name).toLowerCase().normalize("NFC");
    if (!map.has(folded)) {
      map.set(folded, make());
      this.draw();
    }
    return map.get(folded);
  }

  has(name) {
    return this.#byName.has(String(name).toLowerCase().normalize("NFC"));
  }

  leave(room) {
    const map = room.peer === null ? this.#byName : this.#byPeer;
    for (const [key, kept] of map) if (kept === room) map.delete(key);
    if (this.#shown === room && this.all.length > 0) this.open(this.all[0]);
    this.draw();
  }

  /** The room or talk in which a message with the id waits for its way. */
  holding(id) {
    return this.all.find((room) => room.has(id)) ?? null;
  }

  open(room) {
    this.#shown = room;
    this.read(room);
    this.onOpen(room);
  }

  read(room) {
    if (room.unread === 0 && !room.mentioned && room !== this.#shown) return;
    room.unread = 0;
    room.mentioned = false;
    this.draw();
  }

  /** The next room of the list, `by` places on. */
  step(by) {
    const all = this.all;
    const at = all.indexOf(this.#shown);
    if (all.length > 0) this.open(all[(at + by + all.length) % all.length]);
  }

  draw() {
    const { rooms, peers, peersTitle } = this.#lists;
    fill(rooms, [...this.#byName.values()].map((room) => this.#item(room)));
    fill(peers, [...this.#byPeer.values()].map((room) => this.#item(room)));
    peersTitle.hidden = this.#byPeer.size === 0;
    const unread = this.all.reduce((sum, room) => sum + room.unread, 0);
    document.title = unread > 0 ? `(${unread}) ringtalk` : "ringtalk";
  }

  #item(room) {
    const item = element("li");
    const hook = room.peer === null ? { room: room.name } : { peer: room.peer };
    const choose = button("", hook, () => this.open(room));
    choose.dataset.unread = room.unread;
    choose.append(room.peer === null ? "# " : "@ ", isolated(room.name));
    if (room === this.#shown) choose.setAttribute("aria-current", "true");
    if (room.unread > 0) choose.append(this.#count(room));
    choose.title = room.topic ? `${shown(room.name)}: ${shown(room.topic)}` : shown(room.name);
    item.append(choose);
    return item;
  }

  #count(room) {
    const count = element("span", room.mentioned ? "unread mentioned" : "unread", room.unread > 999 ? "999+" : String(room.unread));
    count.setAttribute("aria-label", `${room.unread} unread`);
    return count;
  }
}

function fill(list, items) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset : null;
  list.replaceChildren(...items);
  if (!focused) return;
  const same = items.find(({ firstChild: { dataset } }) => dataset.room === focused.room && dataset.peer === focused.peer);
  same?.firstChild.focus();
}
