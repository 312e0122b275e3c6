// One part of the page, kept true: fetched again whenever the live connection says that something changed, and morphed
// in, so that focus, scroll, ticked boxes and typed text stay. Elements marked data-own belong to the page: their
// state is never overwritten.
const WAIT = 350; // ms in which further events join the same request
const EVENTS = ["asset.changed", "job.changed"];

const own = (node) => node instanceof Element && node.matches("[data-own]");

const callbacks = {
  // A form or a text somebody works on stays as it is; a box keeps its tick (see beforeAttributeUpdated).
  beforeNodeMorphed: (old) => !(own(old) && !old.matches("[type=checkbox]")),
  beforeAttributeUpdated: (name, node) => !(name === "checked" && own(node)) && !(name === "style" && node.parentElement?.matches(".just")),
};

/**
 * Keep `part` (an element with an id) current. `address()` gives what to fetch for the page's state now;
 * `after()` runs after every change; `events` are those that may change it. Returns { load(url), refresh() }.
 */
export function keep(part, { address, after, relevant = () => true, events = EVENTS, wait = WAIT }) {
  let timer = 0;
  let running = null;
  let again = false;

  function show(html) {
    const fresh = new DOMParser().parseFromString(`<template>${html}</template>`, "text/html").querySelector("template");
    for (const piece of fresh.content.querySelectorAll("[hx-swap-oob]")) {
      piece.remove();
      piece.removeAttribute("hx-swap-oob");
      const old = document.getElementById(piece.id);
      if (old) window.Idiomorph.morph(old, piece);
    }
    window.Idiomorph.morph(part, fresh.innerHTML, { morphStyle: "innerHTML", callbacks });
    window.htmx.process(part);
    after();
  }

  /** Fetch `url` and show it. False: the answer was not the part (gone, signed out, no connection). */
  async function load(url) {
    running?.abort();
    const mine = (running = new AbortController());
    part.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { headers: { "HX-Request": "true", "HX-Target": part.id }, signal: mine.signal });
      if (!answer.ok) return false;
      const html = await answer.text();
      if (mine.signal.aborted) return true;
      show(html);
      return true;
    } catch (error) {
      return error.name === "AbortError";
    } finally {
      if (running === mine) {
        running = null;
        part.removeAttribute("aria-busy");
      }
    }
  }

  async function now() {
    if (running) {
      again = true;
      return;
    }
    await load(address());
    if (again) {
      again = false;
      refresh();
    }
  }

  function refresh() {
    // Not put off by further events: a long run of renders would never show.
    timer ||= setTimeout(() => {
      timer = 0;
      now();
    }, wait);
  }

  for (const name of ["open", "poll", ...events]) {
    document.addEventListener(`live:${name}`, (event) => relevant(event) && refresh());
  }
  return { load, refresh };
}
