// Times are sent in UTC; here they become the reader's own, with UTC on hover.

const FORMS = {
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  minute: { hour: "2-digit", minute: "2-digit" },
  day: { dateStyle: "medium", timeStyle: "short" },
};

/** Writes every `<time datetime data-form>` below `root` in the reader's zone. */
export function localise(root) {
  for (const element of root.querySelectorAll("time[data-form]")) {
    const time = new Date(element.dateTime);
    if (Number.isNaN(time.getTime())) continue;
    element.textContent = new Intl.DateTimeFormat(undefined, FORMS[element.dataset.form]).format(time);
    element.title = time.toISOString().replace("T", " ").replace(/(\.\d+)?Z$/, " UTC");
  }
}
