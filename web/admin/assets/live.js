// The statistics, the graph of the last minutes and the list of events, from one stream.

import { find, make } from "./dom.js";

const NUMBERS = {
  liveSessions: "live sessions",
  liveUsers: "people signed in",
  users: "accounts",
  logins1m: "logins a minute",
  failures1m: "failed a minute",
  devicesConnected: "devices connected",
  nodes: "nodes",
};
const MINUTES = 10;
const EVENTS = 200;
const history = [];

export function hear(message) {
  if (message.type !== "stats") return list(message);
  find("numbers").replaceChildren(
    ...Object.entries(NUMBERS).map(([name, title]) =>
      make("div", {}, make("dt", { textContent: title }), make("dd", { textContent: message[name].toLocaleString() }))),
  );
  history.push([message.logins1m, message.failures1m]);
  history.splice(0, Math.max(0, history.length - MINUTES * 60));
  draw();
  if (message.skipped > 0) line(`${message.skipped} more`, message.at);
}

function list(event) {
  const device = event.deviceInfo;
  const words = [event.type, event.reason, device && [device.name, device.browser, device.os].filter(Boolean).join(", "), event.userId];
  line(words.filter(Boolean).join(" · "), event.timestamp);
}

function line(text, time) {
  const events = find("events");
  const clock = make("time", { className: "soft", textContent: `${new Date(time).toLocaleTimeString()} ` });
  events.prepend(make("li", {}, clock, text));
  while (events.children.length > EVENTS) events.lastChild.remove();
}

function draw() {
  const canvas = find("graph");
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const most = Math.max(1, ...history.flat());
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (const [place, color] of [[0, "--accent"], [1, "--danger"]]) {
    context.beginPath();
    context.strokeStyle = style.getPropertyValue(color);
    context.lineWidth = 2;
    history.forEach((numbers, second) => {
      const x = canvas.width * (1 - (history.length - 1 - second) / (MINUTES * 60));
      context.lineTo(x, canvas.height - 4 - (numbers[place] / most) * (canvas.height - 8));
    });
    context.stroke();
  }
}
