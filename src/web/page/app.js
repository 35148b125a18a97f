// The page's beginning: makes the parts and connects them.

import { Chat } from "./chat.js";
import { Connection } from "./connection.js";
import { Identity } from "./identity.js";
import { Moves } from "./moves.js";
import { Questions } from "./questions.js";
import { Tabs } from "./tabs.js";
import { Watch } from "./watch.js";

const $ = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

const identity = await Identity.open(meta("net") || "default");
const connection = new Connection(identity, meta("token"));
const questions = new Questions(connection);
const watch = new Watch({ connection, questions });
const views = new Tabs(document.querySelector("#top [role=tablist]"), show);
const chat = new Chat({ identity, connection, questions, ask, showRing: () => views.show("tab-ring") });
new Moves({ where: $("where"), notice: $("notice") }, connection, identity, (text) => chat.note(text));

function show(tab) {
  const isRing = tab === "tab-ring";
  document.body.dataset.view = isRing ? "ring" : "chat";
  watch.isShown = isRing;
  if (!isRing) chat.seen();
}

connection
  .on("welcome", ({ mode }) => {
    document.body.dataset.mode = mode;
    $("tab-chat").hidden = mode === "replay";
    if (mode === "replay" || (mode === "demo" && !isWelcomed)) views.show("tab-ring");
    if (!isWelcomed && mode !== "replay") chat.learnTopics();
    if (!isWelcomed && !$("chat").hidden) chat.focus();
    isWelcomed = true;
  })
  .on("pages", ({ pages }) => connection.learn(pages));
let isWelcomed = false;

/** Asks for a line of text; null when the person thinks better of it. */
function ask(label, text) {
  const dialog = $("ask");
  $("ask-label").textContent = label;
  $("ask-text").value = text;
  dialog.returnValue = "cancel";
  dialog.showModal();
  $("ask-text").select();
  return new Promise((give) => {
    dialog.addEventListener("close", () => give(dialog.returnValue === "ok" ? $("ask-text").value.trim() : null), { once: true });
  });
}

document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && !$("chat").hidden && chat.seen());
connection.open();
