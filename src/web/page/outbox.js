// One's own messages on their way: kept before they are told to the host, until they are stable.

import { MAX_WAITING } from "./identity.js";

/** Kinds of messages in an outbox that a person said. */
const SAID = ["text", "action", "direct"];

export class Outbox {
  #identity;
  #connection;
  #questions;
  #rooms;
  #onChange;

  /** `onChange(room, problem)` is called when a message has got further or was refused. */
  constructor({ identity, connection, questions, rooms }, onChange) {
    this.#identity = identity;
    this.#connection = connection;
    this.#questions = questions;
    this.#rooms = rooms;
    this.#onChange = onChange;
    connection
      .on("queued", (event) => this.#numbered(event))
      .on("accepted", ({ id }) => this.#advance(id, { state: "accepted" }))
      .on("stable", (event) => this.#stable(event))
      .on("rejected", (event) => this.#rejected(event))
      .on("cursor", (event) => this.#shownUpTo(event));
  }

  /** Says to a room, or to the person the talk is with. Returns why not, or null. */
  say(room, text, kind) {
    const { waiting, nick } = this.#identity;
    if (waiting.length >= MAX_WAITING) return "Too much is waiting for a server. Try again when one is back.";
    const draft = { tag: this.#questions.tag(), room: room.peer === null ? room.name : "", text, to: room.peer, kind };
    waiting.push(draft);
    this.#identity.save();
    room.queue({ tag: draft.tag, text, told: kind }, nick);
    this.#submit(draft);
    this.#onChange(room);
    return null;
  }

  #submit({ tag, room, text, to, kind }) {
    this.#connection.send(to === null ? { do: "say", tag, room, text, kind } : { do: "tell", tag, nick: to, text });
  }

  /** What an earlier life of this tab left behind is shown where it was. */
  restore() {
    const { outbox, waiting, client, nick } = this.#identity;
    for (const entry of [...outbox.values(), ...waiting]) {
      if (entry.kind && !SAID.includes(entry.kind)) continue;
      entry.tag = this.#questions.tag();
      const room = entry.to ? this.#rooms.peer(entry.to) : this.#rooms.room(entry.room);
      room.queue({ tag: entry.tag, text: entry.text, told: entry.kind }, nick);
      if (entry.cseq) room.rename(entry.tag, `${client}-${entry.cseq}`);
    }
  }

  /** A host is there: what has no number yet is told to it. What has one went with the hello. */
  resume() {
    for (const draft of this.#identity.waiting) this.#submit(draft);
  }

  /** The host gave a message its number: kept here first, and told so where the host waits for that. */
  #numbered({ tag, id, cseq, save, room, text, kind, to }) {
    const entry = this.#identity.number(tag, cseq);
    if (!entry && save) {
      this.#identity.outbox.set(cseq, { cseq, room: room ?? "", text: text ?? "", to: to ?? null, kind });
      this.#identity.save();
    }
    if (save) this.#connection.send({ do: "saved", cseq });
    for (const known of this.#rooms.all) if (known.rename(tag, id)) this.#onChange(known);
  }

  #advance(id, change) {
    const room = this.#rooms.holding(id);
    if (room?.advance(id, change)) this.#onChange(room);
  }

  #stable({ id, key, copies, of }) {
    this.done(id);
    const room = this.#rooms.holding(id);
    const line = room?.find(id);
    if (line && !line.key && key) room.take({ ...line, kind: line.told, id, key, copies, of, own: true });
    this.#advance(id, { state: "stable", copies, of });
  }

  /** A message that is stable needs no keeping. */
  done(id) {
    if (this.#identity.outbox.delete(numberOf(id))) this.#identity.save();
  }

  #rejected({ tag, id, message, code }) {
    const identity = this.#identity;
    identity.waiting = identity.waiting.filter((draft) => draft.tag !== tag);
    if (id) identity.outbox.delete(numberOf(id));
    identity.save();
    const reason = message ?? code;
    const isMeant = (line) => line.state && ((tag && line.tag === tag) || (id && line.id === id));
    for (const room of this.#rooms.all) {
      const line = room.lines.find(isMeant);
      if (line) Object.assign(line, { state: "rejected", reason });
      if (line) this.#onChange(room, reason);
    }
  }

  #shownUpTo({ cursor, acked_upto: upto }) {
    this.#identity.cursor = cursor;
    this.#identity.acknowledge(upto ?? 0);
    this.#identity.save();
  }
}

function numberOf(id) {
  return Number(String(id).split("-").pop());
}
