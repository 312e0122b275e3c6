// What is typed into the composer is kept on the server, so that a closed tab or another machine loses nothing.
const form = document.getElementById("composer");
const PAUSE = 1500; // ms without typing
let timer = 0;
let last = "";

function body() {
  const found = new FormData(form);
  for (const name of ["request_key", "idea"]) found.delete(name);
  for (const [name, value] of [...found]) if (value instanceof File) found.delete(name);
  return found;
}

const said = (found) => new URLSearchParams([...found].filter(([name]) => name !== "csrfmiddlewaretoken")).toString();

async function keep() {
  const found = body();
  const text = said(found);
  if (text === last) return;
  try {
    const response = await fetch(form.dataset.draft, { method: "POST", body: found, keepalive: true });
    if (!response.ok || response.redirected) return;
    last = text;
    const line = document.getElementById("draft");
    line.querySelector("[data-draft-said]").textContent = (await response.json()).said;
    line.hidden = false;
  } catch {
    // The network is away: the next change tries again.
  }
}

function changed() {
  clearTimeout(timer);
  timer = setTimeout(keep, PAUSE);
}

/** What is being rendered is no draft any more. */
function sent({ detail: { elt } }) {
  if (elt === form) clearTimeout(timer);
}

export function watch() {
  if (!document.getElementById("draft")) return;
  last = said(body());
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  document.body.addEventListener("htmx:beforeRequest", sent);
  document.body.addEventListener("htmx:afterSettle", () => (last = said(body())));
  addEventListener("pagehide", () => said(body()) !== last && keep());
}
