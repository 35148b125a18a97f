// The chat: what the host tells becomes lines, what is typed becomes requests.

import { Composer } from "./composer.js";
import { Finder } from "./finder.js";
import { mentions } from "./line.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { DEED } from "./room.js";
import { Rooms } from "./rooms.js";
import { Scrollback } from "./scrollback.js";
import { counted, shown } from "./shown.js";

/** Messages in a page of history; more for who pages on and on. */
const PAGE = 100;
const LONG_PAGE = 500;
const SOON_MS = 3000;

const $ = (id) => document.getElementById(id);

/** What is asked for when a page of a room's history is wanted. */
const pageOf = ({ name, peer }) => ({ do: "history", ...(peer === null ? { rooms: [name] } : { with: peer }) });

export class Chat {
  #identity;
  #connection;
  #questions;
  #rooms;
  #view;
  #composer;
  #people;
  #outbox;
  /** The view's epoch and servers, and how many last came back to it. */
  #epoch = null;
  #members = new Set();
  #rejoined = 0;

  /** `ask(label, text)` resolves to what the person typed; `showRing()` turns to the other view. */
  constructor({ identity, connection, questions, ask, showRing }) {
    this.#identity = identity;
    this.#connection = connection;
    this.#questions = questions;
    this.ask = ask;
    const lists = { rooms: $("rooms"), peers: $("peers"), peersTitle: $("peers-title") };
    this.#rooms = new Rooms(lists, (room) => this.#opened(room));
    this.#view = new Scrollback($("messages"), $("newest"), {
      ask: (room, isNewer) => this.#page(room, isNewer),
      seen: (room) => this.#rooms.read(room),
      mine: () => identity.nick,
    });
    this.#people = new People({ list: $("people-list"), count: $("people-count") }, questions, (nick) => this.talkTo(nick));
    this.#composer = new Composer({ form: $("compose"), input: $("say"), hint: $("hint") }, this.#acts(showRing));
    this.finder = new Finder({ form: $("find"), words: $("words"), found: $("found") }, questions, (hit) => this.#jump(hit));
    this.#outbox = new Outbox({ identity, connection, questions, rooms: this.#rooms }, (room, problem) => this.#progressed(room, problem));
    this.#listen();
    this.#buttons();
    for (const name of identity.rooms) this.#rooms.room(name);
    for (const nick of identity.peers) this.#rooms.peer(nick);
    this.#outbox.restore();
    this.#rooms.open(this.#rooms.all[0]);
  }

  #listen() {
    const on = (name, listener) => this.#connection.on(name, (event) => listener.call(this, event));
    on("welcome", this.#welcomed);
    on("message", this.#heard);
    on("nick", ({ nick }) => this.#renamed(nick));
    on("joined", (event) => this.#moved("joined", event));
    on("left", (event) => this.#moved("left", event));
    on("merged", this.#merged);
    on("view", this.#viewed);
    on("host-gone", () => this.#view.forgetQuestions());
    on("gone", () => this.#people.refreshSoon(this.#rooms.shown));
    on("error", ({ tag, message, hint }) => tag || this.#composer.warn(shown([message, hint].filter(Boolean).join(" "))));
  }

  #buttons() {
    $("nick").addEventListener("click", () => this.#askNick());
    $("topic").addEventListener("click", () => this.#askTopic());
    $("leave").addEventListener("click", () => this.#leave());
    $("join").addEventListener("submit", (event) => {
      event.preventDefault();
      const problem = this.join($("join-room").value.trim());
      this.#composer.warn(problem ?? "");
      if (!problem) $("join-room").value = "";
    });
    $("join-room").addEventListener("focus", () => this.#offerRooms());
    document.addEventListener("keydown", (event) => {
      if (event.altKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
        event.preventDefault();
        this.#rooms.step(event.key === "ArrowDown" ? 1 : -1);
      }
    });
  }

  #acts(showRing) {
    return {
      say: (text) => this.#say(text),
      join: (name) => this.join(name),
      leave: () => this.#leave(),
      msg: (rest) => this.#message(rest),
      me: (text) => (this.#rooms.shown?.peer ? this.#say(DEED + text) : this.#say(text, "action")),
      nick: (nick) => this.#change({ do: "nick", nick }),
      topic: (text) => (this.#rooms.shown?.peer ? "Only rooms have a topic." : this.#change({ do: "topic", room: this.#rooms.shown.name, text })),
      search: (words) => void this.finder.search(words),
      ring: () => void showRing(),
      help: () => this.#note(this.#composer.help()),
      nicks: () => this.#people.names,
      rooms: () => this.#rooms.names,
    };
  }

  /** Says to the whole room, or to the person the open talk is with. */
  #say(text, kind) {
    const room = this.#rooms.shown;
    if (!room) return "Join a room first: /join ROOM";
    this.#view.toEnd();
    return this.#outbox.say(room, text, kind);
  }

  #progressed(room, problem) {
    if (room === this.#rooms.shown) this.#view.changed();
    if (problem) this.#composer.warn(shown(problem));
  }

  #welcomed({ client, nick, mode }) {
    if (mode === "replay") return;
    this.#identity.become(client);
    this.#renamed(nick);
    this.#identity.save();
    this.#outbox.resume();
    this.#load(this.#rooms.shown);
    for (const room of this.#rooms.all) this.#catchUp(room);
    this.#view.forgetQuestions();
    this.#people.refresh(this.#rooms.shown);
    this.#describe();
  }

  #heard(event) {
    const message = { ...event, own: String(event.id).startsWith(`${this.#identity.client}-`) };
    const room = this.#roomOf(message);
    if (!room) return;
    if (message.late && !room.has(message.id)) room.countLate(message.at);
    if (room.peer !== null && !this.#identity.peers.includes(room.peer)) this.#keepRooms();
    if (message.kind === "topic") this.#topic(room, message.text);
    const isNew = room.take(message);
    if (message.own) this.#outbox.done(message.id);
    const isSeen = room === this.#rooms.shown && this.#view.isFollowing && document.visibilityState === "visible" && !$("chat").hidden;
    if (isNew && !message.own && !isSeen) {
      room.unread += 1;
      room.mentioned ||= room.peer !== null || mentions(message.text, this.#identity.nick);
      this.#rooms.draw();
    }
    if (room === this.#rooms.shown) this.#view.changed({ isNews: isNew && !message.own });
  }

  #roomOf({ own, to, nick, room, kind }) {
    // To whom one's own went is not known where nobody remembers a nick.
    if (to || kind === "direct") return own && !to ? null : this.#rooms.peer(own ? to : nick);
    return room ? this.#rooms.room(room) : null;
  }

  #moved(event, { room, nick }) {
    const rooms = room ? [this.#rooms.room(room)] : this.#rooms.all.filter(({ people }) => people.has(nick));
    for (const known of rooms) known.fold(event, nick);
    if (rooms.includes(this.#rooms.shown)) this.#view.changed();
    this.#people.refreshSoon(this.#rooms.shown);
  }

  /** Told after the messages of a block. */
  #merged() {
    for (const room of this.#rooms.all) room.rejoined(this.#rejoined);
    this.#view.changed();
  }

  #viewed({ leader, epoch, members }) {
    const name = typeof leader === "string" ? leader : leader?.name;
    const names = new Set((members ?? []).map((member) => (typeof member === "string" ? member : member?.name)));
    const came = this.#members.size === 0 ? 0 : [...names].filter((member) => !this.#members.has(member)).length;
    if (came > 0) this.#rejoined = came;
    const isKnown = epoch === this.#epoch && names.size === this.#members.size && came === 0;
    this.#epoch = epoch;
    this.#members = names;
    if (isKnown) return;
    const of = Array.isArray(members) ? `, ${counted(members.length, "server")}` : "";
    this.#people.refreshSoon(this.#rooms.shown);
    this.note(`${shown(name)} leads now (epoch ${epoch}${of})`);
  }

  /** A line of the page's own in the open room. */
  note(text) {
    const room = this.#rooms.shown;
    room?.tell("notice", text);
    this.#view.changed();
  }

  #note(lines) {
    for (const line of lines) this.note(line);
  }

  #opened(room) {
    $("room-name").replaceChildren(room.peer === null ? "#" : "@", Object.assign(document.createElement("bdi"), { textContent: shown(room.name) }));
    this.#describe();
    this.finder.close();
    this.#view.open(room);
    this.#load(room);
    this.#people.refresh(room);
    this.#rooms.draw();
    $("say").placeholder = room.peer === null ? `Message #${shown(room.name)}` : `Message @${shown(room.name)} – only the two of you see it`;
  }

  #describe() {
    const room = this.#rooms.shown;
    $("topic").hidden = room.peer !== null;
    $("topic").textContent = shown(room.topic) || "Set a topic";
    $("topic").classList.toggle("unset", !room.topic);
    $("leave").textContent = room.peer === null ? "Leave" : "Close";
  }

  #topic(room, text) {
    room.topic = text;
    this.#describe();
    this.#rooms.draw();
  }

  #load(room) {
    if (room && !room.isLoaded) this.#page(room, false);
  }

  /** Where the feed has no place to go on from, what was said meanwhile is in the newest page of history. */
  async #catchUp(room) {
    if (this.#identity.cursor !== null || !room.isLoaded || room.hasNewer) return;
    const answer = await this.#questions.ask({ ...pageOf(room), before: null, limit: PAGE });
    for (const message of this.#mark(answer?.messages)) room.take(message);
    if (room === this.#rooms.shown) this.#view.changed();
  }

  /** Asks for the page above or below what is loaded; false when it cannot be asked for. */
  #page(room, isNewer) {
    if (!this.#connection.isOpen) return false;
    const now = performance.now();
    const request = { ...pageOf(room), limit: now - room.pagedAt < SOON_MS ? LONG_PAGE : PAGE };
    room.pagedAt = now;
    if (isNewer) request.after = room.edges.newer ?? room.newestKey;
    else request.before = room.edges.older ?? room.oldestKey;
    this.#questions.ask({ before: null, ...request }).then((answer) => {
      // A host that knows no pages below a place answers with the newest page.
      const isNewest = isNewer && answer && answer.after === undefined;
      if (isNewest) room.clear();
      const isBelow = isNewer && !isNewest;
      if (answer) room.takePage(this.#mark(answer.messages), { isNewer: isBelow, hasMore: Boolean(answer.more), edge: answer.edge });
      if (room === this.#rooms.shown) this.#view.paged(isNewer, isNewest);
    });
    return true;
  }

  #mark(messages) {
    const prefix = `${this.#identity.client}-`;
    // What is history was on every disk of its view, and who came later has it before it takes people.
    const servers = this.#members.size || undefined;
    return (messages ?? []).map((message) => ({ ...message, copies: servers, of: servers, late: false, own: String(message.id).startsWith(prefix) }));
  }

  /** Shows a found message where it stands in history. */
  async #jump(hit) {
    const room = this.#roomOf(this.#mark([hit])[0]);
    if (!room) return;
    if (room !== this.#rooms.shown) this.#rooms.open(room);
    if (!room.hasNewer && this.#view.toLine(hit.id)) return;
    // What follows it too: a last line cannot stand in the middle.
    const ask = (edge) => this.#questions.ask({ ...pageOf(room), before: null, ...edge, limit: PAGE });
    const [before, after] = await Promise.all([ask({ before: hit.key }), ask({ after: hit.key })]);
    if (!before) return;
    room.clear();
    room.takePage([...this.#mark(before.messages), ...this.#mark([hit])], { hasMore: Boolean(before.more), edge: before.edge });
    room.hasNewer = true;
    // A host that knows no pages below a place answers with the newest page.
    if (after?.after !== undefined) room.takePage(this.#mark(after.messages), { isNewer: true, hasMore: Boolean(after.more), edge: after.edge });
    this.#view.toLine(hit.id);
  }

  join(name) {
    const bare = name.replace(/^#/, "");
    if (!bare) return "Which room? /join ROOM";
    if (!this.#rooms.has(bare)) {
      const problem = this.#change({ do: "join", room: bare });
      if (problem) return problem;
    }
    this.#rooms.open(this.#rooms.room(bare));
    this.#keepRooms();
    return null;
  }

  #leave() {
    const room = this.#rooms.shown;
    if (room.peer === null && this.#rooms.names.length === 1) return "This is the only room you are in.";
    if (room.peer === null) this.#change({ do: "leave", room: room.name });
    this.#rooms.leave(room);
    this.#keepRooms();
    return null;
  }

  #keepRooms() {
    this.#identity.rooms = this.#rooms.names;
    this.#identity.peers = this.#rooms.peers;
    this.#identity.save();
  }

  /** Opens the talk with a person. */
  talkTo(nick) {
    if (nick === this.#identity.nick) return;
    this.#rooms.open(this.#rooms.peer(nick));
    this.#keepRooms();
    this.#composer.focus();
  }

  #message(rest) {
    const [, nick, text] = /^@?(\S+)\s*([^]*)$/.exec(rest);
    this.talkTo(nick);
    return text ? this.#say(text) : null;
  }

  #change(request) {
    return this.#connection.send(request) ? null : "No server is there to take that. Try again in a moment.";
  }

  #renamed(nick) {
    if (!nick) return;
    this.#identity.nick = nick;
    this.#identity.save();
    $("nick").replaceChildren(Object.assign(document.createElement("bdi"), { textContent: shown(nick) }));
    this.#people.refreshSoon(this.#rooms.shown);
  }

  async #askNick() {
    const nick = await this.ask("Your nick", this.#identity.nick);
    if (nick && nick !== this.#identity.nick) this.#composer.warn(this.#change({ do: "nick", nick }) ?? "");
  }

  async #askTopic() {
    const room = this.#rooms.shown;
    const text = await this.ask(`Topic of #${shown(room.name)}`, room.topic);
    if (text !== null && text !== room.topic) this.#composer.warn(this.#change({ do: "topic", room: room.name, text }) ?? "");
  }

  async #offerRooms() {
    const answer = await this.#questions.ask({ do: "rooms" });
    if (!answer) return;
    const options = answer.rooms.slice(0, 200).map(({ room }) => Object.assign(document.createElement("option"), { value: room }));
    $("known-rooms").replaceChildren(...options);
    for (const { room, topic } of answer.rooms) if (this.#rooms.has(room)) this.#rooms.room(room).topic = topic ?? "";
    this.#describe();
  }

  /** The chat is on the screen again. */
  seen() {
    if (this.#view.isFollowing) this.#rooms.read(this.#rooms.shown);
    this.#view.changed();
  }

  focus() {
    this.#composer.focus();
  }

  /** Topics are asked for once when the host is new to us. */
  learnTopics() {
    return this.#offerRooms();
  }
}
