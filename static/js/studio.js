// Entry of the studio page.
import { watch as batches } from "./batches.js";
import { watch as composer } from "./composer.js";
import { watch as draft } from "./draft.js";
import { watch as frames } from "./frames.js";
import { watch as inputs } from "./inputs.js";
import { watch as mask } from "./mask.js";
import { watch as template } from "./template.js";
import { watch as tokens } from "./tokens.js";
import { watch as world } from "./world.js";

// What a person types or has opened is theirs: a fragment from the server does not take it away.
Idiomorph.defaults.ignoreActiveValue = true;
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
  !(name === "open" && node.matches("details, dialog")) && !(name === "hidden" && node.matches("[data-mask]"));
Idiomorph.defaults.callbacks.beforeNodeMorphed = (node) => !node.matches?.("[data-keep]"); // what is painted

// A question that has been answered.
document.body.addEventListener("htmx:afterRequest", ({ detail: { elt } }) => elt.matches("[popover]") && elt.hidePopover());

for (const watch of [frames, batches, composer, inputs, mask, template, tokens, draft, world]) watch();
