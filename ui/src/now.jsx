// What goes on: open Runs, what runs of each, what the others wait for; queues, schedules, emits, and engines.

import { useEffect, useState } from "preact/hooks";
import * as api from "./api.js";
import { Card, RunLink, Time, Trouble } from "./parts.jsx";
import { bytes, count, engineOf, span, waitsFor } from "./words.js";

const AGAIN_MS = 1000;
const SELDOM = 3; // schedules and queues are read at every so manyth look
const PAUSES = 20;

/** What goes on, read again each second, or less often where a look takes long. */
function useNow(lives) {
  const [seen, setSeen] = useState(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    let due = 0;
    let over = false;
    let turn = 0;
    let also = { queues: [], schedules: [], tenants: [], runs_at_once: null };
    const load = async () => {
      const began = performance.now();
      try {
        const told = await api.now();
        if (turn++ % SELDOM === 0) also = { queues: await api.queues(), schedules: await api.schedules(), ...(await api.tenants()) };
        if (!over) setSeen({ ...told, ...also }), setTrouble("");
      } catch (error) {
        if (!over) setTrouble(error.message);
      }
      if (!over) due = setTimeout(load, Math.max(AGAIN_MS, PAUSES * (performance.now() - began)));
    };
    load();
    const end = api.followList(() => {}, lives); // it tells whether the server is there
    return () => ((over = true), clearTimeout(due), end());
  }, []);
  return { seen, trouble };
}

export function Now({ lives }) {
  const { seen, trouble } = useNow(lives);
  if (!seen) return <main><h1>Now</h1><Trouble text={trouble} /></main>;
  const running = seen.runs.filter((run) => run.running.length);
  const waiting = seen.runs.filter((run) => !run.running.length);
  return (
    <main>
      <h1>Now</h1>
      <Trouble text={trouble} />
      {seen.stands_still && <Trouble text={`This engine can record nothing now: it waits for ${waitsFor({ waiting_for: seen.stands_still })}.`} />}
      <p class="facts">
        <span><b>{running.length.toLocaleString()}</b> {running.length === 1 ? "Run runs" : "Runs run"}</span>
        <span><b>{waiting.length.toLocaleString()}</b> {waiting.length === 1 ? "waits" : "wait"}</span>
        {!seen.are_all && <span>and more open Runs than are shown here</span>}
        {Object.entries(seen.undelivered).map(([sink, left]) => <span><b>{left.toLocaleString()}</b> not delivered to {sink}</span>)}
      </p>
      <Card title="Running" bare={running.length}>{running.length ? <Running runs={running} at={seen.at} /> : <p class="quiet">Nothing runs.</p>}</Card>
      <Card title="Waiting" bare={waiting.length}>{waiting.length ? <Waiting runs={waiting} at={seen.at} /> : <p class="quiet">Nothing waits.</p>}</Card>
      {seen.emits.length > 0 && <Card title="Outbox" bare><Outbox emits={seen.emits} at={seen.at} /></Card>}
      {seen.queues.length > 0 && <Card title="Queues" bare><Queues queues={seen.queues} /></Card>}
      {seen.tenants.some(hasQuota) && <Card title="Quotas" head={<Room seen={seen} />} bare><Quotas tenants={seen.tenants.filter(hasQuota)} /></Card>}
      {seen.schedules.length > 0 && <Card title="Schedules" bare><Schedules schedules={seen.schedules} /></Card>}
      {seen.engines.length > 0 && <Card title="Engines" bare><Engines engines={seen.engines} at={seen.at} /></Card>}
    </main>
  );
}

const Table = ({ columns, children }) => (
  <div class="wide">
    <table>
      <thead><tr>{columns.map((name) => <th class={NUMBERS.has(name) ? "number" : ""}>{name}</th>)}</tr></thead>
      <tbody>{children}</tbody>
    </table>
  </div>
);
const NUMBERS = new Set(["For", "Since its start", "Waiting", "Delayed", "Under way", "At once", "For each key", "Since", "Runs", "Sandboxes", "Memory", "Values kept", "Open Runs", "Starts waiting", "Starts a second", "Share"]);

const Running = ({ runs, at }) => (
  <Table columns={["Step", "Run", "For", "Where", "Printed last"]}>
    {runs.flatMap((run) => [
      ...run.running.map((step) => (
        <tr key={`${run.id} ${step.step}`}>
          <td>{step.step}{step.attempt > 1 && <small> Attempt {step.attempt}</small>}</td>
          <td><RunLink id={run.id} step={step.step} /></td>
          <td class="number">{span(at - step.entered_at)}</td>
          <td>{step.lives ? `Sandbox ${step.sandbox} of ${engineOf(run.owner)}` : "was running when its engine ended"}</td>
          <td class="value">{step.printed}</td>
        </tr>
      )),
      ...(run.more ? [<tr key={run.id}><td colspan="5" class="quiet">and {run.more} more of {run.id}</td></tr>] : []),
    ])}
  </Table>
);

const Waiting = ({ runs, at }) => (
  <Table columns={["Run", "Workflow", "Waits for", "Until", "Since its start", "Has it"]}>
    {runs.map((run) => (
      <tr key={run.id}>
        <td><RunLink id={run.id} /></td>
        <td>{run.function}</td>
        <td>{waitsFor(run)}</td>
        <td>{run.due_at ? <Time at={run.due_at} /> : ""}</td>
        <td class="number">{span(at - run.started_at)}</td>
        <td>{engineOf(run.owner)}</td>
      </tr>
    ))}
  </Table>
);

const Outbox = ({ emits, at }) => (
  <Table columns={["Run", "Step", "Sink", "Stands", "Since", "Why"]}>
    {emits.map((emit) => (
      <tr key={emit.key}>
        <td><RunLink id={emit.run} step={emit.step} /></td>
        <td>{emit.step}</td>
        <td>{emit.sink}</td>
        <td class={emit.status === "waiting" ? "" : "warn"}>{emit.status === "waiting" ? "waits to be delivered" : emit.status === "unknown" ? "⚠ nobody knows whether it arrived" : `⚠ ${emit.status}`}</td>
        <td class="number">{span(at - emit.at)}</td>
        <td class="value">{emit.why}</td>
      </tr>
    ))}
  </Table>
);

const none = (limit) => (limit === null ? <span class="quiet">any</span> : limit.toLocaleString());

const Queues = ({ queues }) => (
  <Table columns={["Queue", "Stands", "Waiting", "Delayed", "Under way", "At once", "For each key", "Begin"]}>
    {queues.map((queue) => (
      <tr key={queue.name}>
        <td>{queue.name}</td>
        <td class={queue.status === "paused" ? "warn" : ""}>{queue.status === "paused" ? "⏸ paused" : "active"}</td>
        <td class="number">{queue.waiting.toLocaleString()}</td>
        <td class="number">{queue.delayed.toLocaleString()}</td>
        <td class="number">{queue.under_way.toLocaleString()}</td>
        <td class="number">{none(queue.concurrency)}</td>
        <td class="number">{none(queue.per_key)}</td>
        <td>{queue.rate ? `at most ${queue.rate[0]} in ${span(queue.rate[1])}` : <span class="quiet">as they may</span>}</td>
      </tr>
    ))}
  </Table>
);

const hasQuota = (one) => one.quota || (one.used && (one.used.runs || one.used.waiting));

const Room = ({ seen }) =>
  seen.runs_at_once && <span class="quiet">{seen.tenants.reduce((sum, one) => sum + (one.used?.runs ?? 0), 0).toLocaleString()} of {seen.runs_at_once.toLocaleString()} Runs that may be open here</span>;

/** How much is used of what may be; in words, and as a bar where there is a bound. */
function Used({ used, most, told = (number) => number.toLocaleString() }) {
  const isBounded = most !== undefined && most !== null;
  if (used === undefined) return isBounded ? <>at most {told(most)}</> : none(null);
  if (!isBounded) return <>{told(used) || "0"}</>;
  const isFull = used >= most;
  return (
    <span class={isFull ? "warn" : ""}>
      {isFull && "⚠ "}{told(used) || "0"} of {told(most) || "0"} <span class="meter" aria-hidden="true"><i style={{ width: `${Math.min(100, (100 * used) / Math.max(most, 1))}%` }} /></span>
    </span>
  );
}

const Quotas = ({ tenants }) => (
  <Table columns={["Tenant", "Open Runs", "Memory", "Starts waiting", "Starts a second", "Share"]}>
    {tenants.map(({ name, quota, used }) => (
      <tr key={name}>
        <td>{name || <span class="quiet">without a tenant</span>}</td>
        <td class="number"><Used used={used?.runs} most={quota?.runs_at_once} /></td>
        <td class="number"><Used used={used?.memory_bytes} most={quota?.memory_bytes} told={bytes} /></td>
        <td class="number"><Used used={used?.waiting} most={quota ? quota.queue ?? 100 : null} /></td>
        <td class="number">{quota?.rate ? `${quota.rate.toLocaleString()}${quota.burst ? `, ${quota.burst.toLocaleString()} at once` : ""}` : none(null)}</td>
        <td class="number">{(quota?.share ?? 1).toLocaleString()}</td>
      </tr>
    ))}
  </Table>
);

const Schedules = ({ schedules }) => (
  <Table columns={["Schedule", "Starts", "When", "Stands", "Next", "Last"]}>
    {schedules.map((one) => (
      <tr key={one.id}>
        <td>{one.id}</td>
        <td>{one.workflow}</td>
        <td>{one.cron ? <span class="mono">{one.cron}</span> : `every ${span(one.every_s)}`} <small>{one.timezone}</small></td>
        <td class={one.fault || one.status === "paused" ? "warn" : ""}>{one.fault ? `⚠ ${one.fault}` : one.status === "paused" ? "⏸ paused" : "active"}</td>
        <td>{one.next.length ? <Time at={one.next[0]} /> : ""}</td>
        <td>{one.last ? <Time at={one.last} /> : ""}</td>
      </tr>
    ))}
  </Table>
);

const Engines = ({ engines, at }) => (
  <Table columns={["Engine", "Worker", "Host", "Runs", "Sandboxes", "Memory", "Values kept", "Runs now", "Heard"]}>
    {engines.flatMap((engine) =>
      (engine.workers.length ? engine.workers : [null]).map((worker, i) => (
        <tr key={`${engine.pid} ${worker?.worker}`}>
          <td>{i ? "" : `engine ${engine.pid}`}</td>
          <td>{worker ? (worker.worker ? `Worker ${worker.worker}` : "its own process") : ""}</td>
          <td>{worker?.host ?? "another host"}</td>
          <td class="number">{i ? "" : engine.runs}</td>
          <td class="number">{worker?.sandboxes ?? ""}{worker?.sandboxes_max ? ` of ${worker.sandboxes_max}` : ""}</td>
          <td class="number">{bytes(worker?.memory_bytes)}</td>
          <td class="number">{bytes(worker?.object_bytes)}</td>
          <td>{worker?.running.length ? count(worker.running.length, "body").replace("bodys", "bodies") : ""}</td>
          <td>{worker?.heard_at ? `${span(at - worker.heard_at)} ago` : ""}</td>
        </tr>
      )),
    )}
  </Table>
);
