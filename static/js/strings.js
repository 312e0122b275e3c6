// Texts in the page's language, from the JSON block that base.html writes.
const block = document.getElementById("strings");
const texts = block ? JSON.parse(block.textContent) : {};

/** The text for a key; the key itself if it is missing, so that a gap shows. */
export const text = (key) => texts[key] ?? key;

/** Tell screen readers, politely. */
export function announce(message) {
  const region = document.getElementById("announce");
  if (region) region.textContent = message;
}
