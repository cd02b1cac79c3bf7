// Dragging over a chart with a mouse makes that part of time the window of the whole page.
import { zoom } from "./live.js";

const LEAST = 60_000;

export function brushing({ view, element }) {
  const mark = document.createElement("div");
  mark.className = "brush";
  mark.hidden = true;
  let from = null;

  const at = (event) => event.clientX - element.getBoundingClientRect().left;
  const timeAt = (x) => view.convertFromPixel({ xAxisIndex: 0 }, x);

  element.addEventListener("pointerdown", (event) => {
    const point = [at(event), event.clientY - element.getBoundingClientRect().top];
    if (event.pointerType !== "mouse" || event.button || !view.containPixel("grid", point)) return;
    from = at(event);
    element.append(mark);
  });
  window.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const [left, right] = [from, at(event)].sort((a, b) => a - b);
    mark.hidden = right - left < 4;
    mark.style.left = `${left}px`;
    mark.style.width = `${right - left}px`;
  });
  window.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const [start, end] = [timeAt(from), timeAt(at(event))].sort((a, b) => a - b);
    const dragged = !mark.hidden;
    mark.hidden = true;
    from = null;
    if (dragged && end - start >= LEAST) zoom(start, end);
  });
}
