// Accounts found by the beginning of their address, and one of them with its sessions.

import { call } from "./api.js";
import { act, confirmed, find, make, tell, when } from "./dom.js";

let cursor = null;
let search = 0;
let shown = null;

export async function look(more = false) {
  const mine = ++search;
  const prefix = find("prefix").value.trim();
  const query = new URLSearchParams({ limit: "20" });
  if (prefix) query.set("email", `${prefix}*`);
  if (more && cursor) query.set("cursor", cursor);
  const rows = [];
  // A page may be short, even empty, and still have a next one.
  do {
    const { json } = await call("GET", `/admin/users?${query}`);
    // The response to a later search has arrived meanwhile.
    if (mine !== search) return;
    rows.push(...json.users.map(row));
    cursor = json.nextCursor;
    query.set("cursor", cursor);
  } while (cursor && !rows.length);
  if (more) find("users").append(...rows);
  else find("users").replaceChildren(...rows);
  if (!rows.length && !more) find("users").append(make("li", { className: "soft", textContent: "Nobody." }));
  find("more-users").hidden = !cursor;
}

function row(user) {
  const text = `${user.email} · ${user.name} · ${user.role}${user.disabled ? " · disabled" : ""}`;
  return make("li", {}, act(make("button", { type: "button", textContent: text }), () => show(user.id)));
}

export async function show(id) {
  const [{ json, tag }, sessions] = await Promise.all([
    call("GET", `/admin/users/${id}`),
    call("GET", `/admin/users/${id}/sessions`).catch(() => ({ json: { sessions: [] } })),
  ]);
  shown = id;
  const user = json.user;
  const article = find("user");
  article.replaceChildren(
    make("h3", { textContent: user.name }),
    make("p", { textContent: `${user.email} · ${user.role}${user.disabled ? ` · disabled ${when(user.disabledAt)}` : ""}` }),
    make("p", { className: "soft", textContent: `since ${when(user.createdAt)}, last active ${when(user.lastActivityAt)}` }),
    make("p", {}, disabling(user, tag), resetting(user), ...withoutFactors(user)),
    ending(user, sessions.json.sessions.length),
    make("ul", {}, ...sessions.json.sessions.map((session) => item(user, session))),
  );
  article.hidden = false;
  article.focus();
}

// The list follows what happens to the displayed user.
export function hear(event) {
  if (event.userId && event.userId === shown && event.type.startsWith("session")) show(shown).catch(() => {});
}

function disabling(user, tag) {
  const text = user.disabled ? "Enable" : "Disable";
  return act(make("button", { type: "button", textContent: text, className: user.disabled ? "" : "danger" }), async () => {
    if (!user.disabled && !(await confirmed(`Disable ${user.email}? All sessions end.`))) return;
    await call("PATCH", `/admin/users/${user.id}`, { disabled: !user.disabled }, { "if-match": tag });
    await show(user.id);
  });
}

function resetting(user) {
  return act(make("button", { type: "button", textContent: "Mail a password reset" }), async () => {
    if (!(await confirmed(`Mail ${user.email} a code for a new password?`))) return;
    await call("POST", `/admin/users/${user.id}/password-reset`);
    tell("The mail is on its way.");
  });
}

function withoutFactors(user) {
  if (!user.secondFactors) return [];
  const button = make("button", { type: "button", textContent: "Remove second factors", className: "danger" });
  return [act(button, async () => {
    if (!(await confirmed(`Remove the second factors of ${user.email}? All sessions end.`))) return;
    await call("DELETE", `/admin/users/${user.id}/factors`);
    await show(user.id);
  })];
}

function ending(user, count) {
  const button = make("button", { type: "button", textContent: "End all sessions", className: "danger" });
  if (!count) return make("p", { className: "soft", textContent: "No live session." });
  return act(button, async () => {
    if (!(await confirmed(`End all sessions of ${user.email}?`))) return;
    await call("DELETE", `/admin/users/${user.id}/sessions`);
    await show(user.id);
  });
}

function item(user, session) {
  const device = session.deviceInfo;
  const name = device.name || [device.browser, device.os].filter(Boolean).join(" on ") || "Unknown device";
  const button = make("button", { type: "button", textContent: "End" });
  const address = session.ipAddress ?? "no address";
  button.setAttribute("aria-label", `End the session on ${name}, ${address}, since ${when(session.createdAt)}`);
  act(button, async () => {
    await call("DELETE", `/admin/users/${user.id}/sessions/${session.id}`);
    await show(user.id);
    tell("");
  });
  return make("li", {}, make("strong", { textContent: name }),
    make("div", { className: "soft", textContent: `${address} · last active ${when(session.lastActivity)} · since ${when(session.createdAt)}` }),
    button);
}
