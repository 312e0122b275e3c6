// The composer: live numbers, small helps, and on small screens the bottom sheet. The server judges all of it.
const NARROW = matchMedia("(max-width: 960px)");
const form = document.getElementById("composer");
const sheet = document.getElementById("composer-sheet");
const slot = document.getElementById("composer-slot");

const one = (selector, root = form) => root?.querySelector(selector);
const put = (text, values) => text.replace(/%\((\w+)\)s/g, (_whole, name) => values[name]);
const chosen = () => form.querySelectorAll("input[name=formats]:checked").length;
const whole = (text) => (/^\s*\d{1,4}\s*$/.test(text) ? Number(text) : 0);

/** Steps of each picture: what is typed, or what the model is made for; 0 for what is no number. */
function steps() {
  const field = one("#steps");
  return field ? whole(field.value || (field.validity.badInput ? "" : field.placeholder)) : 0;
}

/** The class of what is asked for, as studio/domain/priority.py counts them: 0 urgent, 1 normal, 2 in the background. */
function kind() {
  const wish = one("input[name=when]:checked")?.value;
  return { urgent: 0, batch: 2 }[wish] ?? Number(form.dataset.automatic);
}

/** As Python's estimate(): no more exact than a guess is. */
function guess(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

function countCharacters(field) {
  const output = document.getElementById(field.dataset.count);
  const length = [...field.value].length;
  output.textContent = String(length);
  output.classList.toggle("over-limit", length > Number(form.dataset.limit));
}

function numbers() {
  const pictures = chosen() * whole(one("#count").value);
  const quota = document.getElementById("quota").dataset;
  const say = one("[data-render]");
  if (say) {
    const { none, one: single, many } = say.dataset;
    say.textContent = pictures ? put(pictures === 1 ? single : many, { count: pictures }) : none;
  }
  const marked = one("[data-chosen]");
  marked.textContent = put(marked.dataset.chosen, { count: chosen() });
  const left = Number(quota.left);
  const over = one("#over-quota");
  over.hidden = pictures <= left;
  over.querySelector("span").textContent = put(over.dataset.over, { needed: pictures, left });
  const [step, workers] = [Number(quota.stepMs), Number(quota.workers)];
  const each = Number(quota.restMs) + steps() * step;
  const ahead = Number(quota.aheadMs.split(",")[kind()]);
  const time = guess((ahead + pictures * each) / 1000 / Math.max(1, workers));
  const estimate = one("[data-estimate]");
  const known = pictures && step && workers ? put(estimate.dataset.estimate, { time }) : "";
  estimate.textContent = pictures && "paused" in quota ? estimate.dataset.paused : known;
}

/** The closed drawer says what is set in it. */
function sampling() {
  const line = one("[data-sampling]");
  if (!line) return;
  const count = steps();
  const said = count ? put(count === 1 ? line.dataset.one : line.dataset.many, { count }) : "–";
  line.textContent = `${one("#sampler").selectedOptions[0]?.text ?? ""} · ${said}`;
}

function miniature() {
  const prompt = one("[data-mini-prompt]", document);
  const said = [one("#prompt-zh"), one("#prompt-en")].find((field) => field.value.trim());
  if (said) {
    prompt.textContent = said.value.trim();
    prompt.lang = said.lang;
  }
  const line = one("[data-mini-say]", document);
  line.textContent = put(line.dataset.miniSay, { formats: chosen(), count: one("#count").value });
}

function update() {
  form.querySelectorAll("[data-count]").forEach(countCharacters);
  numbers();
  sampling();
  miniature();
}

function press({ target }) {
  const by = target.closest?.("[data-step-by]");
  if (by) {
    const field = one("input", by.closest(".stepper"));
    const next = whole(field.value || field.placeholder) + Number(by.dataset.stepBy);
    field.value = String(Math.min(Number(field.max), Math.max(Number(field.min), next)));
    update();
  }
  const random = target.closest?.("[data-random]");
  if (random) one("#seed").value = String(crypto.getRandomValues(new Uint32Array(1))[0] % (Number(random.dataset.random) + 1));
}

function openSheet() {
  if (sheet.open || !NARROW.matches) return;
  sheet.append(form);
  sheet.showModal();
}

function watchSheet() {
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-open-composer]")) return;
    event.preventDefault();
    openSheet();
  });
  sheet.addEventListener("close", () => slot.append(form));
  sheet.addEventListener("click", (event) => event.target === sheet && sheet.close()); // the backdrop
  NARROW.addEventListener("change", () => sheet.open && sheet.close());
}

function answered({ detail: { elt, xhr } }) {
  if (elt !== form) return;
  form.removeAttribute("aria-busy");
  update();
  if (xhr.status === 422) {
    openSheet();
    const wrong = one("[aria-invalid=true], [aria-describedby=err-formats] input");
    const drawer = wrong?.closest("details");
    if (drawer) drawer.open = true; // the fragment leaves open and closed as they were
    wrong?.focus({ preventScroll: true });
    wrong?.scrollIntoView({ block: "center" }); // with the message under it
    return;
  }
  sheet.close(); // a message would lie under it
  if (xhr.status === 202) window.scrollTo({ top: 0 });
}

export function watch() {
  if (!form) return;
  form.addEventListener("input", update);
  form.addEventListener("change", update);
  form.addEventListener("click", press);
  document.body.addEventListener("htmx:beforeRequest", ({ detail: { elt } }) => elt === form && form.setAttribute("aria-busy", "true"));
  document.body.addEventListener("htmx:afterRequest", answered);
  document.addEventListener("frames:fresh", numbers);
  watchSheet();
  update();
}
