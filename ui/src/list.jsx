// All Runs, newest first: filtered, paged by cursor, told of as they change.

import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import { Status, Time, Trouble } from "./parts.jsx";
import { span } from "./words.js";

const PAGE = 50;
const STATUSES = ["", "running", "succeeded", "failed", "cancelled"];

export function List({ lives }) {
  const [filter, setFilter] = useState({ status: "", workflow: "" });
  const [pages, setPages] = useState({ runs: [], next: null });
  const [trouble, setTrouble] = useState("");
  const asked = useRef(0);

  const asking = (after) => {
    const query = { limit: PAGE, ...(filter.status && { status: filter.status }) };
    return { ...query, ...(filter.workflow && { workflow: filter.workflow }), ...(after && { after }) };
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

  useEffect(() => {
    load();
    let due = 0;
    const end = api.followList(() => (due ||= setTimeout(() => ((due = 0), load()), 250)), lives);
    return () => (clearTimeout(due), end());
  }, [filter]);

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
          Workflow{" "}
          <input
            id="search" type="search" value={filter.workflow} placeholder="module:name"
            onChange={(e) => setFilter({ ...filter, workflow: e.target.value.trim() })}
          />
        </label>
      </form>
      <Trouble text={trouble} />
      <table class="runs">
        <thead>
          <tr><th>Status</th><th>Run</th><th>Workflow</th><th>Started</th><th class="number">Took</th></tr>
        </thead>
        <tbody>
          {pages.runs.map((run) => (
            <tr key={run.id}>
              <td><Status status={run.status} note={run.waiting_for} /></td>
              <td><a href={`#/run/${encodeURIComponent(run.id)}`}>{run.id}</a></td>
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
