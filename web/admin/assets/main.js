// Signing in and out, and what starts after signing in.

import { Refused, call, signIn, signOut, useKey, watch } from "./api.js";
import { act, find, tell } from "./dom.js";
import * as live from "./live.js";
import * as people from "./people.js";

let watching = null;

async function begin() {
  // Checks whether the key or user has access at all.
  await call("GET", "/admin/stats");
  find("sign-in").hidden = true;
  find("work").hidden = false;
  find("sign-out").hidden = false;
  tell("");
  watching = new AbortController();
  follow(watching.signal);
  find("prefix").focus();
  await people.look();
}

async function follow(signal) {
  while (!signal.aborted) {
    try {
      await watch((message) => {
        live.hear(message);
        people.hear(message);
      }, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && [401, 403].includes(error.status)) return end(error.message);
      tell("The connection was lost; trying again.");
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

function end(message = "") {
  watching?.abort();
  signOut();
  find("sign-in").hidden = false;
  find("work").hidden = true;
  find("sign-out").hidden = true;
  find("user").hidden = true;
  find("users").replaceChildren();
  find("events").replaceChildren();
  tell(message);
  find("key").focus();
}

function submit(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell("");
    try {
      await work();
      form.reset();
      await begin();
    } catch (error) {
      end(error.message);
    }
  });
}

submit(find("key-form"), async () => useKey(find("key").value.trim()));
submit(find("password-form"), () => signIn(find("email").value, find("password").value));
act(find("sign-out"), async () => end());
act(find("more-users"), () => people.look(true));

let waiting = null;
find("prefix").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => people.look().catch((error) => tell(error.message)), 150);
});
find("search").addEventListener("submit", (event) => {
  event.preventDefault();
  people.look().catch((error) => tell(error.message));
});

find("new-user").addEventListener("click", () => {
  find("create").returnValue = "no";
  find("create").showModal();
});
find("create").addEventListener("close", async () => {
  if (find("create").returnValue !== "yes") return;
  try {
    const account = { name: find("new-name").value, email: find("new-email").value };
    if (find("new-invite").checked) account.invite = true;
    const { json } = await call("POST", "/admin/users", account);
    find("create-form").reset();
    await people.show(json.user.id);
  } catch (error) {
    tell(error.message);
  }
});
find("key").focus();
