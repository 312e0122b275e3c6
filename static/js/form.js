// Small helps for forms: show a password, press a button only once, close menus.
import { text } from "./strings.js";

function password(button) {
  const input = document.getElementById(button.getAttribute("aria-controls"));
  if (!input) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    button.setAttribute("aria-pressed", String(!shown));
    button.querySelector("span").textContent = text(shown ? "show_password" : "hide_password");
  });
}

/** "Use": put a value into a field and move on to the next one. */
function fill(button) {
  const input = document.getElementById(button.dataset.fill);
  if (!input) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    input.value = button.dataset.value;
    const fields = [...input.form.querySelectorAll("input:not([type=hidden])")];
    (fields[fields.indexOf(input) + 1] ?? input).focus();
  });
}

/** A second press of the same submit button would post twice. */
function once(event) {
  const form = event.target;
  if (!form.matches("[data-once]") || event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
}

/** The page may have changed its own address since the form was written: come back to what is shown now. */
function here({ target }) {
  const next = target.querySelector("input[data-here]");
  if (next) next.value = location.pathname + location.search;
}

function closeMenus(event) {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (event.type === "keydown" ? event.key === "Escape" : !menu.contains(event.target)) {
      menu.open = false;
      if (event.type === "keydown") menu.querySelector("summary").focus();
    }
  }
}

export function watch() {
  document.querySelectorAll("[data-password-toggle]").forEach(password);
  document.querySelectorAll("[data-fill]").forEach(fill);
  document.addEventListener("submit", once); // forms come and go with fragments
  document.addEventListener("submit", here, true);
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
  document.addEventListener("click", closeMenus);
  document.addEventListener("keydown", closeMenus);
}
