// What lines are wanted: the address says it, the service decides it, and the page acts on it at once.
import { query } from "../state.js";

const NAMES = ["level", "service", "instance", "logger", "text", "trace_id"];
const WINDOW = ["range", "start", "end"];
const LEAST = { TRACE: 1, DEBUG: 5, INFO: 9, WARNING: 13, ERROR: 17, CRITICAL: 21 };

const chosen = (names) => names.flatMap((name) => (query().get(name) ? [[name, query().get(name)]] : []));

/** The filters of the address, for the live tail. */
export const filters = () => new URLSearchParams(chosen(NAMES));

/** The filters and the window of the address, for the history. */
export const search = () => new URLSearchParams(chosen([...WINDOW, ...NAMES]));

/** Whether a line is one that the filters want. */
export function matching(wanted = filters()) {
  const text = wanted.get("text")?.toLowerCase();
  const same = ["service", "instance", "logger", "trace_id"].filter((name) => wanted.has(name));
  const least = LEAST[wanted.get("level")] ?? 0;
  return (line) =>
    line.severity >= least &&
    same.every((name) => line[name] === wanted.get(name)) &&
    (!text || line.message.toLowerCase().includes(text) || (line.exception ?? "").toLowerCase().includes(text));
}
