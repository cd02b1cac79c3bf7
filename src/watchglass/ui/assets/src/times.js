// Times are sent in UTC; here they become the reader's own, with UTC on hover.

const MINUTE = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const CLOCK = { ...MINUTE, second: "2-digit" };
const DAY = { day: "numeric", month: "short" };
const FORMS = { clock: CLOCK, minute: { ...DAY, ...MINUTE }, day: { ...DAY, ...CLOCK } };

/** A time of the day, in the reader's zone, to the second. */
export const clock = (time) => new Intl.DateTimeFormat(undefined, CLOCK).format(time);

/** A span of time in the reader's zone. */
export const span = (from, to) => new Intl.DateTimeFormat(undefined, FORMS.day).formatRange(from, to);

/** A moment in the reader's zone, and in UTC. */
export function moment(time) {
  const utc = new Date(time).toISOString().replace("T", " ").replace(/(\.\d+)?Z$/, " UTC");
  return { local: new Intl.DateTimeFormat(undefined, FORMS.day).format(time), utc };
}

/** Writes every `<time datetime data-form>` below `root` in the reader's zone. */
export function localise(root) {
  for (const element of root.querySelectorAll("time[data-form]")) {
    const time = new Date(element.dateTime);
    if (Number.isNaN(time.getTime())) continue;
    element.textContent = new Intl.DateTimeFormat(undefined, FORMS[element.dataset.form]).format(time);
    element.title = moment(time).utc;
  }
}
