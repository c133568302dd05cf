// How times, spans of time and statuses are written.

/** A shape beside each colour, so that nobody has to tell colours apart. */
export const MARKS = { pending: "○", running: "▶", succeeded: "✓", failed: "✕", cancelled: "⊘" };

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds <= 0) return "0 s";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  if (seconds < 120) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 48 * 3600) return `${Number((seconds / 3600).toPrecision(3))} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function bytes(count) {
  if (!count) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
  const amount = count / 1024 ** step;
  return `${step && amount < 1000 ? amount.toPrecision(3) : Math.round(amount)} ${units[step]}`;
}

export const count = (number, noun) => `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;

/** The moment in the viewer's zone; of another day with its date. `utc` says it for the title. */
export function moment(at, now = Date.now() / 1000) {
  if (!at) return "";
  const when = new Date(at * 1000);
  const isToday = when.toDateString() === new Date(now * 1000).toDateString();
  return isToday ? when.toLocaleTimeString() : when.toLocaleString();
}
export const utc = (at) => (at ? `${new Date(at * 1000).toISOString().replace("T", " ").replace("Z", "")} UTC` : "");

/** What can be asked of a Run that stands so. */
export const WAYS = { running: ["cancel"], pending: ["cancel"], failed: ["retry"], cancelled: ["retry"] };

export const engineOf = (owner) =>
  owner ? `engine ${owner.pid}${owner.here ? "" : " on another host"}${owner.lives ? "" : ", which has ended"}` : "no engine";

/** What an open Run of which nothing runs waits for, as the end of a sentence. */
export function waitsFor(run) {
  const what = run.waiting_for ?? "";
  if (what === "code") return "code that fits it";
  if (what === "sleep") return "a time";
  if (what.startsWith("signal")) return `the ${what}`;
  if (what.startsWith("queue ")) return `its turn in the ${what}`;
  if (what.startsWith("limit ")) return `a place under the ${what}`;
  if (what === "disk") return "the disk: it is full, or can't be written";
  if (what === "lock") return "the Journal: another process keeps it locked";
  if (what) return what;
  return run.owner?.lives ? "a place to run" : "an engine";
}
