// The review page: keys, zoom, background; and the state as it is, also when somebody else decides meanwhile.
import { register } from "./hotkeys.js";
import { keep } from "./refresh.js";
import { undoLast } from "./toast.js";

const review = document.getElementById("review");
const GROUNDS = ["grey", "black", "white"];
const GROUND = "review-ground";
const find = (selector) => review.querySelector(selector);

// --- stage -------------------------------------------------------------------------------------
function zoom(on = !("zoom" in review.dataset), at = null) {
  const stage = find("#stage");
  const image = find(".proof img");
  const before = image.getBoundingClientRect();
  // The point to look at, as a share of the picture.
  const [x, y] = at ? [(at.clientX - before.left) / before.width, (at.clientY - before.top) / before.height] : [0.5, 0.5];
  if (on) review.dataset.zoom = "";
  else delete review.dataset.zoom;
  const button = find("[data-zoom].btn");
  button.setAttribute("aria-pressed", String(on));
  // Scrolling needs the keyboard too.
  stage.tabIndex = on ? 0 : -1;
  if (!on) return;
  const proof = find(".proof");
  stage.scrollTo({
    left: proof.offsetLeft + x * proof.offsetWidth - stage.clientWidth / 2,
    top: proof.offsetTop + y * proof.offsetHeight - stage.clientHeight / 2,
    behavior: "instant",
  });
}

function ground(next = true) {
  const now = GROUNDS.indexOf(localStorage.getItem(GROUND) ?? "grey");
  const wanted = GROUNDS[(Math.max(now, 0) + (next ? 1 : 0)) % GROUNDS.length];
  localStorage.setItem(GROUND, wanted);
  review.dataset.ground = wanted;
}

let drag = null;
let dragged = false;
review.addEventListener("pointerdown", (event) => {
  dragged = false;
  const stage = event.target.closest("#stage");
  if (!stage || !("zoom" in review.dataset) || event.button || event.pointerType === "touch") return;
  drag = { stage, x: event.clientX + stage.scrollLeft, y: event.clientY + stage.scrollTop };
});
window.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const [left, top] = [drag.x - event.clientX, drag.y - event.clientY];
  if (Math.abs(left - drag.stage.scrollLeft) + Math.abs(top - drag.stage.scrollTop) > 3) dragged = true;
  drag.stage.scrollTo({ left, top, behavior: "instant" });
});
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (drag = null));
review.addEventListener("dragstart", (event) => event.target.closest("#stage") && event.preventDefault());

review.addEventListener("click", (event) => {
  if (event.target.closest("[data-ground].btn")) ground();
  else if (event.target.closest("[data-zoom].btn")) zoom();
  else if (event.target.closest(".art") && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    if (!dragged) zoom(undefined, event);
  }
});

// --- decision ------------------------------------------------------------------------------------
const comment = () => document.getElementById("comment");

function complain() {
  const line = document.getElementById("comment-error");
  comment().setAttribute("aria-invalid", "true");
  line.hidden = false;
  line.querySelector("span").textContent = review.dataset.needs;
  find(".cmt").classList.add("wanted");
  // On a phone the form sticks to the foot of its panel, which must be in view as a whole.
  if (innerWidth <= 760) find(".talk").scrollIntoView({ block: "start" });
  comment().focus({ preventScroll: innerWidth <= 760 });
}

document.addEventListener("submit", (event) => {
  if (event.target.id !== "decide" || event.submitter?.id !== "ask" || comment().value.trim()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  complain();
}, true);

review.addEventListener("input", ({ target }) => {
  if (target.id !== "comment") return;
  target.removeAttribute("aria-invalid");
  document.getElementById("comment-error").hidden = true;
});
review.addEventListener("keydown", (event) => {
  if (event.target.id === "comment" && event.key === "Escape" && !event.isComposing) event.target.blur();
});
// A refusal usually means that somebody else was first: show how it stands now.
review.addEventListener("htmx:afterRequest", ({ detail }) => detail.xhr?.status >= 400 && part.refresh());

register("ctrl+enter", { label: review.dataset.keySend, typing: true, run: () => document.getElementById("ask")?.click() });
// Z takes back the decision that was just made while its toast is there, and zooms otherwise.
register("z", { label: review.dataset.keyZoom, run: () => undoLast() || zoom() });

function after() {
  for (const button of review.querySelectorAll(".dock [data-own]")) button.hidden = false;
}

const part = keep(review, { address: () => location.href, after });
ground(false);
after();
find(".q [aria-current]")?.scrollIntoView({ block: "nearest" });
// The next picture is likely next.
const next = document.getElementById("go-on");
if (next) new Image().src = `/assets/${next.pathname.match(/\d+/)[0]}/picture.png`;
