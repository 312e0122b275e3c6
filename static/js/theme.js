// The theme's radio buttons act at once; the form then keeps the choice. The dark sheet's media query is the switch.
const MEDIA = { dark: "all", light: "not all", auto: "(prefers-color-scheme: dark)" };

function apply(theme) {
  document.documentElement.dataset.theme = theme;
  document.getElementById("dark").media = MEDIA[theme];
  document.querySelector('meta[name="color-scheme"]').content = theme === "auto" ? "light dark" : theme;
}

/** Watch <form data-theme-form> with radio buttons named "theme"; htmx posts it, so that arrow keys keep their place. */
export function watch() {
  for (const form of document.querySelectorAll("[data-theme-form]")) {
    form.addEventListener("change", ({ target }) => {
      if (target.name === "theme" && target.value in MEDIA) {
        apply(target.value);
        form.requestSubmit();
      }
    });
  }
}
