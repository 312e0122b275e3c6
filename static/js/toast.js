// Toasts: at most three, notes leave after 8 s, errors stay until closed. State lives in the page's markup.
import { text } from "./strings.js";

const LIFE = 8000;
const MOST = 3;

function remove(toast) {
  clearTimeout(Number(toast.dataset.timer));
  toast.remove();
}

function start(toast, life = LIFE) {
  clearTimeout(Number(toast.dataset.timer));
  toast.dataset.timer = String(setTimeout(() => remove(toast), life));
}

/** Give a toast its buttons and, unless it is an error, its end. */
function adopt(toast) {
  if (toast.dataset.timer) return;
  toast.querySelector("[data-close]")?.addEventListener("click", () => remove(toast));
  if (toast.classList.contains("bad")) {
    toast.dataset.timer = "0";
    return;
  }
  start(toast);
  // Time stands still while somebody reads or reaches for the button (WCAG 2.2.1).
  for (const pause of ["pointerenter", "focusin"])
    toast.addEventListener(pause, () => clearTimeout(Number(toast.dataset.timer)));
  for (const go of ["pointerleave", "focusout"]) toast.addEventListener(go, () => start(toast, LIFE / 2));
}

/**
 * Show a message. `kind`: "note" or "bad". `undo`: a function for the Undo button and the Z key.
 * Returns the element; call its remove() to take it back.
 */
export function show(message, { kind = "note", undo = null } = {}) {
  const bad = kind === "bad";
  const template = document.getElementById(bad ? "toast-error-template" : "toast-template");
  const region = document.getElementById(bad ? "toast-errors" : "toast-notes");
  const toast = template.content.firstElementChild.cloneNode(true);
  toast.querySelector("span").textContent = message;
  if (undo) {
    const button = toast.querySelector("[data-undo]");
    button.hidden = false;
    button.addEventListener("click", () => {
      remove(toast);
      undo();
    });
  }
  // The same error twice says nothing new.
  for (const other of region.children) if (bad && other.textContent === toast.textContent) remove(other);
  region.append(toast);
  adopt(toast);
  const all = [...document.querySelectorAll("#toasts [data-toast]")];
  for (const extra of all.filter((one) => one !== toast).slice(0, Math.max(0, all.length - MOST))) remove(extra);
  return toast;
}

/** Press the newest Undo; false if there is none. */
export function undoLast() {
  const buttons = document.querySelectorAll("#toasts [data-undo]:not([hidden])");
  buttons[buttons.length - 1]?.click();
  return buttons.length > 0;
}

const STATUS_TEXT = { 403: "forbidden", 404: "gone", 410: "gone", 429: "busy" };

function failed({ detail: { xhr } }) {
  // A server that sends its own toast has said it better.
  if (xhr?.getResponseHeader("HX-Trigger")?.includes('"toast"')) return;
  show(text(STATUS_TEXT[xhr?.status] ?? "failed"), { kind: "bad" });
}

/** Take over server-rendered messages; show `HX-Trigger: {"toast": {message, kind}}`; say so when a request fails. */
export function watch() {
  document.querySelectorAll("#toasts [data-toast]").forEach(adopt);
  document.body.addEventListener("toast", ({ detail }) => show(detail.message, { kind: detail.kind }));
  document.body.addEventListener("htmx:responseError", failed);
  document.body.addEventListener("htmx:sendError", () => show(text("unreachable"), { kind: "bad" }));
  document.body.addEventListener("htmx:timeout", () => show(text("unreachable"), { kind: "bad" }));
}
