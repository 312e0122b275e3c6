// The composer's pictures and sliders. Uploads themselves are htmx's; without scripts the files go with the form.
const form = document.getElementById("composer");

function sliders() {
  for (const slider of form.querySelectorAll("[data-shows]")) {
    document.getElementById(slider.dataset.shows).textContent = slider.value;
  }
}

/** The edges that lead the picture, as soon as there is a picture for them. */
function edges() {
  const figure = form.querySelector("[data-edges]");
  if (!figure) return;
  const source = document.getElementById("slot-control").dataset.src;
  figure.hidden = !source || form.elements.control_kind.value !== "canny";
  if (figure.hidden) return;
  const wanted = source.replace(/\.png$/, "/edges.png");
  const image = figure.querySelector("img");
  if (image.getAttribute("src") !== wanted) image.src = wanted;
}

/** The closed drawer says what is set in it. */
function guided() {
  const line = form.querySelector("[data-guided]");
  if (!line) return;
  const kind = form.elements.control_kind;
  const parts = kind.value ? [kind.selectedOptions[0].text] : [];
  for (const box of form.querySelectorAll("input[name=lora]:checked")) parts.push(box.value);
  line.textContent = parts.join(" · ") || line.dataset.none;
}

function guidance() {
  const field = form.querySelector("[data-guidance]");
  const line = form.querySelector("[data-no-guidance]");
  if (field && line) line.hidden = Number(field.value || field.placeholder) !== 0;
}

function update() {
  sliders();
  edges();
  guided();
  guidance();
}

/** The server has kept what was sent: the next press must not send it again. */
function sent({ detail: { elt, xhr } }) {
  if (elt !== form || ![202, 422].includes(xhr.status)) return;
  for (const file of form.querySelectorAll("input[type=file]")) file.value = "";
  update();
}

/** A file may be dropped anywhere on its place; the browser gives it to the file field that covers the place. */
function dragged(event) {
  event.target.closest?.(".drop")?.classList.toggle("over", event.type === "dragenter" || event.type === "dragover");
}

export function watch() {
  if (!form) return;
  form.addEventListener("input", update);
  form.addEventListener("change", update);
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) form.addEventListener(type, dragged);
  document.body.addEventListener("htmx:afterRequest", sent);
  document.body.addEventListener("htmx:afterSettle", update);
  update();
}
