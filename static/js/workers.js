// The workers page: what workers report arrives by itself, and ages count on between two reports.
import { keep } from "./refresh.js";

const SILENT = 20; // seconds after which the server calls a worker gone
const WAIT = 800; // ms: many workers say much
const part = document.getElementById("fleet");

/** When each worker on the page was last heard of, by this page's clock in seconds. */
const heard = new WeakMap();
const now = () => performance.now() / 1000;
const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (_all, name) => values[name]);
const row = ({ worker }) => part.querySelector(`[data-worker="${CSS.escape(worker)}"]`);

function after() {
  for (const age of part.querySelectorAll("[data-age]")) heard.set(age, now() - Number(age.dataset.age));
}

const fleet = keep(part, {
  address: () => part.dataset.url + location.search,
  after,
  events: ["worker.changed", "pools.changed", "queue.moved"],
  wait: WAIT,
});

setInterval(() => {
  let gone = false;
  for (const age of part.querySelectorAll("[data-age]")) {
    const seconds = Math.max(0, now() - heard.get(age));
    if (seconds < 60) age.textContent = fill(part.dataset.ago, { n: Math.floor(seconds) });
    gone ||= "live" in age.dataset && seconds > SILENT;
  }
  if (gone && document.visibilityState === "visible") fleet.refresh();
}, 1000);

document.addEventListener("live:worker.seen", ({ detail }) => {
  const age = row(detail)?.querySelector("[data-age]");
  // One that was gone is back: its state changed without a word.
  if (!age || !("live" in age.dataset)) fleet.refresh();
  else heard.set(age, now());
});

document.addEventListener("live:worker.step", ({ detail: { step, steps, ...of } }) => {
  const strip = row(of)?.querySelector(".steps8[role]");
  if (!strip || strip.getAttribute("aria-valuemax") !== String(steps)) return; // the next look brings its render
  strip.style.setProperty("--n", step);
  strip.setAttribute("aria-valuenow", step);
  strip.setAttribute("aria-valuetext", fill(part.dataset.step, { done: step, total: steps }));
});

// A form that somebody works on is theirs (see refresh.js): nothing that arrives changes it under their hands.
part.addEventListener("input", ({ target }) => target.closest("form")?.setAttribute("data-own", ""));
part.addEventListener("toggle", ({ target }) => target.toggleAttribute("data-own", target.open), true);
after();
