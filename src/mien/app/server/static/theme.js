// Runs before the page is painted, so that it never flashes in the other appearance.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("mien-theme");
  } catch {
    // Storage may be switched off: then the system decides.
  }
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = chosen === "dark" || chosen === "light" ? chosen : isDark ? "dark" : "light";
})();
