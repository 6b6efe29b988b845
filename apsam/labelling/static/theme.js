"use strict";

// Light or dark: the system's choice until the button is pressed, then the reader's, for all pages of apsam.
Labelling.theme = (button, onChange) => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const show = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    onChange();
  };
  try {
    const kept = localStorage.getItem("apsam-theme");
    if (kept) root.dataset.theme = kept;
  } catch { /* no storage */ }
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("apsam-theme", root.dataset.theme);
    } catch { /* no storage */ }
    show();
  });
  system.addEventListener("change", show);
  show();
};
