// Batches: one's own comes with the answer to Render, others' after an event; each once, newest first.
import { dress } from "./steps.js";

const MOST = 20; // batches kept on a page that stays open all day
const CATCH_UP = 6;

const sheets = document.getElementById("sheets");
let line = Promise.resolve();
let sending = null; // the composer's request, while it is under way

const all = () => [...sheets.querySelectorAll(":scope > .sheet")];
const numberOf = (sheet) => Number(sheet.dataset.number);

/** Put what was added into its place; drop what was there before, and the oldest of too many. */
function tidy() {
  const added = all().filter((sheet) => !("known" in sheet.dataset));
  for (const sheet of added) {
    if (all().some((other) => other !== sheet && other.id === sheet.id && "known" in other.dataset)) {
      sheet.remove();
      continue;
    }
    sheet.dataset.known = "";
    sheet.querySelectorAll("figure.im").forEach(dress);
    const next = all().find((other) => other !== sheet && numberOf(other) < numberOf(sheet));
    if (sheet.nextElementSibling !== (next ?? null)) sheets.insertBefore(sheet, next ?? null);
  }
  for (const sheet of all().slice(MOST)) {
    if (!sheet.querySelector("[data-status=queued], [data-status=running]")) sheet.remove();
  }
}

/** Fetch a batch unless it is here by then; one after the other. */
function fetchBatch(url, isHere) {
  line = line.then(async () => {
    await sending;
    if (isHere()) return;
    try {
      await htmx.ajax("GET", url, { source: "#live-batches", target: "#sheets", swap: "afterbegin" });
    } catch {
      // No connection: the next look at #newest asks again.
    }
  });
}

const address = (template, number) => template.replace(/0\/$/, `${number}/`);

function created({ detail: { batch } }) {
  fetchBatch(address(sheets.dataset.batchById, batch), () => document.getElementById(`batch-${batch}`));
}

/** Batches asked for while this page could not hear of them. */
function catchUp() {
  const newest = Number(document.getElementById("newest")?.dataset.number ?? 0);
  const shown = Math.max(0, ...all().map(numberOf));
  for (let number = Math.max(shown, newest - CATCH_UP) + 1; number <= newest; number++) {
    fetchBatch(address(sheets.dataset.batch, number), () => all().some((sheet) => numberOf(sheet) === number));
  }
}

export function watch() {
  if (!sheets || "alone" in sheets.dataset) return;
  for (const sheet of all()) sheet.dataset.known = "";
  new MutationObserver(tidy).observe(sheets, { childList: true });
  document.addEventListener("live:batch.created", created);
  document.addEventListener("frames:fresh", catchUp);
  const composer = document.getElementById("composer");
  composer?.addEventListener("htmx:beforeRequest", () => {
    sending = new Promise((resolve) => composer.addEventListener("htmx:afterRequest", resolve, { once: true }));
  });
}
