// The home page stays current: a refresh every 10 s while somebody looks at it, and at once when they come back.
const EVERY = 10_000;

/** A request that nobody pressed a button for fails quietly; the next one tries again. */
for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => event.target.id === "home-live" && event.stopPropagation(), true);
}

function refresh() {
  const part = document.getElementById("home-live");
  // A focused link inside keeps its focus (the swap is a morph); a failed request shows nothing and is tried again.
  if (part && document.visibilityState === "visible" && navigator.onLine) window.htmx?.trigger(part, "home:refresh");
}

setInterval(refresh, EVERY);
document.addEventListener("visibilitychange", refresh);
