// The REST API of the gateway, and its streams. Everything the page shows comes from here.

const ROOT = "/api/v1";
const AGAIN_MS = 1000;

/** What the server said was wrong (RFC 9457), or that it did not answer; `status` is 0 then. */
export class Problem extends Error {
  constructor(text, status = 0) {
    super(text);
    this.status = status;
  }
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(ROOT + path, options);
  } catch {
    throw new Problem("The server does not answer.");
  }
  const problem = answer.ok ? null : await answer.json().catch(() => ({}));
  const isLocked = answer.status === 401 || (answer.status === 403 && !problem.type); // the door of `weftrun ui` speaks no JSON
  dispatchEvent(new CustomEvent("locked", { detail: isLocked ? answer.status : 0 }));
  if (!answer.ok && answer.status !== 424) {
    throw new Problem(problem.detail || `The server answered ${answer.status}.`, answer.status);
  }
  if (problem) return problem;
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

/** Hand in a token, which the browser keeps from then on. */
export async function letIn(token) {
  const answer = await fetch("/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
  if (!answer.ok) throw new Problem((await answer.json()).detail, answer.status);
}

const of = (id) => `/runs/${encodeURIComponent(id)}`;
const send = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const runs = (filter) => ask(`/runs?${new URLSearchParams(filter)}`);
export const view = (id, parts, step) =>
  ask(`${of(id)}/view?nodes=2100&spans=600&lines=600${parts.map((part) => `&part=${part}`).join("")}${step ? `&step=${encodeURIComponent(step)}` : ""}`);
export const functions = () => ask("/functions");
export const now = () => ask("/now");
export const tenants = () => ask("/tenants");
export const queues = () => ask("/queues");
export const schedules = () => ask("/schedules");
export const signal = (id, name, value) => send(`${of(id)}/signals`, { name, value });
export const fork = (id, step, force) => send(`${of(id)}/fork`, { step, force });
export const act = (id, verb) => ask(`${of(id)}/${verb}`, { method: "POST" });
export const bulk = (action, filter, dry_run) => send("/runs/bulk", { action, ...filter, dry_run });

/**
 * Follow a stream of events, over new connections where one is lost.
 * `heard(name, data)` is called for each; `lives(flag)` when the connection is there, or is lost and tried again.
 * Returns what ends it.
 */
export function follow(path, names, heard, lives) {
  let source;
  let due = 0;
  const open = () => {
    source = new EventSource(ROOT + path());
    source.onopen = () => lives(true);
    source.onerror = () => {
      lives(false);
      source.close();
      ask("/runs?limit=1").catch(() => {}); // it tells whether the page is let in at all
      clearTimeout(due);
      due = setTimeout(open, AGAIN_MS);
    };
    for (const name of names) {
      source.addEventListener(name, (event) => {
        if (name === "gone") source.close();
        heard(name, JSON.parse(event.data));
      });
    }
  };
  open();
  return () => (clearTimeout(due), source.close());
}

export const watchRun = (id, rows, heard, lives) => follow(() => `${of(id)}/pulse?after=${rows()}`, ["pulse", "gone"], heard, lives);
export const followList = (heard, lives) => follow(() => "/events", ["run"], heard, lives);
