// All Runs, newest first: filtered, paged by cursor, told of as they change.

import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import { RunLink, Status, Time, Trouble } from "./parts.jsx";
import { span, WAYS } from "./words.js";

const PAGE = 50;
const TYPING_MS = 150;
const AGAIN_MS = 250;
const STATUSES = ["", "running", "succeeded", "failed", "cancelled"];

export function List({ lives }) {
  const [filter, setFilter] = useState({ status: "", workflow: "", id: "" });
  const [pages, setPages] = useState({ runs: [], next: null });
  const [trouble, setTrouble] = useState("");
  const [chosen, choose] = useState(new Set());
  const asked = useRef(0);

  const asking = (after) => {
    const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
    return { limit: PAGE, ...given, ...(after && { after }) };
  };

  const load = async () => {
    const turn = ++asked.current;
    try {
      const page = await api.runs(asking(null));
      if (turn === asked.current) setPages(page), setTrouble("");
    } catch (error) {
      setTrouble(error.message);
    }
  };

  const more = async () => {
    const page = await api.runs(asking(pages.next));
    setPages({ runs: [...pages.runs, ...page.runs], next: page.next });
  };

  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const due = setTimeout(load, pages.runs.length ? TYPING_MS : 0);
    return () => clearTimeout(due);
  }, [filter]);
  useEffect(() => {
    let due = 0;
    const changed = () => (due ||= setTimeout(() => ((due = 0), latest.current()), AGAIN_MS));
    const end = api.followList(changed, lives);
    return () => (clearTimeout(due), end());
  }, []);

  const mark = (id, isChosen) => {
    const next = new Set(chosen);
    next[isChosen ? "add" : "delete"](id);
    choose(next);
  };
  const shown = pages.runs.filter((run) => chosen.has(run.id));
  const act = async (verb) => {
    const done = shown.filter((run) => WAYS[run.status]?.includes(verb));
    const failures = (await Promise.allSettled(done.map((run) => api.act(run.id, verb)))).filter((one) => one.reason);
    choose(new Set());
    await load();
    if (failures.length) setTrouble(`${failures.length} of ${done.length}: ${failures[0].reason.message}`);
  };
  const verbs = [...new Set(shown.flatMap((run) => WAYS[run.status] ?? []))];

  return (
    <main>
      <h1>Runs</h1>
      <form class="filter" onSubmit={(event) => event.preventDefault()}>
        <label>
          Status{" "}
          <select value={filter.status} onChange={(e) => setFilter({ ...filter, status: e.target.value })}>
            {STATUSES.map((status) => (
              <option value={status}>{status || "all"}</option>
            ))}
          </select>
        </label>
        <label>
          Run{" "}
          <input
            id="search" type="search" value={filter.id} placeholder="id, or its beginning"
            onInput={(e) => setFilter({ ...filter, id: e.target.value.trim() })}
          />
        </label>
        <label>
          Workflow{" "}
          <input
            type="search" value={filter.workflow} placeholder="module:name"
            onInput={(e) => setFilter({ ...filter, workflow: e.target.value.trim() })}
          />
        </label>
      </form>
      <Trouble text={trouble} />
      {shown.length > 0 && (
        <p class="facts">
          {shown.length} chosen {verbs.map((verb) => <button onClick={() => act(verb)}>{verb}</button>)}
          <button onClick={() => choose(new Set())}>Choose none</button>
        </p>
      )}
      <table class="runs">
        <thead>
          <tr><th><span class="spoken">Chosen</span></th><th>Status</th><th>Run</th><th>Workflow</th><th>Started</th><th class="number">Took</th></tr>
        </thead>
        <tbody>
          {pages.runs.map((run) => (
            <tr key={run.id}>
              <td>
                <input
                  type="checkbox" aria-label={`Choose ${run.id}`} checked={chosen.has(run.id)}
                  onChange={(event) => mark(run.id, event.target.checked)}
                />
              </td>
              <td><Status status={run.status} note={run.waiting_for} /></td>
              <td><RunLink id={run.id} /></td>
              <td>{run.function}</td>
              <td><Time at={run.started_at} /></td>
              <td class="number">{run.ended_at ? span(run.ended_at - run.started_at) : ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {!pages.runs.length && !trouble && <p class="quiet">No Run is here. Start one: <code>weftrun run app.py</code>.</p>}
      {pages.next && <button onClick={more}>Show more</button>}
    </main>
  );
}
