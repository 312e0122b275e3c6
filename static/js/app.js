// Entry of every page. Each module watches for its own data attributes; a page adds its own with {% block js %}.
import { watch as form } from "./form.js";
import { watch as hotkeys } from "./hotkeys.js";
import { watch as justify } from "./justify.js";
import { watch as live } from "./live.js";
import { watch as theme } from "./theme.js";
import { watch as toasts } from "./toast.js";

for (const watch of [toasts, hotkeys, form, theme, justify, live]) watch();
