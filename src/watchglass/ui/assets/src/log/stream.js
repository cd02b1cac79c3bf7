// The live tail: one stream a tab, resumed where it was left, so that nothing is missed and nothing comes twice.

const PAUSES = [1000, 2000, 5000, 10_000, 30_000];

/** Calls `on.lines(lines)`, `on.skipped(count, atLeast)`, `on.state(name, reason)`. The states: live, waiting, away, ended. */
export class Stream {
  #source = null;
  #timer = 0;
  #failures = 0;
  #filters = new URLSearchParams();
  #position = null;

  constructor(address, on) {
    this.address = address;
    this.on = on;
  }

  get open() {
    return this.#source !== null || this.#timer !== 0;
  }

  /** Begins now; `hello` is called once, when the service follows first, before the first line. */
  begin(filters, hello = () => {}) {
    this.close();
    this.#filters = filters;
    this.#position = null;
    this.#connect(hello);
  }

  /** Goes on from where it was closed. */
  resume() {
    if (!this.open) this.#connect(() => {});
  }

  /** Stops, and remembers where. */
  close() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#source?.close();
    this.#source = null;
  }

  #connect(hello) {
    const query = new URLSearchParams(this.#filters);
    if (this.#position) query.set("last_event_id", this.#position);
    const source = new EventSource(`${this.address}?${query}`);
    this.#source = source;
    const hear = (name, act) =>
      source.addEventListener(name, (event) => {
        this.#position = event.lastEventId || this.#position;
        act(JSON.parse(event.data));
      });
    hear("hello", () => {
      this.#failures = 0;
      this.on.state("live");
      const begun = hello;
      hello = () => {};
      begun();
    });
    hear("lines", ({ lines }) => this.on.lines(lines));
    hear("skipped", ({ count, at_least }) => this.on.skipped(count, at_least));
    hear("unavailable", ({ reason }) => this.on.state("away", reason));
    hear("available", () => this.on.state("live"));
    hear("end", ({ reason }) => this.#again(hello, reason));
    source.onerror = () => this.#again(hello);
  }

  // The browser's own reconnecting gives up at the first answer that is no stream: a restarting service gives some.
  #again(hello, reason) {
    this.close();
    this.on.state("waiting", reason);
    const pause = PAUSES[Math.min(this.#failures++, PAUSES.length - 1)];
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#connect(hello);
    }, pause);
  }
}
