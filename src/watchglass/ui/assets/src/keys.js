// The page without a mouse. Keys do nothing while someone types, or with a modifier.
import { toggle } from "./live.js";

const help = () => document.getElementById("help");

const KEYS = {
  t: () => (document.querySelector(".range [aria-current]") ?? document.querySelector(".range a")).focus(),
  l: toggle,
  j: () => step(1),
  k: () => step(-1),
  "?": () => help().showModal(),
};

export function start() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog[open]")) return;
    const action = KEYS[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
    if (event.key === "Enter" && event.target.matches("[data-row]")) {
      event.preventDefault(); // or what has the focus afterwards would be pressed as well
      (event.target.querySelector("[data-enter]") ?? event.target.querySelector("summary, a, [data-open]"))?.click();
    }
    if (event.key === "Escape") document.querySelector("[data-escape]")?.click();
    if (event.target.closest(".range") && /^Arrow(Left|Right)$/.test(event.key)) along(event);
  });
  document.querySelector("[data-help]").addEventListener("click", () => help().showModal());
}

// From one row of a table to the next, through all tables of the page.
function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.checkVisibility());
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement?.closest("[data-row]"));
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1);
  rows[next].focus();
  rows[next].scrollIntoView({ block: "nearest" });
}

function along(event) {
  const links = [...event.target.closest(".range").querySelectorAll("a")];
  const next = links[links.indexOf(event.target) + (event.key === "ArrowRight" ? 1 : -1)];
  next?.focus();
}
