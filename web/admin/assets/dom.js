// Creates elements. Text is set as text, never as markup: names and devices are untrusted input.

export const find = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

export const when = (time) => (time ? new Date(time).toLocaleString() : "–");

export function tell(text) {
  find("message").textContent = text;
}

// Asks the operator to confirm.
export function confirmed(text) {
  const dialog = find("confirm");
  find("confirm-text").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// Runs it once at a time, and shows what went wrong.
export function act(button, work) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    tell("");
    try {
      await work();
    } catch (error) {
      tell(error.message);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}
