// The gallery: filters and the panel change in place, everybody's changes arrive by themselves.
import { register } from "./hotkeys.js";
import { watch as justify } from "./justify.js";
import { keep } from "./refresh.js";
import { announce } from "./strings.js";
import { current, show, watch as select } from "./select.js";

const gallery = document.getElementById("gallery");
const PAGE = 60;
const SIZE = "gallery-size"; // the chosen row height
const narrow = matchMedia("(max-width: 1180px)");

/** `url`, asking for as many pictures as are shown now. */
function wide(url) {
  const address = new URL(url, location.href);
  const shown = gallery.querySelectorAll("#sheet figure[data-asset]");
  if (shown.length > PAGE && !address.searchParams.has("before")) {
    address.searchParams.set("until", shown[shown.length - 1].dataset.asset);
  }
  return address;
}

function after() {
  for (const button of gallery.querySelectorAll("[data-copy]")) button.hidden = false;
  size();
  justify(gallery);
  show();
  const panel = document.getElementById("panel");
  // Behind a sheet nothing can be reached.
  gallery.querySelector(".gl").inert = Boolean(panel) && narrow.matches;
}

const part = keep(gallery, {
  address: () => wide(location.href),
  after,
  relevant: ({ type, detail }) => type !== "live:job.changed" || detail.status === "done",
});

// --- filters and the panel, without leaving the page ---------------------------------------
const frameOf = (url) => new URL(url, location.href).searchParams.get("frame");

async function go(url, { push = true } = {}) {
  const before = frameOf(shownUrl);
  const sameSheet = shownUrl.searchParams.get("status") === new URL(url).searchParams.get("status")
    && shownUrl.searchParams.get("format") === new URL(url).searchParams.get("format");
  // Closing needs no answer.
  if (!frameOf(url)) for (const gone of gallery.querySelectorAll(":scope > .det, :scope > .scrim")) gone.remove();
  if (!(await part.load(sameSheet ? wide(url) : url))) {
    location.href = url;
    return;
  }
  if (push) history.pushState({ gallery: true }, "", url);
  shownUrl = new URL(url);
  settle(before, frameOf(url));
}

let shownUrl = new URL(location.href);

/** Focus after the panel came, changed or went. */
function settle(before, now) {
  const panel = document.getElementById("panel");
  if (now && panel) {
    panel.scrollTop = before === now ? panel.scrollTop : 0;
    if (narrow.matches && !before) document.getElementById("panel-title").focus();
    document.getElementById(`asset-${now}`)?.scrollIntoView({ block: "nearest" });
  } else if (before) {
    document.querySelector(`#asset-${before} .pic`)?.focus();
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("#gallery a[data-go]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.href);
});
window.addEventListener("popstate", () => go(location.href, { push: false }));
document.body.addEventListener("gallery:refresh", () => part.refresh());
// A refusal usually means that somebody else was first: show how it stands now.
gallery.addEventListener("htmx:afterRequest", ({ detail }) => detail.xhr?.status >= 400 && part.refresh());

// --- picking ---------------------------------------------------------------------------------
/** The star turns at once; a refusal turns it back. */
function star(form, on) {
  const button = form.querySelector("[name=picked]");
  button.setAttribute("aria-pressed", String(on));
  button.classList.toggle("on", on && button.classList.contains("onpic"));
}

for (const [name, undo] of [["htmx:beforeSend", false], ["htmx:responseError", true], ["htmx:sendError", true]]) {
  gallery.addEventListener(name, ({ target }) => {
    const form = target.closest?.("[data-pick]");
    if (form) star(form, (form.querySelector("[name=picked]").value === "1") !== undo);
  });
}

register("f", {
  label: gallery.dataset.keyPick,
  run: () => (current()?.querySelector("[data-pick] button") ?? gallery.querySelector("#panel [data-pick] button"))?.click(),
});

// --- copy, close, size -------------------------------------------------------------------------
async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const words = [...source.querySelectorAll("p")].map((line) => line.textContent).join("\n");
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    // Without https the browser only lets the person copy: the text is marked for them.
    getSelection().selectAllChildren(source);
    return;
  }
  const label = button.querySelector("span");
  label.dataset.said ??= label.textContent; // a second press must not keep "Copied" for good
  label.textContent = gallery.dataset.copied;
  announce(gallery.dataset.copied);
  setTimeout(() => (label.textContent = label.dataset.said), 1600);
}

gallery.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-copy]");
  if (button) copy(button);
});

/** Escape: first the selection, then the panel. */
register("escape", {
  label: gallery.dataset.keyClear,
  run: () => {
    const bar = document.getElementById("selection");
    if (!bar.hidden) bar.querySelector("[data-clear]").click();
    else if (document.getElementById("panel")) document.getElementById("panel-close").click();
    else return false;
  },
});

function size(value = localStorage.getItem(SIZE)) {
  const slider = gallery.querySelector("[data-size]");
  slider.hidden = false;
  if (!value || innerWidth <= 760) return;
  slider.querySelector("input").value = value;
  for (const box of gallery.querySelectorAll(".just")) {
    if (box.style.getPropertyValue("--rowh") !== `${value}px`) box.style.setProperty("--rowh", `${value}px`);
  }
}

gallery.addEventListener("input", ({ target }) => {
  if (!target.closest("[data-size]")) return;
  localStorage.setItem(SIZE, target.value);
  size(target.value);
});

document.body.addEventListener("htmx:afterSettle", ({ target }) => target.closest?.("#gallery") && after());
narrow.addEventListener("change", after);
select(gallery.dataset);
after();
