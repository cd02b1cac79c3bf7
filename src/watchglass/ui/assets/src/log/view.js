// The list of lines: as many rows in the document as are looked at, whatever is in memory.
// It stays at the end while the reader is there, and stays put while the reader is elsewhere.
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from "@tanstack/virtual-core";
import { rowOf } from "./row.js";

const ROW = 26;
const OVERSCAN = 20;
const NEAR = 40;

export class View {
  #rows = new Map();
  #opened = new Set();
  #waits = 0;

  /** Shows `lines` in `element`; calls `moved()` when the reader has scrolled. */
  constructor(element, lines, look, moved) {
    this.element = element;
    this.lines = lines;
    this.look = look;
    this.space = element.appendChild(document.createElement("div"));
    this.space.className = "space";
    this.body = this.space.appendChild(document.createElement("div"));
    this.body.className = "rows";
    this.virtual = new Virtualizer(this.#options());
    this.virtual._didMount();
    this.virtual._willUpdate();
    element.addEventListener("scroll", moved, { passive: true });
    element.addEventListener("click", (event) => this.#toggle(event));
  }

  /** Whether the reader is at the end, where new lines come. */
  get atEnd() {
    return this.virtual.isAtEnd(NEAR);
  }

  /** Whether the reader is where older lines are wanted. */
  get atStart() {
    return this.element.scrollTop < 40 * ROW;
  }

  toEnd() {
    this.virtual.scrollToEnd();
  }

  /** Draws what has changed, at most once a frame. */
  changed() {
    this.#waits ||= requestAnimationFrame(() => {
      this.#waits = 0;
      this.virtual.setOptions(this.#options());
      this.virtual._willUpdate();
      this.#draw();
    });
  }

  /** Draws every row anew: what they show has changed. */
  redraw() {
    for (const row of this.#rows.values()) row.remove();
    this.#rows.clear();
    this.changed();
  }

  #options() {
    const items = this.lines.items;
    return {
      count: items.length,
      getScrollElement: () => this.element,
      getItemKey: (index) => items[index]?.id ?? index,
      estimateSize: () => ROW,
      overscan: OVERSCAN,
      anchorTo: "end",
      followOnAppend: true,
      scrollEndThreshold: NEAR,
      observeElementRect,
      observeElementOffset,
      scrollToFn: elementScroll,
      onChange: () => this.#draw(),
    };
  }

  #draw() {
    const shown = this.virtual.getVirtualItems();
    const keys = new Set(shown.map((item) => item.key));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      if (row.contains(document.activeElement)) this.element.focus({ preventScroll: true });
      row.remove();
      this.#rows.delete(key);
    }
    this.space.style.height = `${this.virtual.getTotalSize()}px`;
    this.body.style.transform = `translateY(${shown[0]?.start ?? 0}px)`;
    let before = null;
    for (const item of shown) {
      const row = this.#rows.get(item.key) ?? this.#make(item);
      row.dataset.index = item.index;
      const next = before ? before.nextSibling : this.body.firstChild;
      if (next !== row) this.body.insertBefore(row, next);
      before = row;
      this.virtual.measureElement(row);
    }
  }

  #make(item) {
    const line = this.lines.items[item.index];
    const row = rowOf(line, { ...this.look, opened: this.#opened.has(line.id) });
    this.#rows.set(item.key, row);
    return row;
  }

  #toggle(event) {
    const row = event.target.closest("[data-open]")?.closest("[data-row]");
    if (!row || getSelection().toString()) return;
    const { id } = row.dataset;
    if (!this.#opened.delete(id)) this.#opened.add(id);
    const line = this.lines.items[Number(row.dataset.index)];
    const fresh = rowOf(line, { ...this.look, opened: this.#opened.has(id) });
    fresh.dataset.index = row.dataset.index;
    this.#rows.set(line.id, fresh);
    row.replaceWith(fresh);
    fresh.querySelector("[data-open]").focus({ preventScroll: true });
    this.virtual.measureElement(fresh);
  }
}
