// Asks for every card's content again every five seconds, while someone looks and the window is live.
// A failed answer leaves the old figures and says since when they are old.
import { Idiomorph } from "idiomorph";
import { live } from "./live.js";
import { onChange, query } from "./state.js";

const PERIOD = 5000;
const JITTER = 0.1;

const cards = () => document.querySelectorAll("[data-card]");
const bodyOf = (card) => card.querySelector("[data-body]");

/** Asks for every card now. */
export function refresh() {
  for (const card of cards()) htmx.trigger(card, "refresh");
}

export function start() {
  htmx.defineExtension("morph", { handleSwap: swap });
  document.addEventListener("htmx:configRequest", (event) => {
    for (const [name, value] of query()) event.detail.parameters[name] = value;
  });
  document.addEventListener("htmx:beforeSwap", judge);
  document.addEventListener("htmx:afterRequest", settle);
  document.addEventListener("visibilitychange", () => document.hidden || (live() && refresh()));
  onChange(refresh);
  for (const card of cards()) again(card);
  refresh();
}

function again(card) {
  const wait = PERIOD * (1 - JITTER + 2 * JITTER * Math.random());
  setTimeout(() => {
    if (live() && !document.hidden && !card.classList.contains("htmx-request")) htmx.trigger(card, "refresh");
    again(card);
  }, wait);
}

// Morphing keeps focus, selection and open details, and moves only what changed.
function swap(style, target, fragment) {
  if (style !== "morph") return false;
  return Idiomorph.morph(target, fragment.children, { morphStyle: "innerHTML", callbacks });
}

const callbacks = {
  // A chart draws itself: its element stays, its data lie in an element beside it.
  beforeNodeMorphed: (old) => !(old instanceof Element && old.hasAttribute("data-keep")),
  // What the reader opened stays open.
  beforeAttributeUpdated: (name, element) => !(name === "open" && element.matches("details")),
};

// An error's sentence is shown where nothing was shown yet; elsewhere the old figures stay.
function judge(event) {
  const { xhr, target } = event.detail;
  if (xhr.status === 401) return location.reload();
  if (xhr.status >= 400) event.detail.shouldSwap = target.getAttribute("aria-busy") === "true" && isHtml(xhr);
}

function settle(event) {
  const card = event.detail.elt.closest("[data-card]");
  if (!card || event.detail.xhr?.status === 401) return;
  const { successful, failed } = event.detail;
  if (successful) {
    card.dataset.seen = String(Date.now());
    bodyOf(card).removeAttribute("aria-busy");
    note(card, null);
  } else if (failed || event.detail.xhr?.status === 0) {
    note(card, Number(card.dataset.seen) || null, true);
  }
}

function note(card, since, failed = false) {
  const place = card.querySelector("[data-stale]");
  card.classList.toggle("stale", failed);
  place.hidden = !failed;
  if (!failed) return place.replaceChildren();
  const clock = (time) => new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }).format(time);
  place.textContent = since ? `No answer; figures of ${clock(since)}` : "No answer yet";
}

const isHtml = (xhr) => (xhr.getResponseHeader("content-type") ?? "").startsWith("text/html");
