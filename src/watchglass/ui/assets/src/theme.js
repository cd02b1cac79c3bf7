// Light or dark: the system's choice until the reader makes one, which this browser remembers.

const shown = () =>
  document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");

export function start() {
  const button = document.querySelector("[data-theme-switch]");
  const name = () => {
    button.setAttribute("aria-label", `Switch to the ${shown() === "dark" ? "light" : "dark"} theme`);
    document.dispatchEvent(new CustomEvent("watchglass:theme"));
  };
  button.addEventListener("click", () => {
    const next = shown() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("watchglass-theme", next);
    } catch {
      // A browser that keeps nothing shows the choice until it is closed.
    }
    name();
  });
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", name);
  name();
}
