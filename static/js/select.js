// The selection of the contact sheet: boxes, ranges with Shift, arrows, and the bar that says what can be done with it.
// The ticked boxes are the state; nothing else remembers it.
import { register } from "./hotkeys.js";

const PAUSE = 400; // ms between two downloads, or the browser drops some
const SHOWN = 3; // thumbnails on the bar

const figures = () => [...document.querySelectorAll("#sheet figure[data-asset]")];
const box = (figure) => figure.querySelector(".ck input");
const picture = (figure) => figure.querySelector(".pic");
const selected = () => figures().filter((figure) => box(figure).checked);

let anchor = ""; // asset id of the last single choice: where a range starts

/** The frame that keys act on: the focused one, else the one whose panel is open. */
export function current() {
  return document.activeElement?.closest?.("#sheet figure") ?? document.querySelector("#sheet figure.cur");
}

function choose(figure, on) {
  box(figure).checked = on;
  anchor = figure.dataset.asset;
  show();
}

function range(figure) {
  const all = figures();
  const from = all.findIndex((one) => one.dataset.asset === anchor);
  const to = all.indexOf(figure);
  if (from < 0) return choose(figure, true);
  for (const one of all.slice(Math.min(from, to), Math.max(from, to) + 1)) box(one).checked = true;
  show();
}

function put(text, count) {
  return text.replace("%(count)s", count);
}

/** Bring the bar in line with the boxes. */
export function show() {
  const bar = document.getElementById("selection");
  const chosen = selected();
  bar.hidden = !chosen.length;
  if (!chosen.length) return;
  bar.querySelector("[data-count]").textContent = put(document.getElementById("gallery").dataset.selected, chosen.length);
  bar.querySelector(".thumbs").replaceChildren(...chosen.slice(0, SHOWN).map((figure) => {
    const image = new Image();
    image.src = picture(figure).firstElementChild.src;
    image.alt = "";
    return image;
  }));
  const submit = bar.querySelector("[data-submit]");
  if (!submit) return;
  const sendable = chosen.filter((figure) => box(figure).name).length;
  submit.setAttribute("aria-disabled", String(!sendable));
  const note = bar.querySelector(".why");
  note.hidden = sendable === chosen.length;
  note.textContent = sendable ? put(note.dataset.some, sendable) : note.dataset.none;
}

/** The frame in the direction of an arrow key; rows are told apart by where the pictures stand. */
function neighbour(figure, key) {
  const all = figures();
  const place = all.indexOf(figure);
  if (key === "arrowleft") return all[place - 1];
  if (key === "arrowright") return all[place + 1];
  const here = figure.getBoundingClientRect();
  const middle = here.left + here.width / 2;
  const below = key === "arrowdown";
  let best;
  for (const one of all) {
    const there = one.getBoundingClientRect();
    const rows = below ? there.top - here.top : here.top - there.top;
    if (rows < 4) continue;
    const aside = Math.max(there.left - middle, middle - there.right, 0);
    const score = rows * 1000 + aside;
    if (!best || score < best.score) best = { one, score };
  }
  return best?.one;
}

function move(event) {
  // The size slider and the open panel have their own use for arrows.
  if (event.target.closest("input[type=range], #panel")) return false;
  const from = current();
  const key = event.key.toLowerCase();
  const to = from ? neighbour(from, key) : figures().find((figure) => figure.getBoundingClientRect().bottom > 80);
  if (!to) return false;
  picture(to).focus();
  to.scrollIntoView({ block: "nearest" });
  if (event.shiftKey) {
    anchor ||= from?.dataset.asset ?? "";
    range(to);
  }
}

function toggle(event) {
  // On a button the space bar presses it.
  if (event.key === " " && event.target.closest("button, summary, input, a:not(.pic)")) return false;
  const figure = current();
  if (!figure) return false;
  if (event.shiftKey) range(figure);
  else choose(figure, !box(figure).checked);
}

async function download() {
  const links = selected().map((figure) => `/assets/${figure.dataset.asset}/picture.png?download`);
  for (const href of links) {
    const link = Object.assign(document.createElement("a"), { href, download: "" });
    link.click();
    await new Promise((done) => setTimeout(done, PAUSE));
  }
}

function clicked(event) {
  const figure = event.target.closest("#sheet figure");
  const bar = event.target.closest("#selection");
  if (bar) {
    if (event.target.closest("[data-submit][aria-disabled=true]")) event.preventDefault();
    if (event.target.closest("[data-download]")) download();
    return;
  }
  if (!figure || event.target.closest("form")) return;
  const tick = event.target.closest(".ck input");
  if (tick) {
    if (event.shiftKey) range(figure);
    else anchor = figure.dataset.asset;
    return;
  }
  // Once something is selected, a press on a picture selects; Enter (detail 0) still opens.
  const pressed = event.target.closest(".pic") && event.detail > 0 && !event.ctrlKey && !event.metaKey;
  if (pressed && (event.shiftKey || selected().length)) {
    event.preventDefault();
    event.stopPropagation();
    if (event.shiftKey) range(figure);
    else choose(figure, !box(figure).checked);
  }
}

/** Listen. `labels`: texts for the key sheet. */
export function watch(labels) {
  document.querySelector("#selection [data-download]").hidden = false;
  document.addEventListener("click", clicked, true);
  document.addEventListener("change", ({ target }) => target.matches?.(".ck input") && show());
  document.getElementById("selection").addEventListener("reset", (event) => {
    // The boxes may have come ticked from the browser's history: a plain reset would bring that back.
    event.preventDefault();
    for (const figure of selected()) box(figure).checked = false;
    show();
  });
  register("x", { label: labels.keySelect, run: toggle });
  register("space", { label: "", run: toggle });
  const [first, ...others] = ["arrowleft", "arrowright", "arrowup", "arrowdown"];
  register(first, { label: labels.keyMove, run: move, held: true, also: others });
  for (const key of others) register(key, { label: "", run: move, held: true });
  show();
}
