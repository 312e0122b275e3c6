// Steps of pictures that are being rendered, drawn into tiles and workers as they arrive.
const CLOSED = ["done", "failed", "cancelled"];

/** Newest step of each running job: {attempt, step, steps, preview}. A refetched tile takes its picture from here. */
const seen = new Map();

const idOf = (element) => element.dataset.job ?? element.dataset.laneJob;
const isTile = (element) => element.matches("figure");

function fill(element, { step, steps, preview }) {
  element.dataset.step = String(step);
  const view = element.querySelector(".pv");
  view?.style.setProperty("--n", String(step));
  const image = view?.querySelector("img");
  if (image && preview) image.src = preview;
  const strip = element.querySelector(".steps8");
  if (strip) {
    strip.style.setProperty("--n", String(step));
    strip.setAttribute("aria-valuenow", String(step));
    const text = document.getElementById("sheets")?.dataset.step;
    if (text) strip.setAttribute("aria-valuetext", text.replace("%(done)s", step).replace("%(total)s", steps));
  }
  for (const number of element.querySelectorAll("[data-step-text]")) number.textContent = String(step);
}

/** Whether what the element shows is at least as new as this step. */
function isNewer(element, { attempt, step }) {
  const { status, attempt: mine, step: at } = element.dataset;
  if (CLOSED.includes(status) || attempt < Number(mine)) return true;
  // Waiting again after its worker died: only the next attempt starts it.
  return attempt === Number(mine) && (status === "queued" || step <= Number(at));
}

/** Draw a step, or with step 0 the start of an attempt; older ones than shown change nothing. */
export function draw(event) {
  const known = seen.get(event.job);
  if (known && (event.attempt < known.attempt || (event.attempt === known.attempt && event.step <= known.step))) return;
  const fresh = known?.attempt === event.attempt ? known.preview : undefined;
  seen.set(event.job, { attempt: event.attempt, step: event.step, steps: event.steps, preview: event.preview ?? fresh });
  for (const element of document.querySelectorAll(`#frame-${event.job}, [data-lane-job="${event.job}"]`)) {
    if (isNewer(element, event)) continue;
    if (isTile(element)) {
      element.classList.replace("wt", "rd");
      element.dataset.status = "running";
    }
    element.dataset.attempt = String(event.attempt);
    fill(element, event);
  }
}

/** Give a fragment that is about to be shown the steps that came while it was on its way. */
export function dress(element) {
  const known = seen.get(idOf(element));
  if (!known) return;
  if (CLOSED.includes(element.dataset.status)) {
    seen.delete(idOf(element)); // its end may have come by no event: previews must not pile up
    return;
  }
  const attempt = Number(element.dataset.attempt);
  if (known.attempt === attempt && element.dataset.status !== "queued") {
    fill(element, { ...known, step: Math.max(known.step, Number(element.dataset.step)) });
  } else if (known.attempt > attempt && isTile(element)) {
    element.classList.replace("wt", "rd");
    element.dataset.status = "running";
    element.dataset.attempt = String(known.attempt);
    fill(element, known);
  }
}

/** Forget a job that has ended. */
export const forget = (job) => seen.delete(job);

/** Whether a tile on the page has ended while the fragment still says it goes on. */
export const isBehind = (tile, fragment) => CLOSED.includes(tile.dataset.status) && !CLOSED.includes(fragment.dataset.status);
