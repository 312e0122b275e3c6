// The home page stays current: a refresh every 10 s while somebody looks at it, and at once when they come back.
const EVERY = 10_000;

function refresh() {
  const part = document.getElementById("home-live");
  // A focused link inside keeps its focus (the swap is a morph); a failed request shows nothing and is tried again.
  if (part && document.visibilityState === "visible" && navigator.onLine) window.htmx?.trigger(part, "home:refresh");
}

setInterval(refresh, EVERY);
document.addEventListener("visibilitychange", refresh);
