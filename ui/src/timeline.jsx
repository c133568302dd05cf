// When and where Steps ran: a lane for each Sandbox, below the Worker and the host that has it, a bar for each Attempt
// or Batch.

import { useEffect, useRef, useState } from "preact/hooks";
import { pressed, useStops } from "./stops.js";
import { bytes, span } from "./words.js";

const ROW = 28;
const HEAD = 22;
const LEFT = 104;
const NARROW = 460; // the least that the time is drawn wide, in pixels
const RIGHT = 40;
const TICKS = 5;
const LETTER = 6.3;
const MARKED = { crash: "✕ crash", takeover: "↪ taken over", woken: "↪ woken" };
const SLOW = 1.5; // times as long as elsewhere

/** The part of the time that is shown: the whole, or what was drawn over with the pointer. */
function useZoom(began, until, wide) {
  const [part, setPart] = useState(null);
  const [from, to] = part ?? [began, Math.max(until, began + 1e-6)];
  const grip = useRef(null);
  const x = (at) => LEFT + ((at - from) / (to - from)) * wide;
  const timeOf = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * (LEFT + wide + RIGHT);
    return from + ((Math.min(Math.max(at, LEFT), LEFT + wide) - LEFT) / wide) * (to - from);
  };
  const drawn = {
    onPointerDown: (event) => (grip.current = timeOf(event)),
    onPointerUp: (event) => {
      const ends = [grip.current ?? 0, timeOf(event)].sort((a, b) => a - b);
      if (grip.current !== null && ends[1] - ends[0] > (to - from) / 100) setPart(ends);
      grip.current = null;
    },
    onDblClick: () => setPart(null),
  };
  const nearer = (factor) => {
    const [middle, half] = [(from + to) / 2, ((to - from) / 2) * factor];
    setPart(half * 2 >= until - began ? null : [middle - half, middle + half]);
  };
  const moved = (share) => {
    const by = Math.min(Math.max((to - from) * share, began - from), until - to);
    setPart([from + by, to + by]);
  };
  return { from, to, x, wide, drawn, nearer, moved, isPart: part !== null, whole: () => setPart(null) };
}

/** How wide the time is drawn: as wide as there is room. */
function useWidth() {
  const frame = useRef(null);
  const [wide, set] = useState(900);
  useEffect(() => {
    const look = new ResizeObserver(([{ contentRect }]) => set(Math.max(NARROW, Math.floor(contentRect.width) - LEFT - RIGHT)));
    if (frame.current) look.observe(frame.current);
    return () => look.disconnect();
  }, [frame.current === null]);
  return [frame, wide];
}

/** Rows from top to bottom: a head for each Worker, where there are several, and below it its lanes. */
function rowsOf(line, places) {
  const known = new Map((places ?? []).map((place) => [place.worker, place]));
  const came = line.transfers ?? [];
  const workers = [...new Set(line.lanes.map((lane) => lane.worker))];
  const rows = [];
  let y = 0;
  for (const worker of workers) {
    const lanes = line.lanes.filter((lane) => lane.worker === worker);
    if (workers.length > 1) rows.push({ y, head: nameOf(worker, lanes[0].host), place: known.get(worker) }), (y += HEAD);
    for (const lane of lanes) rows.push({ y, lane }), (y += ROW);
    const transfers = came.filter((one) => one.worker === worker);
    if (transfers.length) rows.push({ y, transfers }), (y += ROW);
  }
  if (line.gated.length) rows.push({ y, gated: line.gated }), (y += ROW);
  return { rows, height: y };
}

export const nameOf = (worker, host) => `${worker ? `Worker ${worker}` : "The engine's own process"}${host ? ` on ${host}` : ""}`;
export const isSlow = (place) => place.slowness >= SLOW;
export const slowText = (place) => `⚠ bodies took ${place.slowness.toFixed(1)} times as long as elsewhere`;

export function Timeline({ line, places, choose }) {
  const until = Math.max(line.over_at ?? 0, ...line.lanes.map((lane) => lane.spans.at(-1)?.left_at ?? 0));
  const [frame, wide] = useWidth();
  const zoom = useZoom(line.began_at, until, wide);
  const stops = useStops();
  if (!line.lanes.length) return <p class="body quiet">Nothing has run yet.</p>;
  const { from, to, x, drawn, nearer, moved, isPart, whole } = zoom;
  const { rows, height: below } = rowsOf(line, places);
  const height = below + 26;
  const isSeen = (began, ended) => ended >= from && began <= to;
  return (
    <>
      <div class="drawing" ref={frame} tabindex="0" role="group" aria-label="Timeline of the Run; arrow keys go from bar to bar" {...stops}>
        <svg {...drawn} width={LEFT + wide + RIGHT} height={height} viewBox={`0 0 ${LEFT + wide + RIGHT} ${height}`} class="timeline">
          {Array.from({ length: TICKS + 1 }, (_, i) => from + ((to - from) * i) / TICKS).map((at) => (
            <g class="tick">
              <line x1={x(at)} x2={x(at)} y1="0" y2={height - 20} />
              <text x={x(at)} y={height - 5} text-anchor="middle">{span(at - line.began_at)}</text>
            </g>
          ))}
          {rows.map((row) => (
            <g transform={`translate(0 ${row.y})`}>
              {row.head && <text x="4" y="16" class={`place ${row.place && isSlow(row.place) ? "slow" : ""}`}>{row.head}{row.place && isSlow(row.place) ? `: ${slowText(row.place)}` : ""}</text>}
              {row.lane && <Lane lane={row.lane} zoom={zoom} isSeen={isSeen} choose={choose} />}
              {row.transfers && <Transfers transfers={row.transfers.filter((one) => isSeen(one.began_at, one.came_at))} zoom={zoom} choose={choose} />}
              {row.gated && <Disk gated={row.gated.filter(([began, ended]) => isSeen(began, ended))} zoom={zoom} />}
            </g>
          ))}
          {line.marks.filter((mark) => mark.kind !== "engine" && isSeen(mark.at, mark.at)).map((mark) => (
            <g class={`mark ${mark.kind}`}>
              <title>{`${span(mark.at - line.began_at)}: ${mark.text}`}</title>
              <line x1={x(mark.at)} x2={x(mark.at)} y1="0" y2={height - 20} />
              <text x={x(mark.at) + 3} y="10">{MARKED[mark.kind]}</text>
            </g>
          ))}
        </svg>
      </div>
      <div class="body facts">
        <span class="chips">
          <button onClick={() => nearer(0.5)} aria-label="Nearer">+</button>
          <button onClick={() => nearer(2)} aria-label="Farther" disabled={!isPart}>−</button>
          {isPart && <button onClick={() => moved(-0.5)} aria-label="Earlier">←</button>}
          {isPart && <button onClick={() => moved(0.5)} aria-label="Later">→</button>}
          {isPart && <button onClick={whole}>Whole</button>}
        </span>
        <Legend line={line} />
      </div>
    </>
  );
}

const LEGEND = [
  ["l-ran", "ran", (one) => !one.failed && !one.is_body && !one.is_running],
  ["l-failed", "failed", (one) => one.failed],
  ["l-running", "runs now", (one) => one.is_running],
  ["l-body", "body of a workflow", (one) => one.is_body],
];

function Legend({ line }) {
  const spans = line.lanes.flatMap((lane) => lane.spans);
  return (
    <span class="legend">
      {LEGEND.filter(([, , has]) => spans.some(has)).map(([kind, name]) => <span><i class={kind} />{name}</span>)}
      {line.lanes.some((lane) => lane.start_s > 0) && <span><i class="l-cold" />a Sandbox starts</span>}
      {line.transfers?.length > 0 && <span><i class="l-came" />an Object comes from another host</span>}
      {line.gated.length > 0 && <span><i class="l-disk" />Steps wait for the disk</span>}
    </span>
  );
}

/** The part of a time that is on the drawing: where it begins, and how wide it is. */
function partOf({ x, wide }, began, ended) {
  const left = Math.max(x(began), LEFT);
  return [left, Math.max(Math.min(x(ended), LEFT + wide) - left, 2)];
}

function Lane({ lane, zoom, isSeen, choose }) {
  const cold = lane.start_s > 0 && isSeen(lane.began_at, lane.began_at + lane.start_s) && partOf(zoom, lane.began_at, lane.began_at + lane.start_s);
  return (
    <>
      <text x="4" y="18" class="lane">Sandbox {lane.sandbox % 1e6}</text>
      {cold && <g class="cold"><title>{`Sandbox ${lane.sandbox} took ${span(lane.start_s)} to start`}</title><rect x={cold[0]} y="8" width={cold[1]} height={ROW - 16} rx="3" /></g>}
      {lane.spans.filter((one) => isSeen(one.entered_at, one.left_at)).map((one) => <Bar one={one} zoom={zoom} choose={choose} />)}
    </>
  );
}

function Bar({ one, zoom, choose }) {
  const [left, wide] = partOf(zoom, one.entered_at, one.left_at);
  const kind = one.is_running ? "running" : one.failed ? "failed" : one.is_body ? "body" : "succeeded";
  const label = `${one.failed ? "✕ " : ""}${one.count > 1 ? `${one.label} × ${one.count}` : one.step}`;
  const moved = one.read_s > 0 && partOf(zoom, one.entered_at, one.entered_at + one.read_s);
  const made = one.written_s > 0 && partOf(zoom, one.left_at - one.written_s, one.left_at);
  const objects = one.read_s + one.written_s > 0 ? `, ${span(one.read_s + one.written_s)} of it moving Objects` : "";
  const told = `${one.step}, Attempt ${one.attempt}: ${span(one.left_at - one.entered_at)}${objects} ${one.text}`;
  return (
    <g class={`bar stop ${kind}`} tabindex="-1" role="button" aria-label={told} {...pressed(() => choose?.(one.count > 1 ? one.step.replace(/\.\d+$/, "") : one.step))}>
      <title>{told}</title>
      <rect x={left} y="4" width={wide} height={ROW - 8} rx="4" />
      {moved && <rect class="moved" x={left} y={ROW - 7} width={moved[1]} height="3" />}
      {made && <rect class="moved" x={made[0]} y={ROW - 7} width={made[1]} height="3" />}
      {wide > label.length * LETTER + 8 && <text x={left + 6} y="18">{label}</text>}
    </g>
  );
}

/** Objects that came to a Worker from another one, or from the engine. */
const Transfers = ({ transfers, zoom, choose }) => (
  <>
    <text x="4" y="18" class="lane">came here</text>
    {transfers.map((one) => {
      const [left, wide] = partOf(zoom, one.began_at, one.came_at);
      const told = `${bytes(one.nbytes)} of ${one.step} ${one.source ? `from Worker ${one.source}` : "from the engine"} in ${span(one.came_at - one.began_at)}`;
      return (
        <g class="transfer stop" tabindex="-1" role="button" aria-label={told} {...pressed(() => choose?.(one.step))}>
          <title>{told}</title>
          <rect x={left} y="9" width={Math.max(wide, 6)} height={ROW - 18} rx="2" />
        </g>
      );
    })}
  </>
);

const Disk = ({ gated, zoom }) => (
  <g class="disk">
    <text x="4" y="18" class="lane">disk</text>
    {gated.map(([began, ended]) => {
      const [left, wide] = partOf(zoom, began, ended);
      return <g><title>{`Steps waited for the disk: ${span(ended - began)}`}</title><rect x={left} y="10" width={wide} height="8" rx="2" /></g>;
    })}
  </g>
);
