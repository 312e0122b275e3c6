// The demo model's words: a press puts one where the cursor was in the prompt, an example fills both prompts.
import { show } from "./toast.js";

const panel = document.getElementById("world");
const fields = ["prompt-zh", "prompt-en"].map((id) => document.getElementById(id));
const chinese = document.documentElement.lang.startsWith("zh");
/** The prompt that words go into: the one used last, at first the one in the reader's language. */
let field = fields[chinese ? 0 : 1];
let cursors = [null, null]; // null: at the end
const past = []; // what the prompts were before each press

function say() {
  for (const line of panel.querySelectorAll("[data-said]")) {
    line.textContent = document.getElementById(line.dataset.said).value.trim();
  }
  panel.querySelector("[data-undo-word]").setAttribute("aria-disabled", String(!past.length));
}

function set(values) {
  fields.forEach((one, index) => (one.value = values[index]));
  field.dispatchEvent(new Event("input", { bubbles: true })); // the composer counts
  say();
}

function change(values) {
  past.push({ values: fields.map((one) => one.value), cursors });
  set(values);
}

function undo() {
  const before = past.pop();
  if (!before) return;
  cursors = before.cursors;
  set(before.values);
}

/** `text` with `word` at a place, and where the cursor is after it. Chinese is written without gaps. */
function insert(text, word, at, gaps) {
  const [before, after] = [text.slice(0, at), text.slice(at)];
  const start = before + (gaps && /\S$/.test(before) ? " " : "") + word;
  return { text: start + (gaps && /^\w/.test(after) ? " " : "") + after, cursor: start.length };
}

/** Also into the other prompt if there is one: they should not say two things. */
function add({ zh, en }) {
  const made = fields.map((one, index) => {
    if (one !== field && !one.value.trim()) return { text: one.value, cursor: null };
    const at = cursors[index] ?? one.value.length;
    return insert(one.value, one.lang === "en" ? en : zh, Math.min(at, one.value.length), one.lang === "en");
  });
  change(made.map(({ text }) => text));
  cursors = made.map(({ cursor }) => cursor);
}

function fill({ zh, en }) {
  change([zh, en]);
  cursors = [null, null];
  panel.close();
  show(panel.dataset.filled, { undo });
}

function press({ target }) {
  const button = target.closest?.("button");
  if (button?.matches("[data-word]")) add(button.dataset);
  else if (button?.matches("[data-example]")) fill(button.dataset);
  else if (button?.matches("[data-undo-word]")) undo();
  else if (target === panel) panel.close(); // the backdrop
}

function open(event) {
  if (!event.target.closest?.("[data-open-world]")) return;
  event.preventDefault();
  say();
  panel.showModal();
}

/** Where a person was in a prompt when the panel takes the focus. */
function left({ target }) {
  if (!fields.includes(target)) return;
  field = target;
  cursors = fields.map((one, index) => (one === field ? one.selectionEnd : cursors[index]));
}

export function watch() {
  if (!panel || !fields[0]) return;
  document.addEventListener("click", open);
  document.addEventListener("focusout", left);
  panel.addEventListener("click", press);
}
