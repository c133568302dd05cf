// The REST API of the gateway, and its streams. Everything the page shows comes from here.

const ROOT = "/api/v1";

/** What the server said was wrong (RFC 9457), or that it did not answer. */
export class Problem extends Error {}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(ROOT + path, options);
  } catch {
    throw new Problem("The server does not answer.");
  }
  if (!answer.ok && answer.status !== 424) {
    const problem = await answer.json().catch(() => ({}));
    throw new Problem(problem.detail || `The server answered ${answer.status}.`);
  }
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

const of = (id) => `/runs/${encodeURIComponent(id)}`;

export const runs = (filter) => ask(`/runs?${new URLSearchParams(filter)}`);
export const view = (id) => ask(`${of(id)}/view?nodes=2100&spans=1500`);
export const functions = () => ask("/functions");
export const now = () => ask("/now");
export const signal = (id, name, value) =>
  ask(`${of(id)}/signals`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name, value }),
  });
export const act = (id, verb) => ask(`${of(id)}/${verb}`, { method: "POST" });

/**
 * Follow a stream of events.
 * `heard(name, data)` is called for each; `lives(flag)` when the connection is there, or is lost and tried again.
 * Returns what ends it.
 */
export function follow(path, names, heard, lives) {
  const source = new EventSource(ROOT + path);
  source.onopen = () => lives(true);
  source.onerror = () => lives(false);
  for (const name of names) {
    source.addEventListener(name, (event) => {
      if (name === "end") source.close();
      heard(name, JSON.parse(event.data));
    });
  }
  return () => source.close();
}

export const followRun = (id, heard, lives) =>
  follow(`${of(id)}/events`, ["status", "step", "progress", "log", "end"], heard, lives);
export const followList = (heard, lives) => follow("/events", ["run"], heard, lives);
