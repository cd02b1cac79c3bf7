// The last lines of the log, on the page of everything: as many as fit the card, as they come.
import { live } from "../live.js";
import { onChange } from "../state.js";
import { page } from "./history.js";
import { Lines } from "./lines.js";
import { rowOf } from "./row.js";
import { Stream } from "./stream.js";

const SHOWN = 8;

/** Takes the card over. */
export function start(place) {
  const { base } = place.dataset;
  const address = `${base}/api/monitoring/logs`;
  const lines = new Lines();
  const list = place.querySelector('[data-part="list"]');
  const sentence = place.querySelector('[data-part="sentence"]');
  let waits = 0;

  const draw = () => {
    waits ||= requestAnimationFrame(() => {
      waits = 0;
      lines.trim(SHOWN);
      list.replaceChildren(...lines.items.map((line) => rowOf(line, { base, ids: false, opened: false })));
      place.removeAttribute("aria-busy");
    });
  };
  const stream = new Stream(`${address}/stream`, {
    lines: (more) => lines.add(more) && draw(),
    skipped: () => {},
    state(name, reason) {
      place.dataset.state = name;
      if (reason) sentence.textContent = reason;
    },
  });
  const load = async () => {
    try {
      const answer = await page(address, new URLSearchParams({ limit: SHOWN, range: "1h" }));
      const since = lines.items;
      lines.clear();
      lines.add(answer.lines);
      lines.add(since);
      sentence.textContent = answer.records.length ? "" : answer.sentence;
      draw();
    } catch (error) {
      sentence.textContent = error.message;
    }
  };
  const look = () => {
    if (document.hidden || !live()) stream.close();
    else stream.resume();
  };
  if (live()) stream.begin(new URLSearchParams(), load);
  else load();
  document.addEventListener("visibilitychange", look);
  onChange(look);
}
