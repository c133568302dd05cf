// How times, spans of time and statuses are written.

/** A mark beside each colour, so that nobody has to tell colours apart. */
export const MARKS = { pending: "○", running: "▶", succeeded: "✓", failed: "✕", cancelled: "⊘" };

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds <= 0) return "0 s";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toPrecision(3)} ms`;
  if (seconds < 120) return `${seconds.toPrecision(3)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${(seconds / 3600).toPrecision(3)} h`;
}

export function bytes(count) {
  if (!count) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
  const amount = count / 1024 ** step;
  return `${step && amount < 1000 ? amount.toPrecision(3) : Math.round(amount)} ${units[step]}`;
}

/** The moment in the viewer's zone; `utc` says it for the title. */
export const moment = (at) => (at ? new Date(at * 1000).toLocaleString() : "");
export const utc = (at) => (at ? new Date(at * 1000).toISOString() : "");

/** What can be asked of a Run that stands so. */
export const WAYS = { running: ["cancel"], failed: ["retry"], cancelled: ["retry"] };
