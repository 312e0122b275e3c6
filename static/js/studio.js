// Entry of the studio page.
import { watch as batches } from "./batches.js";
import { watch as composer } from "./composer.js";
import { watch as frames } from "./frames.js";

// What a person types or has opened is theirs: a fragment from the server does not take it away.
Idiomorph.defaults.ignoreActiveValue = true;
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.matches("details, dialog"));

for (const watch of [frames, batches, composer]) watch();
