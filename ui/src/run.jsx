// One Run: what is the matter with it, its graph and timeline, its Steps, its story and what it printed; live.

import { Component } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api.js";
import { AsJson, Field, firstOf, wrongOf } from "./forms.jsx";
import { Graph } from "./graph.jsx";
import { useRun } from "./live.js";
import { Card, Status, Time, Trouble, useMore } from "./parts.jsx";
import { isSlow, nameOf, slowText, Timeline } from "./timeline.jsx";
import { bytes, count, engineOf, MARKS, span, waitsFor, WAYS } from "./words.js";

const FIELDS = ["INPUT", "SELECT", "TEXTAREA"];
const NAMED = 5;

/** The nodes of the graph, with how far a map is. */
function drawnOf(graph, steps) {
  const known = new Map(steps.map((step) => [step.id, step]));
  const nodes = graph.nodes.map((node) => {
    const step = known.get(node.id); // what runs is not on record yet
    return { ...node, status: step?.status ?? node.status, share: step?.is_map && step.items ? step.items_done / step.items : null };
  });
  return { ...graph, nodes };
}

/** Which Step is chosen: in the address, so that a link leads there. */
function useChosen(id, named) {
  const [chosen, set] = useState(named);
  useEffect(() => set(named), [named]);
  const choose = (step) => {
    set(step);
    history.replaceState(null, "", `#/run/${encodeURIComponent(id)}${step ? `?step=${encodeURIComponent(step)}` : ""}`);
  };
  return [chosen, choose];
}

export function Run({ id, step: named, lives }) {
  const [chosen, choose] = useChosen(id, named);
  const { seen, trouble, isGone, again, tell, fail } = useRun(id, chosen, lives);
  const steps = seen?.steps ?? [];
  const failed = useMemo(() => steps.filter((step) => step.status === "failed" && step.id !== steps[0].id), [steps]);
  const next = useRef(null);
  next.current = () => failed.length && choose(failed[(failed.findIndex((step) => step.id === chosen) + 1) % failed.length].id);
  useEffect(() => {
    const pressed = (event) => {
      if (FIELDS.includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "n") next.current();
      if (event.key === "Escape") choose("");
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  if (!seen?.steps) return <main><p class="crumb"><a href="#/">All Runs</a></p><h1>{id}</h1>{isGone ? <Gone text={trouble} /> : <Trouble text={trouble} />}</main>;
  const act = async (verb) => {
    await api.act(id, verb).catch((error) => fail(error.message));
    again();
  };
  const { run } = seen;
  const graph = drawnOf(seen.graph, steps);
  const step = steps.find((one) => one.id === chosen);
  const toggle = (one) => choose(one === chosen ? "" : one);
  return (
    <main>
      <p class="crumb"><a href="#/">All Runs</a></p>
      <h1>{run.id} <Status status={run.status} /></h1>
      <Facts run={run} seen={seen} act={act} isGone={isGone} next={failed.length > 0 && (() => next.current())} />
      {isGone ? <Gone text={trouble} /> : <Trouble text={trouble} />}
      <Matter seen={seen} failed={failed} choose={choose} again={again} />
      <div class={`columns ${chosen ? "aside" : ""}`}>
        <div>
          <Card title="Graph" head={<GraphWords graph={graph} />} bare><Graph shown={graph} steps={steps} chosen={chosen} choose={toggle} /></Card>
          <Card title="Timeline" bare>
            {seen.timeline ? <Timeline line={seen.timeline} places={seen.places} choose={toggle} /> : <p class="body quiet">Reading…</p>}
          </Card>
          {seen.places?.length > 1 && <Card title="Where it ran" bare><Places places={seen.places} /></Card>}
          <Steps run={run} steps={steps} chosen={chosen} choose={choose} />
        </div>
        {chosen && <Chosen key={chosen} id={id} run={run} step={step} isRoot={step === steps[0]} name={chosen} close={() => choose("")} />}
      </div>
      <div class="columns two below">
        <Story seen={seen} chosen={chosen} tell={tell} />
        <Printed seen={seen} chosen={chosen} />
      </div>
    </main>
  );
}

const Gone = ({ text }) => <p role="alert" class="trouble">This Run is not there any more. {text}</p>;

function Facts({ run, seen, act, isGone, next }) {
  const total = Object.values(run.whole_steps).reduce((sum, one) => sum + one, 0);
  return (
    <div class="facts">
      <span>Workflow <b>{run.function}</b></span>
      <span>Started <b><Time at={run.started_at} /></b></span>
      <span>{run.ended_at ? "Took" : "For"} <b>{run.ended_at ? span(run.ended_at - run.started_at) : <Since at={run.started_at} offset={seen.offset} />}</b></span>
      <span><b>{count(total, "Step")}</b>{run.whole_steps.failed ? `, ${run.whole_steps.failed} failed` : ""}</span>
      {!run.ended_at && <span>{engineOf(run.owner)}</span>}
      {run.queue && <span>Queue <b>{run.queue}</b></span>}
      {run.lives > 1 && <span>Life <b>{run.lives}</b></span>}
      {run.takeovers > 0 && <span>↪ taken over <b>{run.takeovers === 1 ? "once" : `${run.takeovers} times`}</b></span>}
      {!isGone && (
        <span class="chips">
          {(WAYS[run.status] ?? []).map((verb) => <button onClick={() => act(verb)}>{verb}</button>)}
          {next && <button onClick={next}>Next failed Step (n)</button>}
        </span>
      )}
    </div>
  );
}

/** How long something goes on, by the server's clock: the viewer's may be off. */
function Since({ at, offset }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const due = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(due);
  }, []);
  return span(Math.max(0, Math.round(Date.now() / 1000 + offset - at)));
}

/** In a few words: what failed and why, what it waits for, what runs, and where it was slow. */
function Matter({ seen, failed, choose, again }) {
  const { run, steps } = seen;
  const slow = (seen.places ?? []).filter(isSlow);
  const running = steps.filter((step) => step.running.length);
  const last = failed.length ? failed : [];
  const isOpen = !run.ended_at;
  if (run.status === "succeeded" && !slow.length) return run.preview || Object.keys(run.answer_of).length ? <Answer run={run} /> : null;
  const kind = run.status === "failed" ? "failed" : isOpen && !running.length ? "waits" : "";
  return (
    <section class={`card matter ${kind}`} aria-label="In short">
      <div class="body">
        {run.status === "failed" && <Failure run={run} failed={last} choose={choose} />}
        {run.status === "cancelled" && <p><b>⊘ It was cancelled.</b></p>}
        {isOpen && running.length > 0 && <RunsNow running={running} seen={seen} choose={choose} />}
        {isOpen && !running.length && <Waits run={run} steps={steps} />}
        {isOpen && failed.length > 0 && <Failed failed={failed} choose={choose} />}
        {isOpen && run.awaits.map((awaited) => <Signal key={awaited.name + JSON.stringify(awaited.schema)} id={run.id} awaited={awaited} again={again} />)}
        {slow.map((place) => <p class="warn">{nameOf(place.worker, place.host)}: {slowText(place)}.</p>)}
      </div>
    </section>
  );
}

const Answer = ({ run }) => (
  <section class="card matter" aria-label="In short">
    <div class="body"><p>✓ Its value: <span class="value">{run.preview || Object.values(run.answer_of).join(", ")}</span></p></div>
  </section>
);

const StepLink = ({ step, choose }) => <button class="plain mono" onClick={() => choose(step)}>{step}</button>;

const Failed = ({ failed, choose }) => (
  <ul>
    {failed.slice(0, NAMED).map((step) => (
      <li><span class="bad" aria-hidden="true">✕</span><StepLink step={step.id} choose={choose} /> failed{step.attempts > 1 ? ` in its Attempt ${step.attempts}` : ""}: {step.error}</li>
    ))}
    {failed.length > NAMED && <li class="quiet">and {failed.length - NAMED} more</li>}
  </ul>
);

const Failure = ({ run, failed, choose }) => (
  <div class="error">
    <p><b>{failed.length ? `It failed, since ${failed.length === 1 ? "a Step" : `${failed.length} Steps`} failed:` : `It failed: ${run.error}`}</b></p>
    {failed.length > 0 && <Failed failed={failed} choose={choose} />}
    {run.traceback && <details><summary>Traceback</summary><pre tabindex="0">{run.traceback}</pre></details>}
  </div>
);

const RunsNow = ({ running, seen, choose }) => (
  <>
    <p><b>▶ {running.length === 1 ? "One Step runs now" : `${running.length} Steps run now`}.</b></p>
    <ul>
      {running.slice(0, NAMED).map((step) => {
        const [oldest] = step.running;
        return (
          <li>
            <StepLink step={step.id} choose={choose} /> {step.running.length > 1 ? `, ${step.running.length} items, the first ` : ""}
            for <Since at={oldest.entered_at} offset={seen.offset} /> in Sandbox {oldest.sandbox} on {oldest.host}
            {!oldest.lives && <span class="warn"> ⚠ its engine has ended since</span>}
            {oldest.text && <span class="quiet">, printed last: <span class="value">{oldest.text.trimEnd().split("\n").at(-1).slice(0, 200)}</span></span>}
          </li>
        );
      })}
      {running.length > NAMED && <li class="quiet">and {running.length - NAMED} more</li>}
    </ul>
  </>
);

function Waits({ run, steps }) {
  const due = steps.find((step) => step.due_at && step.status === "pending");
  return (
    <>
      <p>
        <b>○ It waits for {due && !run.waiting_for ? `the next Attempt of ${due.id}` : waitsFor(run)}.</b>
        {run.due_at > 0 && <> It goes on at <Time at={run.due_at} />.</>}
        {due && !run.due_at && <> It is due at <Time at={due.due_at} />; the last one failed with {due.error}.</>}
      </p>
      {run.unfit.why && <p>{run.unfit.why} On record: <code>{run.unfit.recorded}</code>; now: <code>{run.unfit.made}</code>.</p>}
    </>
  );
}

/** What a Run waits for, as a form made from the type that the workflow reads it as; or as JSON. */
function Signal({ id, awaited, again }) {
  const { name, schema } = awaited;
  const defs = schema?.$defs ?? {};
  const [value, set] = useState(schema ? firstOf(schema, defs) : null);
  const [isJson, write] = useState(!schema);
  const [trouble, setTrouble] = useState("");
  const sent = async (event) => {
    event.preventDefault();
    const wrong = value === undefined ? "This is no JSON." : isJson ? "" : wrongOf(schema, defs, value);
    if (wrong) return setTrouble(wrong);
    await api.signal(id, name, value).then(() => (setTrouble(""), again()), (error) => setTrouble(error.message));
  };
  return (
    <form class="form signal" onSubmit={sent}>
      {isJson ? <AsJson name={`Signal ${name}`} value={schema ? value : null} set={set} /> : <Field name={`Signal ${name}`} schema={schema} defs={defs} value={value} set={set} />}
      <div class="row">
        <button class="main">Send</button>
        {schema && <button type="button" class="plain" onClick={() => write(!isJson)}>{isJson ? "As a form" : "As JSON"}</button>}
      </div>
      <Trouble text={trouble} />
    </form>
  );
}

const GraphWords = ({ graph }) => {
  const used = new Set(graph.nodes.map((node) => node.status));
  return <span class="legend">{Object.keys(MARKS).filter((status) => used.has(status)).map((status) => <span>{MARKS[status]} {status}</span>)}</span>;
};

const Places = ({ places }) => (
  <div class="wide">
    <table>
      <thead><tr><th>Where</th><th class="number">Sandboxes</th><th class="number">Bodies</th><th class="number">In bodies</th><th class="number">One took</th><th>Beside the others</th></tr></thead>
      <tbody>
        {places.map((place) => (
          <tr>
            <td>{nameOf(place.worker, place.host)}</td>
            <td class="number">{place.sandboxes}</td>
            <td class="number">{place.bodies.toLocaleString()}</td>
            <td class="number">{span(place.body_s)}</td>
            <td class="number">{span(place.body_s / Math.max(place.bodies, 1))}</td>
            <td class={isSlow(place) ? "warn" : ""}>{isSlow(place) ? slowText(place) : "as elsewhere"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);

/** A Step that was chosen: all that is known of it, and the way to fork the Run there. */
function Chosen({ id, run, step, isRoot, name, close }) {
  const [trouble, setTrouble] = useState("");
  const canFork = run.ended_at !== null && step && !isRoot;
  const fork = async (force) => {
    const forked = await api.fork(id, name, force).catch((error) => setTrouble(error.message));
    if (forked) location.hash = `#/run/${encodeURIComponent(forked.id)}`;
  };
  return (
    <section class="card pinned" aria-label="The chosen Step">
      <div class="head"><h2>{name}</h2><button class="plain" onClick={close}>Close</button></div>
      <div class="body">
        {step ? <About step={step} /> : <p class="quiet">It is an item of a map, or one of more Steps than are shown: see its story and what it printed below.</p>}
        <Trouble text={trouble} />
        {canFork && (
          <p>
            <button onClick={() => fork(false)}>Fork from here</button>{" "}
            {trouble.includes("--force") && <button onClick={() => fork(true)}>Fork all the same</button>}
            <small class="note">Starts another Run that reuses what had settled before this Step, and runs the rest with the code of now.</small>
          </p>
        )}
      </div>
    </section>
  );
}

const CAME = { local: () => "on the same host", fetched: (worker) => `fetched from Worker ${worker}`, sent: () => "sent by the engine" };

const About = ({ step }) => {
  const rows = [
    ["Status", <Status status={step.status} />], ["Function", step.function],
    ["Attempts", step.attempts > 0 && step.attempts], ["Items", step.is_map && `${step.items_done} of ${step.items ?? "?"}${step.items_failed ? `, ${step.items_failed} failed` : ""}`],
    ["Waited", step.waited_s > 0 && span(step.waited_s)], ["In its body", step.body_s > 0 && span(step.body_s)],
    ["Entered", step.entered_at && <Time at={step.entered_at} />], ["Sandbox", step.sandbox > 0 && step.sandbox],
    ["Settled by", step.cause], ["Not recorded", step.unrecorded], ["Next Attempt", step.due_at && <Time at={step.due_at} />],
    ["Objects", step.read_bytes + step.written_bytes > 0 && `read ${bytes(step.read_bytes) || "none"}, made ${bytes(step.written_bytes) || "none"}`],
    ["Came from", step.came?.length > 0 && step.came.map((one) => <div><span class="mono">{one.step}</span>: {bytes(one.nbytes)}, {CAME[one.way](one.worker)}</div>)],
    ["Error", step.error && <span class="value">{step.error}</span>], ["Value", step.preview && <span class="value">{step.preview}</span>],
  ];
  return <dl>{rows.filter(([, told]) => told).map(([name, told]) => [<dt>{name}</dt>, <dd>{told}</dd>])}</dl>;
};

/** All Steps, or those that stand so; what is chosen is shown wherever it stands. */
function Steps({ run, steps, chosen, choose }) {
  const [wanted, want] = useState("");
  const total = Object.values(run.whole_steps).reduce((sum, one) => sum + one, 0);
  const [head, more] = useMore(wanted ? steps.filter((step) => step.status === wanted) : steps);
  const other = chosen && !head.some((step) => step.id === chosen) && steps.find((step) => step.id === chosen);
  const chips = (
    <span class="chips">
      {["", ...Object.keys(run.whole_steps)].map((status) => (
        <button aria-pressed={wanted === status} onClick={() => want(status)}>
          {status ? `${MARKS[status]} ${run.whole_steps[status].toLocaleString()} ${status}` : `All ${total.toLocaleString()}`}
        </button>
      ))}
    </span>
  );
  const unseen = total + 1 - steps.length; // the body of the whole Run is among those that are shown
  return (
    <Card title="Steps" head={chips} bare>
      <StepTable steps={other ? [other, ...head] : head} chosen={chosen} choose={choose} />
      {more}
      {!more && unseen > 0 && <p class="left-out">and {unseen.toLocaleString()} more Steps; <code>weftrun steps {run.id}</code> tells of all.</p>}
    </Card>
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
        {steps.map((step) => <StepRow key={step.id} step={step} isChosen={step.id === chosen} choose={choose} />)}
      </tbody>
    </table>
  </div>
);

/** A row that is drawn again only where its Step, or that it is chosen, is another one. */
class StepRow extends Component {
  shouldComponentUpdate(next) {
    return next.step !== this.props.step || next.isChosen !== this.props.isChosen;
  }

  render({ step, isChosen, choose }) {
    return (
      <tr class={isChosen ? "chosen" : ""} onClick={() => choose(step.id)}>
        <td><Status status={step.status} /></td>
        <td><button class="plain">{step.id}</button></td>
        <td class="number">{step.attempts || ""}</td>
        <td class="number">{step.is_map ? `${step.items_done}/${step.items ?? "?"}` : ""}</td>
        <td class="number">{span(step.waited_s)}</td>
        <td class="number">{span(step.body_s)}</td>
        <td class="value">{step.error || step.preview}</td>
      </tr>
    );
  }
}

function Story({ seen, chosen, tell }) {
  const [shown, more] = useMore(seen.story ?? []);
  return (
    <Card title={`Story${chosen ? ` of ${chosen}` : ""}`}>
      {seen.story === null && <p><button onClick={tell}>Tell the story of all Steps</button></p>}
      <ol class="story">
        {shown.map((one) => <li><span class="when">{span(one.at - seen.run.started_at)}</span><span>{one.text}</span></li>)}
      </ol>
      {more}
      {!more && seen.story_left > 0 && <p class="left-out">{seen.story_left.toLocaleString()} sentences in the middle are left out; choose a Step for its own.</p>}
    </Card>
  );
}

/** What was printed; it follows what comes while its end is seen. */
function Printed({ seen, chosen }) {
  const box = useRef(null);
  const follows = useRef(true);
  useEffect(() => {
    if (box.current && follows.current) box.current.scrollTop = box.current.scrollHeight;
  }, [seen.logs]);
  const scrolled = ({ target }) => (follows.current = target.scrollHeight - target.scrollTop - target.clientHeight < 30);
  const logs = seen.logs ?? [];
  return (
    <Card title={`Printed${chosen ? ` by ${chosen}` : ""}`}>
      {seen.logs_left > 0 && <p class="left-out">{seen.logs_left.toLocaleString()} texts in the middle are left out; choose a Step for its own.</p>}
      {!logs.length && <p class="quiet">Nothing was printed.</p>}
      <pre class="logs" ref={box} onScroll={scrolled} tabindex="0">
        {logs.map((said) => <><span class="who">{said.step}  </span>{shortened(said.text)}{said.text.endsWith("\n") ? "" : "\n"}</>)}
      </pre>
    </Card>
  );
}

const TEXT_MAX = 20_000;

/** A text of which the page can show all: of a long one its beginning and its end. */
const shortened = (text) =>
  text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX / 2)}\n… ${(text.length - TEXT_MAX).toLocaleString()} characters are left out …\n${text.slice(-TEXT_MAX / 2)}`;
