// One Run: how it stands, its graph and timeline, its Steps, its story and what it printed; live while it runs.

import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import { Graph } from "./graph.jsx";
import { Status, Time, Trouble, useMore } from "./parts.jsx";
import { Timeline } from "./timeline.jsx";
import { span, WAYS } from "./words.js";

const AGAIN_MS = 150;
const PAUSES = 3; // times as long as a look took: a large Run costs its server no more than a quarter of its time

/** All that the page shows of a Run, fetched again soon after each event, and at most every `AGAIN_MS`. */
function useRun(id, lives) {
  const [seen, setSeen] = useState(null);
  const [trouble, setTrouble] = useState("");
  const load = useRef(null);
  useEffect(() => {
    let due = 0;
    let pause = AGAIN_MS;
    let over = false;
    load.current = async () => {
      const began = performance.now();
      due = 0;
      try {
        const told = await api.view(id);
        if (!over) setSeen(told), setTrouble("");
      } catch (error) {
        if (!over) setTrouble(error.message);
      }
      pause = Math.max(AGAIN_MS, PAUSES * (performance.now() - began));
    };
    setSeen(null);
    load.current();
    const end = api.followRun(id, () => (due ||= setTimeout(load.current, pause)), lives);
    return () => ((over = true), clearTimeout(due), end());
  }, [id]);
  return { seen, trouble, again: () => load.current(), fail: setTrouble };
}

export function Run({ id, step: named, lives }) {
  const { seen, trouble, again, fail } = useRun(id, lives);
  const [chosen, choose] = useState(named);
  useEffect(() => choose(named), [named]);
  if (!seen) return <main><h1>{id}</h1><Trouble text={trouble} /></main>;
  const { run, steps, timeline: line, story, logs } = seen;
  const known = new Map(steps.map((step) => [step.id, step]));
  const nodes = seen.graph.nodes.map((node) => {
    const step = known.get(node.id); // what runs is not on record yet
    return { ...node, status: step?.status ?? node.status, share: step?.is_map && step.items ? step.items_done / step.items : null };
  });
  const graph = { ...seen.graph, nodes };
  const act = async (verb) => {
    await api.act(id, verb).catch((error) => fail(error.message));
    again();
  };
  const failed = steps.filter((step) => step.status === "failed");
  const nextFailed = () => {
    const at = failed.findIndex((step) => step.id === chosen);
    if (failed.length) choose(failed[(at + 1) % failed.length].id);
  };
  const mine = (step) => !chosen || step === chosen || step.startsWith(`${chosen}.`);
  return (
    <main onKeyDown={(event) => event.key === "n" && event.target.tagName !== "INPUT" && nextFailed()}>
      <p><a href="#/">All Runs</a></p>
      <h1>{run.id} <Status status={run.status} note={run.waiting_for} /></h1>
      <p class="facts">
        {run.function}, started <Time at={run.started_at} />
        {run.ended_at ? `, took ${span(run.ended_at - run.started_at)}` : ""}
        {run.takeovers ? `, taken over ${run.takeovers} times` : ""}{" "}
        {(WAYS[run.status] ?? []).map((verb) => <button onClick={() => act(verb)}>{verb}</button>)}
        {failed.length > 0 && <button onClick={nextFailed}>Next failed Step (n)</button>}
      </p>
      <Trouble text={trouble} />
      <Signal run={run} send={(name, value) => api.signal(id, name, value).then(again)} />
      {run.error && <details class="error" open><summary>{run.error}</summary><pre>{run.traceback}</pre></details>}
      <h2>Graph</h2>
      <Graph shown={graph} chosen={chosen} choose={(step) => choose(step === chosen ? "" : step)} />
      <h2>Timeline</h2>
      <Timeline line={line} />
      <h2>Steps</h2>
      <Steps steps={steps} chosen={chosen} choose={choose} />
      <h2>Story{chosen && ` of ${chosen}`}</h2>
      <Story told={story.filter((one) => mine(one.step))} began={run.started_at} />
      <h2>Printed{chosen && ` by ${chosen}`}</h2>
      <pre class="logs">{logs.filter((said) => mine(said.step)).map((said) => `${said.step}  ${said.text}`).join("")}</pre>
    </main>
  );
}

function Story({ told, began }) {
  const [shown, more] = useMore(told);
  return (
    <>
      <ol class="story">
        {shown.map((one) => <li><span class="when">{span(one.at - began)}</span> {one.text}</li>)}
      </ol>
      {more}
    </>
  );
}

/** All Steps, or those that stand so; what is chosen is shown wherever it stands. */
function Steps({ steps, chosen, choose }) {
  const [wanted, want] = useState("");
  const counts = new Map();
  for (const step of steps) counts.set(step.status, (counts.get(step.status) ?? 0) + 1);
  const [head, more] = useMore(wanted ? steps.filter((step) => step.status === wanted) : steps);
  const other = chosen && !head.some((step) => step.id === chosen) && steps.find((step) => step.id === chosen);
  return (
    <>
      <p class="filter">
        {["", ...counts.keys()].map((status) => (
          <button aria-pressed={wanted === status} onClick={() => want(status)}>
            {status ? `${counts.get(status).toLocaleString()} ${status}` : `All ${steps.length.toLocaleString()}`}
          </button>
        ))}
      </p>
      <StepTable steps={other ? [other, ...head] : head} chosen={chosen} choose={choose} />
      {more}
    </>
  );
}

const StepTable = ({ steps, chosen, choose }) => (
  <div class="wide">
    <table class="steps">
      <thead>
        <tr>
          <th>Status</th><th>Step</th><th class="number">Attempts</th><th class="number">Items</th>
          <th class="number">Waited</th><th class="number">In body</th><th>Value or error</th>
        </tr>
      </thead>
      <tbody>
        {steps.map((step) => (
          <tr key={step.id} class={step.id === chosen ? "chosen" : ""} onClick={() => choose(step.id)}>
            <td><Status status={step.status} /></td>
            <td>{step.id}</td>
            <td class="number">{step.attempts}</td>
            <td class="number">{step.is_map ? `${step.items_done}/${step.items}` : ""}</td>
            <td class="number">{span(step.waited_s)}</td>
            <td class="number">{span(step.body_s)}</td>
            <td class="value">{step.error || step.preview}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);

/** What a Run waits for, as a form: JSON, or a text as it stands. */
function Signal({ run, send }) {
  const [value, setValue] = useState("");
  const [trouble, setTrouble] = useState("");
  const [, name] = /^signal (.+)$/.exec(run.waiting_for ?? "") ?? [];
  if (!name) return null;
  const sent = async (event) => {
    event.preventDefault();
    try {
      await send(name, value.trim() ? JSON.parse(value) : null);
      setValue(""), setTrouble("");
    } catch (error) {
      setTrouble(error instanceof SyntaxError ? `This is no JSON: ${error.message}` : error.message);
    }
  };
  return (
    <form class="signal" onSubmit={sent}>
      <label>
        Signal {name}, as JSON{" "}
        <textarea rows="2" value={value} onInput={(event) => setValue(event.target.value)} />
      </label>
      <button>Send</button>
      <Trouble text={trouble} />
    </form>
  );
}
