// The live switch. Off means a fixed window: its start and end go into the address, so that a link shows what was seen.
import { change, onChange, query } from "./state.js";
import { span } from "./times.js";

const SECONDS = { m: 60, h: 3600, d: 86400 };

/** Whether the window moves with the clock. */
export const live = () => !query().has("end");

/** Stops the window where it is, or lets it move again. */
export function toggle() {
  if (!live()) return change({ start: null, end: null });
  const end = Math.floor(Date.now() / 1000);
  const range = query().get("range") || document.body.dataset.range;
  const length = Number(range.slice(0, -1)) * SECONDS[range.slice(-1)];
  change({ start: iso(end - length), end: iso(end) });
}

/** Shows one part of time on every card; `from` and `to` in milliseconds. */
export function zoom(from, to) {
  change({ start: iso(Math.floor(from / 1000)), end: iso(Math.ceil(to / 1000)) });
}

export function start() {
  const button = document.querySelector("[data-live]");
  button.addEventListener("click", toggle);
  const show = () => {
    button.setAttribute("aria-checked", String(live()));
    button.querySelector("[data-live-word]").textContent = live() ? "Live" : "Paused";
    document.body.classList.toggle("paused", !live());
    showWindow();
  };
  onChange(show);
  show();
}

function showWindow() {
  const place = document.querySelector("[data-window]");
  place.hidden = live();
  if (live()) return;
  const [from, to] = [query().get("start"), query().get("end")].map((text) => new Date(text));
  if (Number.isNaN(from.getTime()) || Number.isNaN(to.getTime())) return;
  place.querySelector("[data-window-text]").textContent = span(from, to);
}

const iso = (seconds) => new Date(seconds * 1000).toISOString().replace(".000", "");
