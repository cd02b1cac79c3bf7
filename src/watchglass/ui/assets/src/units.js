// Durations as api/words.py writes them: two significant digits, whole from 100 on, and the unit that fits.

const UNITS = [
  ["µs", 1e-6, 9.95e-4],
  ["ms", 1e-3, 0.995],
  ["s", 1, 99.5],
  ["min", 60, 5970],
  ["h", 3600, 172800],
  ["d", 86400, Infinity],
];

/** A duration in seconds; a dash where there is none. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds === 0) return "0 s";
  const [unit, size] = UNITS.find(([, , below]) => Math.abs(seconds) < below);
  return `${number(seconds / size)} ${unit}`;
}

function number(value) {
  if (Math.abs(value) >= 99.5) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(2)));
}
