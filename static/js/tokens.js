// How much of the prompt the model reads: counted by the server, shown while typing.
const PAUSE = 350; // ms of rest before asking

const form = document.getElementById("composer");
const put = (text, values) => text.replace(/%\((\w+)\)s/g, (_whole, name) => values[name]);

let timer = 0;
let asking = null;
let last = "";

/** Words that advertising should avoid, in picture text and in a template's variables. */
function watchWords(words) {
  const line = document.getElementById("careful");
  line.hidden = !words?.length;
  if (!line.hidden) line.querySelector("span").textContent = put(line.dataset.say, { words: words.join("」「") });
}

function show({ tokens, limit, words }) {
  watchWords(words);
  const line = document.getElementById("tokens");
  const warning = document.getElementById("too-many-tokens");
  const known = Number.isInteger(tokens) && limit > 0;
  line.hidden = !known;
  warning.hidden = !known || tokens <= limit;
  if (!known) return;
  line.textContent = put(line.dataset.say, { tokens, limit });
  line.classList.toggle("over-limit", tokens > limit);
  warning.textContent = tokens > limit ? put(warning.dataset.say, { limit }) : "";
}

async function ask() {
  const body = new FormData();
  for (const name of ["prompt_zh", "prompt_en"]) body.append(name, form.elements[name].value);
  body.append("campaign", form.dataset.campaign);
  for (const field of form.querySelectorAll("#holes input")) body.append("value", field.value);
  asking?.abort();
  asking = new AbortController();
  try {
    const response = await fetch(document.getElementById("tokens").dataset.url, {
      method: "POST",
      body,
      signal: asking.signal,
      headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
    });
    if (response.ok && !response.redirected) show(await response.json());
  } catch {
    // Another question followed, or the network is away: the number stays as it was.
  }
}

/** Ask again when the text is another one, or `anew` after a fragment took the number away. */
export function count(anew = false) {
  const text = `${form.elements.prompt_zh.value}\n|\n${form.elements.prompt_en.value}`;
  if (text === last && !anew) return;
  last = text;
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE);
}

export function watch() {
  if (!form) return;
  form.addEventListener("input", () => count());
  document.body.addEventListener("htmx:afterSettle", () => {
    if (document.getElementById("tokens")?.hidden) count(true);
  });
  count();
}
