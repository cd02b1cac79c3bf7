// The page of the log: stored and live lines in one list, filters in the address, nothing lost while it is paused.
import { live } from "../live.js";
import { change, onChange, query } from "../state.js";
import { filters, matching, search } from "./filters.js";
import { page } from "./history.js";
import { Lines, MOST } from "./lines.js";
import { Stream } from "./stream.js";
import { View } from "./view.js";

const PAGE = 200;
const HELD = 2_000;
const TYPING = 350;
const AGAIN = 250;
const HIDDEN = 60_000;

/** Takes the panel over: `place` says by data-base where the service's addresses begin. */
export function start(place) {
  new Panel(place).begin();
}

class Panel {
  #held = [];
  #paused = false;
  #older = null;
  #loading = false;
  #turn = 0;
  #loaded = 0;
  #state = "waiting";
  #reason = "";
  #asked = "";

  constructor(place) {
    const { base } = place.dataset;
    this.place = place;
    this.address = `${base}/api/monitoring/logs`;
    this.lines = new Lines();
    this.view = new View(this.#find("list"), this.lines, { base, ids: query().has("ids") }, () => this.#moved());
    this.stream = new Stream(`${this.address}/stream`, {
      lines: (lines) => this.#take(lines),
      skipped: (count, atLeast) => this.#take([{ gap: { count, atLeast } }]),
      state: (name, reason = "") => this.#become(name, reason),
    });
  }

  begin() {
    this.#find("pause").addEventListener("click", () => this.#pause(!this.#paused));
    this.#find("newest").addEventListener("click", () => this.#toNewest());
    this.#find("ids").addEventListener("click", () => change({ ids: query().has("ids") ? null : "1" }));
    this.place.addEventListener("submit", (event) => event.preventDefault());
    this.place.addEventListener("input", (event) => this.#typed(event.target));
    document.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("visibilitychange", () => this.#looked());
    onChange(() => this.#changed());
    this.#changed();
  }

  // The address has changed: what is on the page is sifted at once, and asked for anew.
  #changed() {
    this.#mark();
    const asked = `${search()} ${live()}`;
    if (asked === this.#asked) return;
    this.#asked = asked;
    this.lines.keep(matching());
    this.#held = [];
    this.view.changed();
    this.#pause(false);
    this.#begin(++this.#turn);
  }

  // The tail first and then what is stored: what comes in between is in both, and shown once.
  #begin(turn) {
    if (!live()) {
      this.stream.close();
      this.#become("fixed", "");
      return this.#load(turn);
    }
    this.stream.begin(filters(), () => this.#load(turn));
    // A tail that cannot be had leaves the history.
    setTimeout(() => turn === this.#turn && this.#state !== "live" && this.#load(turn), 2000);
  }

  async #load(turn) {
    const answer = await this.#page(search());
    if (turn !== this.#turn || !answer) return;
    // A tail that came late: who reads already is not moved, and what lies between waits like what is new.
    if (this.#loaded === turn && (this.#paused || !this.view.atEnd)) {
      this.#held.unshift(...this.lines.unknown(answer.lines));
      return this.#mark();
    }
    this.#loaded = turn;
    const since = this.lines.items;
    const newest = answer.lines.at(-1)?.time ?? "";
    this.lines.clear();
    this.lines.add(answer.lines);
    this.lines.add(since.filter((line) => line.gap || line.time >= newest));
    this.#older = answer.older;
    this.#said(answer);
    this.view.changed();
    requestAnimationFrame(() => this.view.toEnd());
    this.#onward(answer);
  }

  // A search that had no time to find a screenful goes on: there may be nothing to scroll, which would ask for more.
  #onward({ search: { complete }, lines, older }) {
    const turn = this.#turn;
    if (complete || lines.length >= PAGE) return;
    setTimeout(() => turn === this.#turn && this.#older === older && this.view.atStart && this.#more(), AGAIN);
  }

  async #more() {
    if (this.#loading || !this.#older) return;
    this.#loading = true;
    const turn = this.#turn;
    const before = this.#older;
    const wanted = search();
    wanted.set("before", before);
    const answer = await this.#page(wanted);
    this.#loading = false;
    if (turn !== this.#turn || !answer) return;
    this.lines.addOlder(answer.lines);
    this.#older = answer.older;
    this.#said(answer);
    this.view.changed();
    if (answer.older !== before) this.#onward(answer);
  }

  async #page(wanted) {
    wanted.set("limit", PAGE);
    try {
      const answer = await page(this.address, wanted);
      this.#problem("");
      return answer;
    } catch (error) {
      this.#problem(error.message);
      return null;
    }
  }

  #take(lines) {
    if (this.#paused || !this.view.atEnd) {
      this.#held.push(...lines);
      // More than a reader will look through waits with the service: the tail is left, and taken up from here.
      if (this.#held.length > HELD) this.stream.close();
    } else {
      this.#show(lines);
    }
    this.#mark();
  }

  #show(lines) {
    for (const line of lines) {
      if (line.gap) this.lines.addGap(line.gap);
      else this.lines.add([line]);
    }
    const before = this.lines.items.length;
    this.lines.trim();
    if (before > MOST) this.#older = this.lines.oldest;
    this.#find("empty").hidden = this.lines.items.length > 0;
    this.view.changed();
  }

  #pause(paused) {
    this.#paused = paused;
    if (!paused) this.#release();
    this.#mark();
  }

  #release() {
    this.#show(this.#held.splice(0));
    if (live() && this.#state !== "waiting") this.stream.resume();
  }

  #toNewest() {
    this.#pause(false);
    this.view.changed();
    requestAnimationFrame(() => this.view.toEnd());
  }

  #moved() {
    if (this.view.atStart) this.#more();
    if (this.view.atEnd && this.#held.length && !this.#paused) this.#release();
    this.#mark();
  }

  // Nobody looks: the tail is left, and taken up again where it was.
  #looked() {
    clearTimeout(this.away);
    if (document.hidden) this.away = setTimeout(() => this.stream.close(), HIDDEN);
    else if (live() && this.#held.length <= HELD) this.stream.resume();
  }

  #typed(field) {
    clearTimeout(this.typing);
    const { name, value } = field;
    if (!name) return;
    if (field.validity && !field.validity.valid) return;
    const act = () => change({ [name]: value.trim() || null }, { step: field.tagName === "SELECT" });
    if (field.tagName === "SELECT") act();
    else this.typing = setTimeout(act, TYPING);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target.matches("[data-log] input")) return event.target.blur();
    if (event.target.closest("input, textarea, select, dialog[open]")) return;
    if (event.key === "/") this.#find("text").focus();
    else if (event.key === "p") this.#pause(!this.#paused);
    else if (event.key === "End" || event.key === "G") this.#toNewest();
    else return;
    event.preventDefault();
  }

  #become(name, reason) {
    this.#state = name;
    this.#reason = reason;
    if (name === "live") this.#problem("");
    this.#mark();
  }

  #said(answer) {
    // Of lines that go on coming a count would be old at once; what limits the search is said in any case.
    const counted = !live() || filters().size > 0 || answer.reach;
    this.#find("sentence").textContent = counted ? answer.sentence : answer.search.note;
    const empty = this.lines.items.length === 0;
    this.#find("empty").hidden = !empty;
    this.#find("empty").textContent = empty ? [answer.sentence, answer.missing?.remedy].filter(Boolean).join(" ") : "";
    const lost = this.#find("lost");
    lost.hidden = !answer.dropped;
    lost.textContent = `${answer.dropped.toLocaleString()} lines of this window were lost before they were stored.`;
  }

  #problem(text) {
    this.#find("problem").hidden = !text;
    this.#find("problem").lastElementChild.textContent = text;
  }

  // What the controls say: how it stands with the tail, what waits, what is asked for.
  #mark() {
    const waiting = this.#held.length;
    const words = {
      live: this.#paused ? "Paused" : "Live",
      waiting: this.#reason || "Connecting again; nothing will be missing",
      away: this.#reason || "The store is away; the lines come when it is back",
      fixed: "A fixed window",
    };
    this.place.dataset.state = this.#paused ? "paused" : this.#state;
    this.#find("state").textContent = words[this.#state];
    const pause = this.#find("pause");
    pause.hidden = this.#state === "fixed";
    pause.setAttribute("aria-pressed", String(this.#paused));
    pause.textContent = this.#paused ? "Go on" : "Pause";
    const newest = this.#find("newest");
    newest.hidden = !waiting && this.view.atEnd;
    newest.textContent = waiting ? `${waiting > HELD ? "More than " : ""}${Math.min(waiting, HELD).toLocaleString()} new line${waiting === 1 ? "" : "s"}` : "To the newest";
    this.#showAddress();
  }

  #showAddress() {
    const now = query();
    for (const field of this.place.querySelectorAll("[name]")) {
      if (field !== document.activeElement) field.value = now.get(field.name) ?? "";
    }
    const ids = now.has("ids");
    this.#find("ids").setAttribute("aria-pressed", String(ids));
    if (this.view.look.ids !== ids) {
      this.view.look.ids = ids;
      this.view.redraw();
    }
    for (const link of this.place.querySelectorAll("[data-export]")) {
      const wanted = search();
      wanted.set("format", link.dataset.export);
      link.href = `${this.address}/export?${wanted}`;
    }
  }

  #find(name) {
    return this.place.querySelector(`[data-part="${name}"]`);
  }
}
