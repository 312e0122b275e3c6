// The template editor: drafts are kept while they are typed, and a variable shows the fields of its kind.
const PAUSE = 1500; // ms without typing
let timer = 0;
let text = null; // where the cursor was last
let composing = false; // an input method is at work: what stands in the field is not what is meant

const editor = () => document.getElementById("editor");

/** Save: only the numbers and the preview come back, never a field that somebody types into. */
function keep() {
  clearTimeout(timer);
  timer = setTimeout(() => (composing ? keep() : document.getElementById("autosave")?.click()), PAUSE);
}

function changed({ target }) {
  if (!editor()?.contains(target)) return;
  if (target.matches("[data-kind-of]")) target.closest(".var").dataset.kind = target.value;
  if (target.name) keep();
}

/** Put a variable where the cursor is. */
function insert(button) {
  const field = text?.isConnected ? text : editor().elements.text_zh;
  field.focus();
  field.setRangeText(`{${button.dataset.insert}}`, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

if (editor()?.querySelector("button[name=add], button[name=drop]")) {
  document.addEventListener("input", changed);
  document.addEventListener("change", changed);
  document.addEventListener("compositionstart", () => (composing = true));
  document.addEventListener("compositionend", () => (composing = false));
  document.addEventListener("focusin", ({ target }) => target.matches("#text_zh, #text_en") && (text = target));
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-insert]");
    if (button) insert(button);
  });
  document.body.addEventListener("htmx:beforeRequest", () => clearTimeout(timer));
  document.body.addEventListener("htmx:afterSettle", ({ detail: { requestConfig } }) => {
    if (requestConfig?.triggeringEvent?.submitter?.name !== "add") return;
    const names = editor().querySelectorAll(".var input.mono");
    names[names.length - 1]?.focus();
  });
}
