// Talks to the service. The key or token is only in this page's memory: a reload loses it.

let credentials = null;

export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `The service answered ${status}.`);
    this.status = status;
    this.code = problem?.code;
  }
}

export function signOut() {
  credentials = null;
}

export function useKey(key) {
  credentials = key;
}

// The refresh token is requested in the body and discarded: the administrator's other pages keep
// theirs.
export async function signIn(email, password) {
  const body = { email, password, deviceName: "Operators' page", refreshTokenDelivery: "body", keepSession: true };
  credentials = null;
  credentials = (await call("POST", "/login", body)).json.accessToken;
}

export async function call(method, path, body, headers = {}) {
  const sent = { ...headers };
  if (credentials) sent.authorization = `Bearer ${credentials}`;
  if (body !== undefined) sent["content-type"] = "application/json";
  const answer = await fetch(path, {
    method,
    headers: sent,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
  });
  const text = await answer.text();
  const json = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Refused(answer.status, json);
  return { json, tag: answer.headers.get("etag") };
}

// Each message of /admin/live, until it ends or the signal aborts it. EventSource cannot send a key.
export async function watch(hear, signal) {
  const headers = { authorization: `Bearer ${credentials}` };
  const answer = await fetch("/admin/live", { headers, signal, cache: "no-store", credentials: "omit" });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => null));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    waiting += value;
    const events = waiting.split("\n\n");
    waiting = events.pop();
    for (const event of events) {
      if (event.startsWith("data: ")) hear(JSON.parse(event.slice(6)));
    }
  }
}
