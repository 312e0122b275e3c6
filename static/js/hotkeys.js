// Keys: one registry, at rest while somebody types or composes Chinese, listed by "?".
// In markup: <button data-key="a" data-key-label="Approve" data-key-group="page">; a letter, "g h" or "ctrl+enter".
import { text } from "./strings.js";
import { undoLast } from "./toast.js";

const PAUSE = 1200; // ms in which the second key of "g h" must follow
const TYPING =
  "input:not([type=checkbox],[type=radio],[type=range],[type=button],[type=submit]), textarea, select, [contenteditable]";
const registry = new Map();
let first = "";
let firstAt = 0;

/**
 * Register a key. `typing`: also while typing (only for keys with Ctrl). `held`: again and again while it is held.
 * `also`: keys that the sheet lists in the same line. Returns a function that takes it back.
 */
export function register(key, { label, group = "page", run, typing = false, held = false, also = [] }) {
  registry.set(key, { label, group, run, typing, held, also });
  return () => registry.delete(key);
}

const visible = (element) => element.isConnected && !element.closest("[hidden], dialog:not([open])");

function marked() {
  const found = new Map();
  for (const element of document.querySelectorAll("[data-key]")) {
    if (visible(element) && !found.has(element.dataset.key)) found.set(element.dataset.key, element);
  }
  return found;
}

function press(element) {
  if (element.matches(TYPING)) element.focus();
  else if (!element.disabled && element.getAttribute("aria-disabled") !== "true") element.click();
}

function name(event) {
  const key = event.key === " " ? "space" : event.key.toLowerCase();
  return (event.ctrlKey || event.metaKey ? "ctrl+" : "") + (event.altKey ? "alt+" : "") + key;
}

function resolve(key, typing) {
  const entry = registry.get(key);
  if (entry) return !typing || entry.typing ? entry.run : null;
  const element = marked().get(key);
  return element && (!typing || key.startsWith("ctrl+")) ? () => press(element) : null;
}

const startsChord = (key) => [...registry.keys(), ...marked().keys()].some((one) => one.startsWith(`${key} `));

function onKey(event) {
  if (event.isComposing || event.keyCode === 229 || event.defaultPrevented) return;
  const typing = event.target instanceof Element && event.target.closest(TYPING) !== null;
  if (document.querySelector("dialog[open]") && !typing) return;
  const key = name(event);
  if (event.repeat && !registry.get(key)?.held) return;
  const chord = first && performance.now() - firstAt < PAUSE ? `${first} ${key}` : "";
  first = "";
  const run = (chord && resolve(chord, typing)) || resolve(key, typing);
  if (run) {
    // A handler that returns false lets the browser have the key.
    if (run(event) !== false) event.preventDefault();
  } else if (!typing && startsChord(key)) {
    [first, firstAt] = [key, performance.now()];
  }
}

const KEY_SIGNS = {
  enter: "↵",
  arrowleft: "←",
  arrowright: "→",
  arrowup: "↑",
  arrowdown: "↓",
  escape: "Esc",
  space: "Space",
};
const sign = (part) => (part === "ctrl" ? "Ctrl" : (KEY_SIGNS[part] ?? part.toUpperCase()));

function row(key, label, also = []) {
  const line = document.createElement("div");
  const term = line.appendChild(document.createElement("dt"));
  const keys = line.appendChild(document.createElement("dd"));
  term.textContent = label;
  key.split(" ").forEach((stroke, index) => {
    if (index) keys.append(text("key_then"));
    for (const part of stroke === "+" ? ["+"] : stroke.split("+")) {
      keys.appendChild(document.createElement("kbd")).textContent = sign(part);
    }
  });
  for (const other of also) keys.appendChild(document.createElement("kbd")).textContent = sign(other);
  return line;
}

/** Open the sheet that lists the keys of this page. */
export function openSheet() {
  const sheet = document.getElementById("keys");
  if (!sheet || sheet.open) return;
  const entries = [...registry].map(([key, { label, group, also }]) => ({ key, label, group, also }));
  for (const [key, { dataset, textContent }] of marked()) {
    entries.push({ key, label: dataset.keyLabel ?? textContent.trim(), group: dataset.keyGroup ?? "page" });
  }
  const columns = sheet.querySelector(".cols");
  columns.replaceChildren();
  for (const [group, title] of [
    ["page", "keys_page"],
    ["go", "keys_go"],
    ["general", "keys_general"],
  ]) {
    const rows = entries.filter((entry) => entry.group === group && entry.label);
    if (!rows.length) continue;
    const section = columns.appendChild(document.createElement("section"));
    section.appendChild(document.createElement("h3")).textContent = text(title);
    section.appendChild(document.createElement("dl")).append(...rows.map(({ key, label, also }) => row(key, label, also)));
  }
  sheet.showModal();
}

/** Listen, unless the person turned keys off; buttons marked data-open-keys open the sheet either way. */
export function watch() {
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-open-keys]")) openSheet();
  });
  if (document.body.dataset.hotkeys === "off") return;
  register("?", { label: text("keys_sheet"), group: "general", run: openSheet });
  register("z", { label: text("undo"), group: "general", run: undoLast });
  document.addEventListener("keydown", onKey);
}
