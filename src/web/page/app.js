// A line for each thing said in the lobby, and an input line.

const token = document.querySelector('meta[name="token"]').content;
const log = document.getElementById("log");
const text = document.getElementById("text");
const socket = new WebSocket(`ws://${location.host}/ws`);
const send = (request) => socket.send(JSON.stringify(request));
const show = (line) => log.append(`${line}\n`);

socket.onopen = () => send({ do: "hello", token, nick: null, client: null, acked_upto: 0, outbox: [], cursor: null, rooms: ["lobby"] });
socket.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  if (event.event === "queued") send({ do: "saved", cseq: event.cseq });
  if (event.event === "message") show(`<${event.nick}> ${event.text}`);
  if (event.event === "welcome") show(`-- you are ${event.nick}`);
};
document.getElementById("form").onsubmit = (event) => {
  event.preventDefault();
  send({ do: "say", tag: 1, room: "lobby", text: text.value });
  text.value = "";
};
