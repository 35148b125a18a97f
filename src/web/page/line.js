// One line of the chat as an element.

import { counted, dayName, dayNumber, element, hourMinute, isolated, shown, shownLines } from "./shown.js";

/** Characters of a text shown at once; the rest at a click. */
const MAX_SHOWN = 1500;
/** Lines of a text shown at once. */
const MAX_TEXT_LINES = 12;
/** Names in a fold. */
const MAX_NAMES = 4;

const LADDER = {
  queued: ["·", "queued: kept in this browser, no server has it yet"],
  accepted: ["↑", "accepted: a server has it"],
  rejected: ["✗", "refused"],
};

/** The ladder's sign of a message of one's own, and what it means. */
export function ladder(line) {
  if (line.state !== "stable") return LADDER[line.state] ?? LADDER.queued;
  if (line.of === undefined) return ["✓✓", "stable: every server of its view had it on disk"];
  if (line.of <= 1) return ["✓", "stable on one disk, because there is only one server"];
  if (line.copies >= line.of) return ["✓✓", `stable: on the disks of all ${line.of} servers`];
  return ["✓", `stable: on the disks of ${line.copies} of ${line.of} servers`];
}

/** The element of a line. `previous` is the line above it, `mine` one's own nick. */
export function lineElement(line, previous, mine) {
  const made = made_by[line.kind]?.(line, previous, mine) ?? element("div", "line");
  made.dataset.line = line.line;
  return made;
}

const made_by = { message, fold, notice, late: lateHead, day: notice };

/** The day line above a line, or null when the day is that of the line before. */
export function dayElement(line, previous) {
  if (previous && dayOf(previous) === dayOf(line)) return null;
  const made = element("div", "day", dayName(line.at));
  made.setAttribute("role", "separator");
  return made;
}

function dayOf(line) {
  line.day ??= dayNumber(line.at);
  return line.day;
}

function message(line, previous, mine) {
  const made = element("div", "line message");
  if (line.id) made.dataset.id = line.id;
  if (line.own) made.classList.add("own");
  if (line.late) made.classList.add("late");
  if (line.told === "action" || line.told === "topic") made.classList.add("deed");
  const time = element("time", "at", hourMinute(line.at));
  time.title = told(line);
  made.append(time);
  const nick = isolated(line.nick, "who");
  if (isSameSpeaker(line, previous)) nick.classList.add("again");
  nick.style.setProperty("--hue", hueOf(line.nick));
  made.append(nick, words(line, mine));
  if (line.own) made.append(state(line));
  return made;
}

function isSameSpeaker(line, previous) {
  return previous?.kind === "message" && previous.nick === line.nick && Boolean(previous.late) === Boolean(line.late);
}

function told(line) {
  if (!line.key) return "on its way";
  return `${line.at}\nepoch ${line.epoch}, place ${line.gsn}, leader ${shown(line.leader)}\n${shown(line.id)}`;
}

function words(line, mine) {
  const text = shownLines(line.text);
  const made = element("div", "text");
  made.dir = "auto";
  if (mine && !line.own && mentions(line.text, mine)) made.classList.add("mention");
  if (line.told === "topic") made.append("sets the topic: ");
  const short = shortened(text);
  made.append(short);
  if (short.length < text.length) made.append(restButton(made, text));
  return made;
}

function restButton(words, text) {
  const more = element("button", "more", ` show all (${Math.ceil(text.length / 1024)} KiB)`);
  more.type = "button";
  more.addEventListener("click", () => (words.textContent = text));
  return more;
}

function shortened(text) {
  const lines = text.split("\n", MAX_TEXT_LINES + 1);
  const few = lines.length > MAX_TEXT_LINES ? lines.slice(0, MAX_TEXT_LINES).join("\n") : text;
  if (few.length <= MAX_SHOWN) return few;
  return few.slice(0, MAX_SHOWN).replace(/[\ud800-\udbff]$/, "");
}

/** Whether the text names the nick as a word. */
export function mentions(text, nick) {
  const from = String(text).toLowerCase();
  const name = nick.toLowerCase();
  for (let at = from.indexOf(name); at >= 0; at = from.indexOf(name, at + 1)) {
    const isEdge = (c) => c === undefined || !/[\p{L}\p{N}_]/u.test(c);
    if (isEdge(from[at - 1]) && isEdge(from[at + name.length])) return true;
  }
  return false;
}

function state(line) {
  const [sign, meaning] = ladder(line);
  const made = element("span", "state", sign);
  made.dataset.state = line.state;
  made.title = line.reason ? `${meaning}: ${shown(line.reason)}` : meaning;
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", made.title);
  return made;
}

function fold(line) {
  const made = element("div", "line fold");
  made.dataset.joined = line.count.joined;
  made.dataset.left = line.count.left;
  const parts = ["joined", "left"].filter((event) => line.count[event] > 0).map((event) => folded(line, event));
  parts.forEach((part, at) => made.append(...(at ? [" · ", ...part] : part)));
  made.title = line.moves.map(({ event, nick }) => `${shown(nick)} ${event}`).slice(0, 40).join("\n");
  return made;
}

function folded(line, event) {
  const nicks = [...new Set(line.moves.filter((move) => move.event === event).map((move) => move.nick))];
  const parts = nicks.slice(0, MAX_NAMES).flatMap((nick, at) => (at ? [", ", isolated(nick)] : [isolated(nick)]));
  const others = line.count[event] - Math.min(nicks.length, MAX_NAMES);
  if (nicks.length > MAX_NAMES) parts.push(` and ${counted(others, "other")}`);
  return [...parts, ` ${event}`];
}

function notice(line) {
  return element("div", "line notice", shown(line.text));
}

function lateHead({ messages, from, until, servers }) {
  const who = servers > 0 ? `${counted(servers, "server")} rejoined: ` : "";
  const [first, last] = [hourMinute(from), hourMinute(until)];
  const span = first === last ? first : `${first} to ${last}`;
  const made = element("div", "line late-head", `${who}${counted(messages, "message")} from the other side, ${span}`);
  made.setAttribute("role", "separator");
  return made;
}

/** A colour for a name, the same everywhere. */
export function hueOf(name) {
  let hash = 7;
  for (const c of String(name)) hash = (hash * 31 + c.codePointAt(0)) % 3600;
  return String(Math.floor(hash / 10));
}
