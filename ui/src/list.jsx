// All Runs, newest first: filtered, paged by cursor, told of as they change.

import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import { Card, RunLink, Status, Time, Trouble } from "./parts.jsx";
import { count, span, waitsFor, WAYS } from "./words.js";

const PAGE = 50;
const TYPING_MS = 150;
const AGAIN_MS = 50;
const PAUSES = 20; // times as long as a look took, so that looking costs the server little
const STATUSES = ["", "running", "pending", "succeeded", "failed", "cancelled"];
const TIMES = [["", "any time"], ["900", "the last 15 minutes"], ["3600", "the last hour"], ["86400", "the last day"], ["604800", "the last week"]];
const EMPTY = { status: "", workflow: "", id: "", text: "", tenant: "", within: "" };

/** What the API takes for these filters. */
function asked(filter) {
  const { within, ...rest } = filter;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value));
  return within ? { ...given, since: Math.floor(Date.now() / 1000 - Number(within)) } : given;
}

/** The list, loaded anew when the filter changes or a Run does. */
function useRuns(filter, lives) {
  const [pages, setPages] = useState({ runs: [], next: null, isRead: false });
  const [trouble, setTrouble] = useState("");
  const turn = useRef(0);
  const latest = useRef(null);
  const pause = useRef(AGAIN_MS);
  const length = useRef(PAGE);
  const load = async () => {
    const mine = ++turn.current;
    const began = performance.now();
    try {
      const page = await api.runs({ limit: Math.min(Math.max(length.current, PAGE), 500), ...asked(filter) });
      if (mine === turn.current) setPages((old) => joined(old, page)), setTrouble("");
    } catch (error) {
      if (mine === turn.current) setTrouble(error.message);
    }
    pause.current = Math.max(AGAIN_MS, PAUSES * (performance.now() - began));
  };
  const more = async () => {
    const mine = turn.current;
    const page = await api.runs({ limit: PAGE, ...asked(filter), after: pages.next }).catch((error) => setTrouble(error.message));
    if (!page || mine !== turn.current) return;
    length.current = pages.runs.length + page.runs.length;
    setPages({ runs: [...pages.runs, ...page.runs], next: page.next, isRead: true });
  };
  latest.current = load;
  useEffect(() => {
    length.current = PAGE;
    const due = setTimeout(() => (setPages({ runs: [], next: null, isRead: false }), load()), pages.isRead ? TYPING_MS : 0);
    return () => clearTimeout(due);
  }, [JSON.stringify(filter)]);
  useEffect(() => {
    let due = 0;
    const changed = () => (due ||= setTimeout(() => ((due = 0), latest.current()), pause.current));
    const end = api.followList(changed, lives);
    return () => (clearTimeout(due), end());
  }, []);
  return { ...pages, trouble, more, load, fail: setTrouble };
}

/** The tenants that somebody may choose among: none, where they are one themselves. */
function useTenants() {
  const [names, set] = useState([]);
  useEffect(() => {
    api.tenants().then(({ own, tenants }) => set(own ? [] : tenants.map(({ name }) => name).filter(Boolean)), () => {});
  }, []);
  return names;
}

/** A first page that was read again, with those of the later pages that were there. */
function joined(old, page) {
  if (old.runs.length <= page.runs.length) return { ...page, isRead: true };
  const read = new Set(page.runs.map((run) => run.id));
  const last = page.runs.at(-1);
  const later = old.runs.filter((run) => !read.has(run.id) && last && run.started_at <= last.started_at);
  return { runs: [...page.runs, ...later], next: later.length ? old.next : page.next, isRead: true };
}

export function List({ query, lives }) {
  const filter = { ...EMPTY, ...Object.fromEntries(Object.entries(query).filter(([name]) => name in EMPTY)) };
  const { runs, next, isRead, trouble, more, load, fail } = useRuns(filter, lives);
  const [chosen, choose] = useState(new Set());
  const tenants = useTenants();
  const narrow = (change) => {
    const given = Object.entries({ ...filter, ...change }).filter(([, value]) => value);
    location.replace(`#/${given.length ? `?${new URLSearchParams(given)}` : ""}`); // a link to this list
  };
  useEffect(() => query.focus && document.getElementById("search")?.focus(), [query.focus]);
  const mark = (ids, isChosen) => {
    const all = new Set(chosen);
    for (const id of ids) all[isChosen ? "add" : "delete"](id);
    choose(all);
  };
  const isFiltered = Object.values(filter).some(Boolean);
  return (
    <main>
      <h1>Runs</h1>
      <Filter filter={filter} tenants={tenants} narrow={narrow} isFiltered={isFiltered} />
      <Trouble text={trouble} />
      <Bulk runs={runs} chosen={chosen} choose={choose} filter={filter} isFiltered={isFiltered} isAll={!next} load={load} fail={fail} />
      <section class="card">
        {runs.length > 0 && <Table runs={runs} chosen={chosen} mark={mark} />}
        {isRead && !runs.length && !trouble && (
          <div class="body"><p class="quiet">{isFiltered ? "No such Run is here." : <>No Run is here. Start one: <code>weftrun run app.py</code>.</>}</p></div>
        )}
      </section>
      {next && <p class="left-out"><button onClick={more}>Show more</button></p>}
    </main>
  );
}

const Filter = ({ filter, tenants, narrow, isFiltered }) => (
  <form class="filter" role="search" onSubmit={(event) => event.preventDefault()}>
    <label>
      Status
      <select value={filter.status} onChange={(e) => narrow({ status: e.target.value })}>
        {STATUSES.map((status) => <option value={status}>{status || "all"}</option>)}
      </select>
    </label>
    <label>
      Text
      <input id="search" type="search" value={filter.text} placeholder="in ids, workflows, waits" onInput={(e) => narrow({ text: e.target.value.trim() })} />
    </label>
    <label>
      Run
      <input type="search" value={filter.id} placeholder="id, or its beginning" onInput={(e) => narrow({ id: e.target.value.trim() })} />
    </label>
    <label>
      Workflow
      <input type="search" value={filter.workflow} placeholder="module:name" onInput={(e) => narrow({ workflow: e.target.value.trim() })} />
    </label>
    <label>
      Started
      <select value={filter.within} onChange={(e) => narrow({ within: e.target.value })}>
        {TIMES.map(([seconds, name]) => <option value={seconds}>{name}</option>)}
      </select>
    </label>
    {(tenants.length > 0 || filter.tenant) && (
      <label>
        Tenant
        <select value={filter.tenant} onChange={(e) => narrow({ tenant: e.target.value })}>
          {["", ...new Set(filter.tenant ? [...tenants, filter.tenant] : tenants)].map((name) => <option value={name}>{name || "all"}</option>)}
        </select>
      </label>
    )}
    {isFiltered && <button type="button" onClick={() => narrow(EMPTY)}>Clear</button>}
  </form>
);

/** What can be done with the Runs that are chosen, or with all that the filter takes. */
function Bulk({ runs, chosen, choose, filter, isFiltered, isAll, load, fail }) {
  const [asking, ask] = useState(null);
  const no = useRef(null);
  useEffect(() => no.current?.focus(), [asking]); // the question takes the place of what was pressed: keys go on there
  const shown = runs.filter((run) => chosen.has(run.id));
  const verbs = [...new Set(shown.flatMap((run) => WAYS[run.status] ?? []))];
  const act = async (verb) => {
    const done = shown.filter((run) => WAYS[run.status]?.includes(verb));
    const failures = (await Promise.allSettled(done.map((run) => api.act(run.id, verb)))).filter((one) => one.reason);
    choose(new Set());
    await load();
    if (failures.length) fail(`${failures.length} of ${done.length}: ${failures[0].reason.message}`);
  };
  const meant = { status: filter.status, workflow: filter.workflow, id: filter.id, text: filter.text, tenant: filter.tenant, since: asked(filter).since };
  const given = Object.fromEntries(Object.entries(meant).filter(([, value]) => value));
  const look = async (verb) => {
    const told = await api.bulk(verb, given, true).catch((error) => fail(error.message));
    if (told) ask({ verb, runs: told.runs, isMore: told.next !== null });
  };
  const all = async () => {
    ask(null);
    const told = await api.bulk(asking.verb, given, false).catch((error) => fail(error.message));
    await load();
    if (told?.failures.length) fail(`${told.failures.length} of ${told.runs}: ${told.failures[0].why}`);
  };
  if (asking) {
    return (
      <p class="facts" role="alertdialog" aria-label={`${asking.verb} many Runs`}>
        <b>{asking.runs ? `${asking.verb} ${count(asking.runs, "Run")}${asking.isMore ? ", of the newest that match" : ""}?` : `None of these can be asked to ${asking.verb}.`}</b>
        <span>
          {asking.runs > 0 && <><button class="main" onClick={all}>Yes, {asking.verb}</button>{" "}</>}
          <button ref={no} onClick={() => ask(null)}>No</button>
        </span>
      </p>
    );
  }
  if (shown.length) {
    return (
      <p class="facts">
        <b>{shown.length} chosen</b>
        <span class="chips">{verbs.map((verb) => <button onClick={() => act(verb)}>{verb}</button>)}<button onClick={() => choose(new Set())}>Choose none</button></span>
      </p>
    );
  }
  const ways = filter.status ? WAYS[filter.status] ?? [] : ["cancel", "retry"];
  return isFiltered && runs.length > 0 && ways.length > 0 ? (
    <p class="facts">
      {isAll && <span><b>{count(runs.length, "Run")}</b></span>}
      <span class="chips">{ways.map((verb) => <button onClick={() => look(verb)}>{verb} all that match…</button>)}</span>
    </p>
  ) : null;
}

const Table = ({ runs, chosen, mark }) => (
  <div class="wide">
    <table class="runs">
      <thead>
        <tr>
          <th>
            <input
              type="checkbox" aria-label="Choose all that are shown" checked={runs.every((run) => chosen.has(run.id))}
              onChange={(event) => mark(runs.map((run) => run.id), event.target.checked)}
            />
          </th>
          <th>Status</th><th>Run</th><th>Workflow</th><th>Started</th><th class="number">Took</th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <tr key={run.id}>
            <td class="pick">
              <input type="checkbox" aria-label={`Choose ${run.id}`} checked={chosen.has(run.id)} onChange={(event) => mark([run.id], event.target.checked)} />
            </td>
            <td><Status status={run.status} note={run.waiting_for && waitsFor(run)} /></td>
            <td><RunLink id={run.id} />{run.lives > 1 && <small> life {run.lives}</small>}</td>
            <td>{run.function}</td>
            <td><Time at={run.started_at} /></td>
            <td class="number">{run.ended_at ? span(run.ended_at - run.started_at) : ""}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);
