// Keeps tiles, queue and numbers as the database has them. Events only say that it is time to look; steps are drawn
// at once. One request at a time, so that answers can't overtake each other.
import { draw, dress, forget, isBehind } from "./steps.js";
import { announce } from "./strings.js";

const SOON = 60; // ms until a picture that has ended is fetched
const MOVED = 300; // ms until moved queue places are fetched; more with many tiles
const PER_TILE = 15;
const BUSY = 5000; // with work about, other campaigns may move the queue without telling this one
const IDLE = 30_000;
const MOST = 100; // tiles in one request; studio/web/views/studio.py takes as many
const SAY = 2000;
/** Where the focus goes when the button that had it is there no more. */
const NEXT = { "campaign-paused": "#campaign-pause button", lane: "#lane .gpus" };

const sheets = document.getElementById("sheets");
const wanted = new Set();
const timers = { ended: 0, moved: 0 };
let everything = false;
let running = false;
let lastLook = 0;
let first = 0;

const openTiles = () => [...document.querySelectorAll("figure[data-status=queued], figure[data-status=running]")];

/** Fetch these jobs' tiles soon, with the queue and the numbers. */
export function refresh(jobs) {
  for (const job of jobs) wanted.add(job);
  timers.ended ||= setTimeout(look, SOON);
}

/** Fetch everything that may still change. */
export function refreshOpen(wait = MOVED + PER_TILE * openTiles().length) {
  if (wait < MOVED) clearTimeout(timers.moved);
  else if (timers.moved) return;
  timers.moved = setTimeout(() => {
    everything = true;
    look();
  }, wait);
}

/** All open tiles; when one request does not hold them, each time others come first. */
function inTurn() {
  const tiles = openTiles();
  first = tiles.length > MOST ? (first + MOST) % tiles.length : 0;
  return [...tiles.slice(first), ...tiles.slice(0, first)];
}

/** The next request: tiles by `job`; those that wait and only may have moved by `wait`. */
function take() {
  const query = new URLSearchParams();
  const room = () => query.size < MOST;
  for (const job of wanted) {
    if (!room()) break;
    query.append("job", job);
    wanted.delete(job);
  }
  for (const { dataset } of everything ? inTurn() : []) {
    if (room() && !query.has("job", dataset.job)) query.append(dataset.status === "queued" ? "wait" : "job", dataset.job);
  }
  everything = false;
  if ("alone" in sheets.dataset) query.append("alone", ""); // a batch's own page has no lane and no composer
  return query;
}

async function look() {
  if (running) return; // it looks again when it is done
  clearTimeout(timers.ended);
  timers.ended = 0;
  if (everything) {
    clearTimeout(timers.moved);
    timers.moved = 0;
  }
  const query = take();
  running = true;
  lastLook = performance.now();
  try {
    await htmx.ajax("GET", `${sheets.dataset.frames}?${query}`, { source: "#live-frames", target: "#live-frames", swap: "none" });
  } catch {
    // No connection: live.js says so and asks again.
  }
  running = false;
  if (wanted.size || everything) timers.ended = setTimeout(look, SOON);
  else timers.ended = 0;
  say();
  document.dispatchEvent(new CustomEvent("frames:fresh"));
}

/** Before a fragment replaces what is shown: no step back, and the focus stays in the tile. */
function beforeSwap({ detail }) {
  const { target, fragment } = detail;
  const focused = target.contains(document.activeElement);
  const tile = fragment.querySelector("figure.im");
  if (tile && target.matches("figure.im") && isBehind(target, tile)) {
    detail.shouldSwap = false;
    refresh([target.dataset.job]);
    return;
  }
  for (const element of fragment.querySelectorAll("figure.im, [data-lane-job]")) dress(element);
  const next = tile ? `#${tile.id} :is(a, button)` : NEXT[target.id];
  if (focused && next) {
    queueMicrotask(() => {
      if (document.activeElement === document.body) document.querySelector(next)?.focus();
    });
  }
}

// --- what screen readers hear: one sentence, at most every two seconds ------------------------
const told = new Map();
let saidAt = -SAY;
let saying = 0;

function say() {
  const wait = saidAt + SAY - performance.now();
  if (wait > 0) {
    saying ||= setTimeout(() => {
      saying = 0;
      say();
    }, wait);
    return;
  }
  for (const head of [...document.querySelectorAll("header.batch")].reverse()) {
    const { done, total } = head.dataset;
    if (told.has(head.id) && told.get(head.id) !== done) {
      saidAt = performance.now();
      announce(sheets.dataset.progress.replace("%(done)s", done).replace("%(total)s", total));
    }
    told.set(head.id, done);
  }
}

// --- events -----------------------------------------------------------------------------------
function changed({ detail }) {
  if (detail.status === "running") {
    draw({ ...detail, step: 0 });
    return; // the queue moved as well: that event fetches
  }
  forget(detail.job);
  if (document.getElementById(`frame-${detail.job}`)) refresh([detail.job]);
  else refreshOpen();
}

function assetChanged({ detail }) {
  const tile = document.querySelector(`figure[data-asset="${detail.asset}"]`);
  if (tile) refresh([tile.dataset.job]);
}

function tick() {
  if (document.visibilityState !== "visible") return;
  const rest = document.querySelector("#lane [data-busy], #lane[data-busy], figure[data-status=queued], figure[data-status=running]");
  if (performance.now() - lastLook > (rest ? BUSY : IDLE)) refreshOpen(0);
}

/** A star shows at once; if the server refuses, it goes back. */
function star(form, on) {
  const button = form.querySelector("button");
  button.setAttribute("aria-pressed", String(on));
  button.classList.toggle("on", on);
  form.closest(".tile").classList.toggle("sel", on);
}

function watchPicks() {
  document.body.addEventListener("htmx:beforeRequest", ({ detail: { elt } }) => {
    if (elt.matches("[data-pick]")) star(elt, elt.querySelector("button").value === "1");
  });
  document.body.addEventListener("htmx:afterRequest", ({ detail: { elt, successful } }) => {
    if (!elt.matches("[data-pick]")) return;
    if (successful) refresh([elt.closest("figure").dataset.job]);
    else star(elt, elt.querySelector("button").value === "0");
  });
}

/** Requests nobody pressed a button for fail quietly, and never take the page to the sign-in form. */
function quiet(source) {
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    source?.addEventListener(name, (event) => event.stopPropagation());
  }
  source?.addEventListener("htmx:beforeOnLoad", (event) => {
    if (event.detail.xhr.status === 401) event.preventDefault();
  });
}

export function watch() {
  if (!sheets) return;
  quiet(document.getElementById("live-frames"));
  quiet(document.getElementById("live-batches"));
  document.body.addEventListener("htmx:oobBeforeSwap", beforeSwap);
  document.body.addEventListener("frames:refresh", () => refreshOpen(SOON));
  document.addEventListener("live:job.step", ({ detail }) => draw(detail));
  document.addEventListener("live:job.changed", changed);
  document.addEventListener("live:queue.moved", () => refreshOpen());
  document.addEventListener("live:asset.changed", assetChanged);
  for (const name of ["live:open", "live:poll"]) document.addEventListener(name, () => refreshOpen(0));
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 1000);
  watchPicks();
  say();
  // The connection may have opened before this module was here to hear of it.
  if (document.documentElement.dataset.live === "on") refreshOpen(0);
}
