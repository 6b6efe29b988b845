"use strict";

// Light or dark: the system's choice until the button is pressed, then the reader's.
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  // Pages opened from disk may have no storage.
  const stored = (write) => {
    try {
      return write ? localStorage.setItem("apsam-theme", write) : localStorage.getItem("apsam-theme");
    } catch {
      return null;
    }
  };
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  const kept = stored();
  if (kept) root.dataset.theme = kept;
  show();
  system.addEventListener("change", show);
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored(root.dataset.theme);
    show();
  });
})();
