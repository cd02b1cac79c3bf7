// What a chart says about the moment under the pointer.
// It is built of elements, not of markup: the content security policy allows no inline style, and names stay text.
import { moment } from "./times.js";
import { duration } from "./units.js";

/** The element for these points of one moment, the largest first. */
export function readout(points, data) {
  const box = made("div", "readout");
  const table = made("table");
  const known = points.filter((point) => point.value[1] !== null).sort((a, b) => b.value[1] - a.value[1]);
  for (const point of known) {
    const row = made("tr");
    row.append(made("th", "", point.seriesName), made("td", "", duration(point.value[1])));
    table.append(row);
  }
  const { local, utc } = moment(points[0].axisValue);
  box.append(made("div", "readout-time", local), made("div", "readout-none", utc));
  box.append(known.length ? table : made("div", "readout-none", "nothing measured"));
  const count = data.samples?.[points[0].dataIndex];
  if (count) box.append(made("div", "readout-none", `${count.toLocaleString("en")} ${data.thing ?? "requests"}`));
  if (data.slot) box.append(made("div", "readout-none", "click for their traces"));
  return box;
}

function made(name, className = "", text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}
