// The log lines that a page holds: the oldest first, each once, at most so many.

/** Lines in memory; more push the oldest out, which the history has. */
export const MOST = 10_000;

/** A line's place among all, as the history's cursors spell it. */
export function placeOf(line) {
  const second = Date.parse(`${line.time.slice(0, 19)}Z`);
  return `${second * 1000 + Number(line.time.slice(20, 26))}_${line.id.replaceAll("-", "_")}`;
}

export class Lines {
  items = [];
  #ids = new Set();
  #gaps = 0;

  /** Appends what is new of `lines`; returns how many that were. */
  add(lines) {
    const fresh = this.#fresh(lines);
    this.items.push(...fresh);
    return fresh.length;
  }

  /** Puts what is new of `lines`, the oldest first, before all others. */
  addOlder(lines) {
    this.items.unshift(...this.#fresh(lines));
  }

  /** Says that lines are missing here, so many or more: as a line of its own, whose id changes with what it says. */
  addGap({ count, atLeast }) {
    const before = this.items.at(-1)?.gap && this.items.pop().gap;
    const gap = before ? { count: before.count + count, atLeast: before.atLeast || atLeast } : { count, atLeast };
    this.items.push({ id: `gap-${++this.#gaps}`, gap });
  }

  /** Lets the oldest go beyond `most`. */
  trim(most = MOST) {
    for (const line of this.items.splice(0, Math.max(0, this.items.length - most))) this.#ids.delete(line.id);
  }

  /** Keeps what `wanted` says, until the service has answered what else there is. */
  keep(wanted) {
    this.items = this.items.filter((line) => !line.gap && wanted(line));
    this.#ids = new Set(this.items.map((line) => line.id));
  }

  clear() {
    this.items = [];
    this.#ids.clear();
  }

  /** The cursor from which the history goes on to older lines; null without lines. */
  get oldest() {
    const first = this.items.find((line) => !line.gap);
    return first ? placeOf(first) : null;
  }

  /** Those of `lines` that are not held. */
  unknown(lines) {
    return lines.filter((line) => !this.#ids.has(line.id));
  }

  #fresh(lines) {
    const fresh = this.unknown(lines);
    for (const line of fresh) this.#ids.add(line.id);
    return fresh;
  }
}
