// What Functions took in the newest Runs: run times, failures, Batches, cold starts; and the bytes that they made and moved.

import { useEffect, useState } from "preact/hooks";
import * as api from "./api.js";
import { Time, Trouble } from "./parts.jsx";
import { bytes, span } from "./words.js";

const AGAIN_MS = 3000;
const PAUSES = 40; // times as long as a look took

/** The statistics, read again now and then. */
function useFunctions(lives) {
  const [seen, setSeen] = useState(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    let due = 0;
    let over = false;
    const load = async () => {
      const began = performance.now();
      try {
        const told = await api.functions();
        if (!over) setSeen(told), setTrouble("");
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

const Read = ({ seen }) =>
  seen.runs ? (
    <p class="facts">
      <span>Of {seen.are_all ? "all" : "the newest"} {seen.runs.toLocaleString()} Runs, since <Time at={seen.since} />.</span>
    </p>
  ) : <p class="quiet">No Run is here yet.</p>;

const NUMBERS = [
  ["Runs", (one) => one.runs.toLocaleString()],
  ["Attempts", (one) => one.attempts.toLocaleString()],
  ["Failed", (one) => (one.failed ? `✕ ${one.failed.toLocaleString()}` : "")],
  ["Half within", (one) => one.attempts > 0 && span(one.p50_s)],
  ["99 % within", (one) => one.attempts > 0 && span(one.p99_s)],
  ["Longest", (one) => one.attempts > 0 && span(one.max_s)],
  ["In all", (one) => one.attempts > 0 && span(one.body_s)],
  ["Batches", (one) => one.batches > 0 && `${one.batches.toLocaleString()} of ${one.batch_mean.toFixed(1)}, at most ${one.batch_max}`],
  ["Cold starts", (one) => one.cold_starts > 0 && `${one.cold_starts} of ${span(one.cold_start_s)}`],
];

const AMOUNTS = [
  ["Values recorded", (one) => one.values.toLocaleString()],
  ["In the Journal", (one) => bytes(one.inline_bytes)],
  ["In files", (one) => bytes(one.blob_bytes)],
  ["Not recorded", (one) => bytes(one.unrecorded_bytes)],
  ["Objects read", (one) => one.read_bytes > 0 && `${bytes(one.read_bytes)} in ${span(one.read_s)}`],
  ["Objects made", (one) => one.written_bytes > 0 && `${bytes(one.written_bytes)} in ${span(one.written_s)}`],
];

const Table = ({ rows, columns }) => (
  <section class="card wide">
    <table>
      <thead><tr><th>Function</th>{columns.map(([name]) => <th class="number">{name}</th>)}</tr></thead>
      <tbody>
        {rows.map((one) => (
          <tr key={one.function}>
            <td>{one.function}{one.is_workflow && <small> workflow</small>}</td>
            {columns.map(([, tell]) => <td class="number">{tell(one)}</td>)}
          </tr>
        ))}
      </tbody>
    </table>
  </section>
);

export function Functions({ lives }) {
  const { seen, trouble } = useFunctions(lives);
  return (
    <main>
      <h1>Functions</h1>
      <Trouble text={trouble} />
      {seen && <Read seen={seen} />}
      {seen && <Table rows={seen.functions} columns={NUMBERS} />}
    </main>
  );
}

export function Objects({ lives }) {
  const { seen, trouble } = useFunctions(lives);
  const rows = (seen?.functions ?? []).filter((one) => one.values || one.unrecorded_bytes || one.read_bytes || one.written_bytes);
  const held = (one) => one.inline_bytes + one.blob_bytes + one.unrecorded_bytes + one.written_bytes;
  return (
    <main>
      <h1>Objects</h1>
      <Trouble text={trouble} />
      {seen && <Read seen={seen} />}
      {seen && <Table rows={rows.sort((a, b) => held(b) - held(a))} columns={AMOUNTS} />}
    </main>
  );
}
