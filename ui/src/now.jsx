// What goes on: open Runs, what runs of each, and what the others wait for.

import { useEffect, useState } from "preact/hooks";
import * as api from "./api.js";
import { RunLink, Time, Trouble } from "./parts.jsx";
import { span } from "./words.js";

const AGAIN_MS = 1000;

/** What goes on, read again each second and soon after any Run changes. */
function useNow(lives) {
  const [seen, setSeen] = useState(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    let due = 0;
    let over = false;
    const load = async () => {
      clearTimeout(due);
      try {
        const told = await api.now();
        if (!over) setSeen(told), setTrouble("");
      } catch (error) {
        if (!over) setTrouble(error.message);
      }
      if (!over) due = setTimeout(load, AGAIN_MS);
    };
    load();
    const end = api.followList(() => {}, lives); // it tells whether the server is there
    return () => ((over = true), clearTimeout(due), end());
  }, []);
  return { seen, trouble };
}

const engineOf = (owner) => (owner ? `engine ${owner.pid}${owner.here ? "" : " on another host"}${owner.lives ? "" : ", which has ended"}` : "no engine");

function waits(run) {
  if (run.waiting_for === "code") return "for code that fits it";
  if (run.waiting_for) return `for ${run.waiting_for}`;
  if (run.owner?.lives) return "for a place to run";
  return "for an engine";
}

export function Now({ lives }) {
  const { seen, trouble } = useNow(lives);
  if (!seen) return <main><h1>Now</h1><Trouble text={trouble} /></main>;
  const running = seen.runs.filter((run) => run.running.length);
  const waiting = seen.runs.filter((run) => !run.running.length);
  const undelivered = Object.entries(seen.undelivered);
  return (
    <main>
      <h1>Now</h1>
      <Trouble text={trouble} />
      <h2>Running</h2>
      <Running runs={running} at={seen.at} />
      <h2>Waiting</h2>
      <Waiting runs={waiting} at={seen.at} />
      {!seen.are_all && <p class="quiet">There are more open Runs than are shown here.</p>}
      {undelivered.length > 0 && <h2>Not delivered yet</h2>}
      {undelivered.map(([sink, count]) => <p>{count} to {sink}</p>)}
    </main>
  );
}

const Running = ({ runs, at }) =>
  !runs.length ? <p class="quiet">Nothing runs.</p> : (
    <div class="wide">
      <table>
        <thead>
          <tr><th>Step</th><th>Run</th><th class="number">For</th><th>Where</th><th>Printed last</th></tr>
        </thead>
        <tbody>
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
        </tbody>
      </table>
    </div>
  );

const Waiting = ({ runs, at }) =>
  !runs.length ? <p class="quiet">Nothing waits.</p> : (
    <div class="wide">
      <table>
        <thead>
          <tr><th>Run</th><th>Workflow</th><th>Waits</th><th>Until</th><th class="number">Since its start</th><th>Has it</th></tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.id}>
              <td><RunLink id={run.id} /></td>
              <td>{run.function}</td>
              <td>{waits(run)}</td>
              <td>{run.due_at ? <Time at={run.due_at} /> : ""}</td>
              <td class="number">{span(at - run.started_at)}</td>
              <td>{engineOf(run.owner)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
