// Painting a mask over the start picture. What is painted becomes a PNG of the picture's size in the mask's file field.
const PAUSE = 700; // ms after the last stroke until the mask is sent
const form = document.getElementById("composer");
const root = form?.querySelector("[data-mask]");
const canvas = root?.querySelector("[data-mask-canvas]");
const pen = canvas?.getContext("2d");

/** What was done, in order: it is done again from the start to take one back. */
let deeds = [];
let base = null; // a mask that was there before, as a canvas
let shown = ""; // the picture under the canvas
let own = ""; // the mask on the server that shows what is painted here
let erasing = false;
let dirty = false;
let timer = 0;
let expecting = false; // an upload of ours is on its way

const slot = (name) => document.getElementById(`slot-${name}`);
const find = (name) => root.querySelector(`[data-mask-${name}]`);
const isPainting = () => form.elements.task.value === "inpaint";

function blank() {
  const made = document.createElement("canvas");
  made.width = canvas.width;
  made.height = canvas.height;
  return made;
}

// --- drawing ------------------------------------------------------------------------------------
function ink() {
  pen.strokeStyle = pen.fillStyle = getComputedStyle(canvas).color;
  pen.lineCap = pen.lineJoin = "round";
}

function stroke({ points, size, erase }) {
  ink();
  pen.globalCompositeOperation = erase ? "destination-out" : "source-over";
  pen.lineWidth = size;
  pen.beginPath();
  pen.moveTo(...points[0]);
  for (const point of points) pen.lineTo(...point);
  if (points.length === 1) pen.lineTo(points[0][0] + 0.01, points[0][1]);
  pen.stroke();
  pen.globalCompositeOperation = "source-over";
}

function invert() {
  ink();
  pen.globalCompositeOperation = "source-out";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.globalCompositeOperation = "source-over";
}

const clear = () => pen.clearRect(0, 0, canvas.width, canvas.height);
const acts = { stroke, invert, clear };

function redraw() {
  clear();
  if (base) pen.drawImage(base, 0, 0);
  for (const deed of deeds) acts[deed.act](deed);
  hint();
}

function hint() {
  find("hint").hidden = deeds.length > 0 || base !== null;
}

function done(deed) {
  deeds.push(deed);
  hint();
  changed();
}

// --- to the server ------------------------------------------------------------------------------
/** White where something is painted, black elsewhere. */
function exported() {
  const out = blank();
  const plate = out.getContext("2d");
  plate.drawImage(canvas, 0, 0);
  plate.globalCompositeOperation = "source-in";
  plate.fillStyle = "#fff";
  plate.fillRect(0, 0, out.width, out.height);
  plate.globalCompositeOperation = "destination-over";
  plate.fillStyle = "#000";
  plate.fillRect(0, 0, out.width, out.height);
  return out;
}

function isEmpty() {
  // A small copy tells: anything painted leaves a trace in it.
  const small = document.createElement("canvas");
  small.width = small.height = 64;
  const plate = small.getContext("2d");
  plate.drawImage(canvas, 0, 0, 64, 64);
  return plate.getImageData(0, 0, 64, 64).data.every((value, at) => at % 4 !== 3 || value === 0);
}

function give(blob) {
  const files = new DataTransfer();
  files.items.add(new File([blob], "mask.png", { type: "image/png" }));
  const field = form.elements.mask_file;
  field.files = files.files;
  return field;
}

function changed() {
  dirty = true;
  clearTimeout(timer);
  timer = setTimeout(send, PAUSE);
}

function forget() {
  own = "";
  slot("mask").querySelector("button[hx-post]")?.click();
}

function send() {
  if (!dirty || !canvas.width) return;
  dirty = false;
  if (isEmpty()) return forget();
  exported().toBlob((blob) => {
    if (!blob || dirty) return; // painted on meanwhile: the next one is sent
    expecting = true;
    give(blob).dispatchEvent(new Event("change", { bubbles: true }));
  }, "image/png");
}

/** Render was pressed before the mask was sent: it goes with the form. */
function submitted(event) {
  if (event.target !== form || !dirty || !isPainting() || isEmpty()) return;
  clearTimeout(timer);
  dirty = false;
  expecting = true;
  const text = atob(exported().toDataURL("image/png").split(",")[1]);
  give(new Blob([Uint8Array.from(text, (character) => character.charCodeAt(0))]));
}

// --- what lies under and over it ----------------------------------------------------------------
function load(source) {
  const image = new Image();
  image.onload = () => {
    base = blank();
    const plate = base.getContext("2d");
    plate.drawImage(image, 0, 0, base.width, base.height);
    const data = plate.getImageData(0, 0, base.width, base.height);
    ink();
    plate.fillStyle = pen.fillStyle;
    for (let at = 0; at < data.data.length; at += 4) data.data[at + 3] = data.data[at]; // white is opaque, black clear
    plate.putImageData(data, 0, 0);
    plate.globalCompositeOperation = "source-in";
    plate.fillRect(0, 0, base.width, base.height);
    deeds = [];
    redraw();
  };
  image.src = source;
}

function look() {
  const { src = "", width, height } = slot("source").dataset;
  root.hidden = !src;
  if (src !== shown) {
    const before = shown;
    shown = src;
    deeds = [];
    base = null;
    dirty = false;
    clearTimeout(timer);
    if (src) {
      canvas.width = Number(width);
      canvas.height = Number(height);
      find("picture").src = src;
      hint();
    }
    if (before && !before.includes("/assets/")) forget(); // painted on another picture
  }
  const mask = slot("mask").dataset.src ?? "";
  if (mask === own) return;
  own = mask;
  if (expecting) expecting = false;
  else if (mask && src) load(mask);
  else if (!mask && !dirty) {
    deeds = [];
    base = null;
    redraw();
  }
}

// --- hands --------------------------------------------------------------------------------------
function place(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
}

let drawing = null;

function down(event) {
  if (event.button !== 0 || drawing) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  const size = (Number(find("brush").value) / 100) * Math.max(canvas.width, canvas.height);
  drawing = { act: "stroke", points: [place(event)], size, erase: erasing };
  clearTimeout(timer);
  stroke(drawing);
}

function move(event) {
  if (!drawing) return;
  const from = drawing.points.at(-1);
  const points = (event.getCoalescedEvents?.() ?? []).map(place);
  if (!points.length) points.push(place(event));
  drawing.points.push(...points);
  stroke({ ...drawing, points: [from, ...points] });
}

function up() {
  if (!drawing) return;
  const deed = drawing;
  drawing = null;
  done(deed);
}

function press({ target }) {
  const tool = (name) => target.closest(`[data-mask-${name}]`);
  if (tool("erase")) {
    erasing = !erasing;
    find("erase").setAttribute("aria-pressed", String(erasing));
  } else if (tool("undo") && deeds.length) {
    deeds.pop();
    redraw();
    changed();
  } else if (tool("invert")) {
    invert();
    done({ act: "invert" });
  } else if (tool("clear")) {
    clear();
    done({ act: "clear" });
  }
}

export function watch() {
  if (!root) return;
  canvas.addEventListener("pointerdown", down);
  canvas.addEventListener("pointermove", move);
  for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, up);
  root.addEventListener("click", press);
  document.addEventListener("submit", submitted, true); // before htmx reads the form
  document.body.addEventListener("htmx:afterSettle", look);
  look();
}
