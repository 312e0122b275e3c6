// The template editor: drafts are kept while they are typed, and a variable shows the fields of its kind.
const PAUSE = 1500; // ms without typing
let timer = 0;

const editor = () => document.getElementById("editor");

function changed({ target }) {
  if (!editor()?.contains(target)) return;
  if (target.matches("[data-kind-of]")) target.closest(".var").dataset.kind = target.value;
  clearTimeout(timer);
  timer = setTimeout(() => editor().requestSubmit(editor().querySelector("button[type=submit]")), PAUSE);
}

if (editor()?.querySelector("button[name=add], button:not([type=submit], [type=button])")) {
  document.addEventListener("input", changed);
  document.addEventListener("change", changed);
}
document.body.addEventListener("htmx:beforeRequest", () => clearTimeout(timer));
