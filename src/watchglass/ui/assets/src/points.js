// A click on a chart's line leads to the kept traces of that slot: as slow as the line was there, and slower.
import { query } from "./state.js";

/** Histograms tell a percentile within 2.2 %: what lies so little below it is meant, too. */
const CLOSE = 0.97;
const REACH = 40;
const STILL = 4;

/** Makes the points of a chart lead to traces, where its element names their page by data-traces. */
export function leading(chart) {
  const { element, view } = chart;
  let down = null;
  element.addEventListener("pointerdown", (event) => (down = [event.clientX, event.clientY]));
  element.addEventListener("click", (event) => {
    const moved = down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) > STILL;
    if (moved || !element.dataset.traces || !chart.data?.slot) return;
    const box = element.getBoundingClientRect();
    const point = [event.clientX - box.left, event.clientY - box.top];
    const found = view.containPixel("grid", point) && nearest(chart, point);
    if (found) location.assign(address(element.dataset.traces, found, chart.data.slot));
  });
}

// The line that is closest at the slot under the pointer.
function nearest({ view, data }, [x, y]) {
  const time = view.convertFromPixel({ xAxisIndex: 0 }, x);
  const points = data.lines.flatMap((line) => {
    const value = line.values.reduce((best, one) => (Math.abs(one[0] - time) < Math.abs(best[0] - time) ? one : best), line.values[0]);
    if (!value || value[1] === null) return [];
    return [{ line, time: value[0], value: value[1], away: Math.abs(view.convertToPixel({ yAxisIndex: 0 }, value[1]) - y) }];
  });
  const [first] = points.sort((a, b) => a.away - b.away);
  return first && first.away <= REACH ? first : null;
}

function address(page, { line, time, value }, slot) {
  const wanted = new URLSearchParams({ start: iso(time), end: iso(time + slot * 1000) });
  wanted.set("min_duration", String(Number((value * CLOSE).toPrecision(3))));
  if (line.endpoint) wanted.set("endpoint", line.endpoint);
  if (line.statement) wanted.set("statement", line.statement);
  const compare = query().get("compare");
  if (compare) wanted.set("compare", compare);
  return `${page}?${wanted}`;
}

const iso = (time) => new Date(time).toISOString().replace(".000", "");
