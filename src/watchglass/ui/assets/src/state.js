// What the page shows is in its address: range, live, sort order, switches. This module alone reads and writes it.

const WINDOW = ["range", "start", "end", "compare"];

/** The address' parameters. */
export const query = () => new URLSearchParams(location.search);

/** Changes parameters of the address (null removes one), adds a step to the history unless told not to, tells the page. */
export function change(values, { step = true } = {}) {
  const next = query();
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "") next.delete(name);
    else next.set(name, value);
  }
  if (next.toString() === query().toString()) return;
  history[step ? "pushState" : "replaceState"](null, "", next.size ? `?${next}` : location.pathname);
  announce();
}

/** Calls `listener` after each change, by us or by the browser's back and forward. */
export function onChange(listener) {
  document.addEventListener("watchglass:state", listener);
}

/** Makes links and selects with data-state change the address in place, without loading the page anew. */
export function start() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-state]");
    if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    change(pairs(link));
  });
  document.addEventListener("change", (event) => {
    const name = event.target.dataset.stateName;
    if (name) change({ [name]: event.target.value });
  });
  window.addEventListener("popstate", announce);
  onChange(mark);
}

function announce() {
  document.dispatchEvent(new CustomEvent("watchglass:state"));
}

// data-state="range=6h&start=&end=": an empty value removes the parameter.
function pairs(link) {
  return Object.fromEntries(new URLSearchParams(link.dataset.state));
}

/** Another page takes over which time is looked at, and not what this one looks for. */
export function ofWindow(now) {
  return new URLSearchParams([...now].filter(([name]) => WINDOW.includes(name)));
}

// The bar is not drawn anew by the server: say here which of its choices is in force, and what links to pages carry.
function mark() {
  const now = query();
  for (const link of document.querySelectorAll(".bar a[data-state]")) {
    const chosen = Object.entries(pairs(link)).every(([name, value]) => (now.get(name) ?? "") === value);
    if (chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  for (const select of document.querySelectorAll("[data-state-name]")) {
    select.value = now.get(select.dataset.stateName) ?? "";
  }
  for (const link of document.querySelectorAll("a[data-carry]")) link.search = now.toString();
  for (const link of document.querySelectorAll("a[data-carry-window]")) link.search = ofWindow(now).toString();
}
