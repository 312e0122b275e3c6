// A template in the composer: its prompts follow what is typed into its variables. The server fills them.
import { count } from "./tokens.js";

const form = document.getElementById("composer");
const PAUSE = 250; // ms without typing
let asking = null;
let timer = 0;

function show({ prompt_zh, prompt_en, errors }) {
  const holes = document.getElementById("holes");
  if (!holes || prompt_zh === null) return;
  form.elements.prompt_zh.value = prompt_zh;
  form.elements.prompt_en.value = prompt_en;
  for (const hole of holes.querySelectorAll("[data-hole]")) {
    const line = hole.querySelector("[data-hole-error]");
    const field = hole.querySelector("input, select");
    const said = errors[hole.dataset.hole] ?? "";
    // What nobody has touched yet is not wrong: it is empty.
    line.hidden = !said || !hole.dataset.touched;
    line.querySelector("span").textContent = said;
    const marks = { "aria-invalid": "true", "aria-describedby": line.id };
    for (const [name, value] of Object.entries(marks)) {
      if (line.hidden) field.removeAttribute(name);
      else field.setAttribute(name, value);
    }
  }
  form.querySelectorAll("[data-count]").forEach((area) => area.dispatchEvent(new Event("input", { bubbles: true })));
  count();
}

async function ask() {
  asking?.abort();
  asking = new AbortController();
  const body = new FormData(form);
  for (const [name, value] of [...body]) if (value instanceof File) body.delete(name);
  try {
    const response = await fetch(document.getElementById("holes").dataset.url, { method: "POST", body, signal: asking.signal });
    if (response.ok && !response.redirected) show(await response.json());
  } catch {
    // Another question followed, or the network is away: the prompts stay as they were.
  }
}

function typed({ target }) {
  const hole = target.closest?.("[data-hole]");
  if (!hole) return;
  hole.dataset.touched = "1";
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE);
}

/** Enter in the idea writes it out; elsewhere it renders. */
function enter(event) {
  if (event.key !== "Enter" || event.isComposing || event.target.id !== "idea") return;
  event.preventDefault();
  form.querySelector("button[name=expand]").click();
}

export function watch() {
  if (!form) return;
  form.addEventListener("input", typed);
  form.addEventListener("change", typed);
  form.addEventListener("keydown", enter);
}
