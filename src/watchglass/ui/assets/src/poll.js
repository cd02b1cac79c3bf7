// Asks for every card's content again every five seconds, or its data-period, while someone looks and the window is live.
// A failed answer leaves the old figures and says since when they are old.
import { Idiomorph } from "idiomorph";
import { live } from "./live.js";
import { ofWindow, onChange, query } from "./state.js";
import { clock } from "./times.js";

const PERIOD = 5000;
const JITTER = 0.1;
const SOON = 20_000;
const AWAY = "The service does not answer.";

/** What is wrong with each card that failed last. */
const problems = new Map();

/** What the process knows itself while its store does not answer; the page of everything asks for it. */
let here = "";

/** When each of them is asked again. */
const retries = new WeakMap();

/** What the address said when each card asked last. */
const askedFor = new WeakMap();

const cards = () => document.querySelectorAll("[data-card]");
// What has ended says so, and is asked for no more.
const moves = (card) => !card.querySelector("[data-still]");
const bodyOf = (card) => card.querySelector("[data-body]");
const period = (card) => Number(card.dataset.period ?? PERIOD);
// What dear questions go by is which time is looked at, and nothing else of the address.
const wanted = (card) => (card.hasAttribute("data-of-window") ? ofWindow(query()) : query()).toString();

const ask = (card) => htmx.trigger(card, "refresh");
const asked = (card) => askedFor.get(card) === wanted(card);
const due = (card) => Date.now() - Number(card.dataset.seen ?? 0) >= period(card);

function askEach(which) {
  for (const card of cards()) if (which(card)) ask(card);
}

export function start() {
  htmx.defineExtension("morph", { handleSwap: swap });
  document.addEventListener("htmx:configRequest", (event) => {
    for (const [name, value] of query()) event.detail.parameters[name] = value;
    askedFor.set(event.detail.elt, wanted(event.detail.elt));
  });
  document.addEventListener("htmx:beforeOnLoad", turnedAway);
  document.addEventListener("htmx:beforeSwap", judge);
  document.addEventListener("htmx:afterRequest", settle);
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => failed(event.detail.elt.closest("[data-card]"), AWAY));
  }
  document.addEventListener("visibilitychange", () => document.hidden || (live() && askEach(due)));
  onChange(() => askEach((card) => !asked(card)));
  for (const card of cards()) again(card);
  // htmx takes the elements in at this event, and was there before us.
  document.addEventListener("DOMContentLoaded", first, { once: true });
}

// A card that came with its content asks for no other at once.
function first() {
  for (const card of cards()) {
    if (bodyOf(card).hasAttribute("aria-busy")) ask(card);
    else take(card);
  }
}

function take(card) {
  card.dataset.seen = String(Date.now());
  askedFor.set(card, wanted(card));
}

function again(card) {
  const wait = period(card) * (1 - JITTER + 2 * JITTER * Math.random());
  setTimeout(() => {
    if (live() && !document.hidden && moves(card) && !card.classList.contains("htmx-request")) ask(card);
    again(card);
  }, wait);
}

// What failed is asked for again soon, however rarely it is otherwise: what is wrong is not said for longer than it is.
function retry(card) {
  clearTimeout(retries.get(card));
  if (period(card) <= SOON) return;
  const again = () => problems.has(card) && live() && (document.hidden ? retry(card) : ask(card));
  retries.set(card, setTimeout(again, SOON));
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

// Whoever is no longer logged in is led to the login, and from there back to this very address.
function turnedAway(event) {
  if (event.detail.xhr.status !== 401) return;
  event.preventDefault();
  location.reload();
}

// An answer to what is no longer asked is left; the next one is on its way.
// An error's sentence is shown where nothing was shown yet; elsewhere the old figures stay.
function judge(event) {
  const { requestConfig, xhr, target } = event.detail;
  if (!asked(requestConfig.elt)) return (event.detail.shouldSwap = false);
  if (xhr.status < 400) return;
  event.detail.shouldSwap = target.getAttribute("aria-busy") === "true" && problemIn(xhr) !== null;
}

function settle({ detail }) {
  const card = detail.elt.closest("[data-card]");
  if (!card || detail.xhr?.status === 401) return;
  if (detail.successful) asked(card) && answered(card);
  else if (detail.xhr?.status >= 400) failed(card, told(detail.xhr) ?? `The service answers ${detail.xhr.status}.`);
}

function answered(card) {
  card.dataset.seen = String(Date.now());
  bodyOf(card).removeAttribute("aria-busy");
  problems.delete(card);
  if (card.id === "overview") here = "";
  card.classList.remove("stale");
  card.querySelector("[data-stale]").hidden = true;
  notice();
}

function failed(card, problem) {
  problems.set(card, problem);
  const since = Number(card.dataset.seen);
  card.classList.toggle("stale", since > 0);
  const place = card.querySelector("[data-stale]");
  place.hidden = !since;
  place.textContent = since ? `Figures of ${clock(since)}` : "";
  retry(card);
  notice();
}

// What keeps figures away is said once, at the top of the page.
function notice() {
  const place = document.querySelector("[data-notice]");
  const [problem] = problems.values();
  place.hidden = problem === undefined;
  const text = place.querySelector("[data-notice-text]");
  if (problem !== undefined && text.textContent !== problem) text.textContent = problem;
  const beside = document.querySelector("[data-notice-here]");
  beside.hidden = problem === undefined || !here;
  beside.textContent = here;
}

function told(xhr) {
  here = of(xhr, "here") ?? here;
  return problemIn(xhr);
}

const problemIn = (xhr) => of(xhr, "problem");

function of(xhr, name) {
  if (!(xhr.getResponseHeader("content-type") ?? "").startsWith("text/html")) return null;
  const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
  return page.querySelector(`[data-${name}]`)?.dataset[name] ?? null;
}
