// One log line as a row. Whatever a service logged is text here, never markup, and what cannot be seen is shown as a sign.
import { moment } from "../times.js";

const FINDINGS = { WARNING: "warning", ERROR: "critical", CRITICAL: "critical" };
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" };
const today = new Intl.DateTimeFormat(undefined, CLOCK);
const earlier = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", ...CLOCK });
const INLINE_FIELDS = 4;

// Control characters and what turns or hides text, spelled as programs spell them: hardly a font has signs for them.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Text with every character to be seen; line ends stay where `lines`. */
export function visible(text, lines = false) {
  return text.replace(UNSEEN, (sign) => {
    const code = sign.codePointAt(0);
    if (lines && (sign === "\n" || sign === "\t")) return sign;
    if (sign in ESCAPES) return ESCAPES[sign];
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** The row of a line. `look`: base of addresses, whether ids are shown, whether it is opened. */
export function rowOf(line, look) {
  if (line.gap) return gap(line);
  const finding = FINDINGS[line.level] ?? (line.severity >= 17 ? "critical" : "");
  const row = make("div", `line${finding ? ` is-${finding}` : ""}`);
  row.setAttribute("role", "listitem");
  row.dataset.row = "";
  row.dataset.id = line.id;
  row.tabIndex = -1;
  row.append(head(line, look));
  if (look.opened) row.append(details(line, look));
  return row;
}

// What the service cannot count, because the tail was away from the store for long, it gives as at least none.
function gap({ gap: { count, atLeast } }) {
  const some = `${atLeast ? "At least " : ""}${count.toLocaleString()} line${count === 1 ? "" : "s"} skipped: more came than could be shown.`;
  const row = make("div", "line gap", `${count ? some : "Lines may be missing here: the live tail was away for long."} The history has them.`);
  row.setAttribute("role", "listitem");
  return row;
}

function head(line, look) {
  const button = make("button", "says");
  button.type = "button";
  button.dataset.open = "";
  button.setAttribute("aria-expanded", String(look.opened));
  const time = make("time", "", stamp(line.time));
  time.dateTime = line.time;
  time.title = moment(new Date(line.time)).utc;
  const message = make("span", "message", visible(line.message.slice(0, 2000)) || "(empty)");
  button.append(time, make("span", "level", visible(line.level)), make("span", "logger", visible(line.logger)), message);
  for (const [name, value] of Object.entries(line.fields).slice(0, INLINE_FIELDS)) {
    message.append(make("span", "field", ` ${visible(name)}=${visible(written(value)).slice(0, 120)}`));
  }
  if (line.exception) message.append(make("span", "field", ` ${visible(lastOf(line.exception)).slice(0, 300)}`));
  const whole = make("div", "head-of-line");
  whole.append(button);
  if (line.trace_id) whole.append(trace(line, look));
  return whole;
}

// The trace id filters the log; the sign beside it opens the trace.
function trace(line, look) {
  const place = make("span", "of-trace");
  const only = make("a", "mono", look.ids ? line.trace_id : "");
  only.href = `?trace_id=${line.trace_id}`;
  only.dataset.state = `trace_id=${line.trace_id}`;
  only.setAttribute("aria-label", `Only lines of trace ${line.trace_id}`);
  only.title = "Only lines of this trace";
  if (!look.ids) only.append(icon("filter"));
  const opens = make("a", line.trace_kept ? "" : "unsure");
  opens.href = `${look.base}/ui/monitoring/traces/${line.trace_id}`;
  opens.setAttribute("aria-label", `Trace ${line.trace_id}`);
  opens.title = line.trace_kept ? "Open the trace" : "Open the trace, if it was kept";
  opens.append(icon("waterfall"));
  place.append(only, opens);
  return place;
}

function details(line, look) {
  const place = make("div", "details");
  place.append(make("pre", "", visible(line.message, true)));
  if (line.exception) place.append(make("pre", "stack-text", visible(line.exception, true)));
  const list = make("dl", "");
  const facts = { ...line.fields };
  const own = { time: line.time, logger: line.logger, service: line.service, instance: line.instance, host: line.host };
  const ids = { trace_id: line.trace_id, span_id: line.span_id };
  for (const [name, value] of [...Object.entries(facts), ...Object.entries(own), ...Object.entries(ids)]) {
    if (value === null || value === "") continue;
    list.append(make("dt", "", visible(name)), make("dd", "mono", visible(written(value), true)));
  }
  const copy = make("button", "control");
  copy.type = "button";
  copy.dataset.copy = `json-${line.id}`;
  const word = make("span", "", "Copy");
  word.dataset.word = "";
  word.setAttribute("aria-live", "polite");
  copy.append(icon("copy"), word, " as JSON");
  const json = make("pre", "", JSON.stringify(line, null, 2));
  json.hidden = true;
  json.id = `json-${line.id}`;
  place.append(list, copy, json);
  return place;
}

const lastOf = (exception) => exception.trimEnd().split("\n").at(-1);
const written = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function stamp(time) {
  const at = new Date(time);
  return at.toDateString() === new Date().toDateString() ? today.format(at) : earlier.format(at);
}

function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

function icon(name) {
  const element = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  element.setAttribute("class", "icon");
  element.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  element.append(use);
  return element;
}
