// The page's script: the address is the state, cards are polled, charts are loaded where there is one.
import * as copy from "./copy.js";
import * as keys from "./keys.js";
import * as live from "./live.js";
import * as poll from "./poll.js";
import * as rows from "./rows.js";
import * as search from "./search.js";
import * as state from "./state.js";
import * as theme from "./theme.js";
import { localise } from "./times.js";

async function draw(root) {
  const places = root.querySelectorAll("[data-chart]");
  if (!places.length) return;
  const { show } = await import("./charts.js");
  for (const place of places) show(place);
}

// The log's own script comes where there is a log.
async function follow() {
  const place = document.querySelector("[data-log]");
  if (!place) return;
  const { start } = place.dataset.log === "card" ? await import("./log/card.js") : await import("./log/panel.js");
  start(place);
}

// A tab among many says that something is wrong.
function entitle() {
  const findings = Number(document.querySelector("[data-findings]")?.dataset.findings ?? 0);
  document.title = findings ? `(${findings}) ${title}` : title;
}

const title = document.title;

document.addEventListener("htmx:afterSwap", (event) => {
  entitle();
  localise(event.target);
  draw(event.target);
});

for (const part of [theme, state, live, keys, rows, copy, poll]) part.start();
for (const form of document.querySelectorAll("form[data-filters]")) search.start(form);
localise(document);
follow();
