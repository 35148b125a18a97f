// Text from others, made safe to show: nothing in it turns the reading direction, hides, or breaks what stands around it.

const HARMFUL =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Cs}/gu;

/** The text on one line, its control and invisible characters as visible signs. Joiners that emoji and Persian need stay. */
export function shown(text) {
  return String(text ?? "").replace(HARMFUL, sign);
}

/** The same with its own line breaks and tabs left alone. */
export function shownLines(text) {
  const broken = String(text ?? "").replace(/\r\n/g, "\n");
  return broken.replace(HARMFUL, (c) => (c === "\n" || c === "\t" ? c : sign(c)));
}

/** A name as it may stand in a canvas, where no element isolates it. */
export function shownIsolated(name) {
  return `\u2068${shown(name)}\u2069`;
}

function sign(c) {
  return `\\u{${c.codePointAt(0).toString(16)}}`;
}

/** An element of a class, with text. */
export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A name or text from others as an element of its own direction. */
export function isolated(text, className) {
  return element("bdi", className, shown(text));
}

/** A button with its words and its hooks. */
export function button(text, data = {}, onClick) {
  const made = element("button", "", text);
  made.type = "button";
  Object.assign(made.dataset, data);
  if (onClick) made.addEventListener("click", onClick);
  return made;
}

const two = (number) => String(number).padStart(2, "0");

/** `14:05` of a time in milliseconds or RFC 3339. */
export function hourMinute(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "" : `${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `14:05:01.220`. */
export function exactTime(ms) {
  const date = new Date(ms);
  const thousandths = String(date.getMilliseconds()).padStart(3, "0");
  return `${hourMinute(ms)}:${two(date.getSeconds())}.${thousandths}`;
}

const days = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });

/** The day as a heading: `Tuesday, 24 November 2026`. */
export function dayName(at) {
  return days.format(new Date(at));
}

/** A number for the day of a time, to compare: cheaper than its name. */
export function dayNumber(at) {
  const date = new Date(at);
  return (date.getFullYear() * 12 + date.getMonth()) * 31 + date.getDate();
}

/** A number with its noun: `1 message`, `7 messages`. */
export function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** How many bytes the text has on the wire. */
export function byteLength(text) {
  return new TextEncoder().encode(text).length;
}
