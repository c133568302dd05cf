// When and where Steps ran: a lane for each Sandbox, a bar for each Attempt or Batch.

import { useRef, useState } from "preact/hooks";
import { span } from "./words.js";

const ROW = 30;
const LEFT = 96;
const WIDE = 900;
const RIGHT = 34;
const TICKS = 5;
const MARKED = { crash: "✕ crash", takeover: "↪ taken over", woken: "↪ woken" };

/** The part of the time that is shown: the whole, or what was drawn over with the pointer. */
function useZoom(began, until) {
  const [part, setPart] = useState(null);
  const [from, to] = part ?? [began, Math.max(until, began + 1e-6)];
  const grip = useRef(null);
  const x = (at) => LEFT + ((at - from) / (to - from)) * WIDE;
  const timeOf = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * (LEFT + WIDE + RIGHT);
    return from + ((Math.min(Math.max(at, LEFT), LEFT + WIDE) - LEFT) / WIDE) * (to - from);
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
  return { from, to, x, drawn, nearer, isPart: part !== null, whole: () => setPart(null) };
}

export function Timeline({ line }) {
  const until = Math.max(line.over_at ?? 0, ...line.lanes.flatMap((lane) => lane.spans.map((one) => one.left_at ?? 0)));
  const { from, to, x, drawn, nearer, isPart, whole } = useZoom(line.began_at, until);
  const height = line.lanes.length * ROW + 26;
  const isSeen = (began, ended) => ended >= from && began <= to;
  if (!line.lanes.length) return <p class="quiet">Nothing has run yet.</p>;
  return (
    <div class="drawing">
      <div class="zoom">
        <button onClick={() => nearer(0.5)} aria-label="Nearer">+</button>
        <button onClick={() => nearer(2)} aria-label="Farther" disabled={!isPart}>−</button>
        {isPart && <button onClick={whole}>Whole</button>}
      </div>
      <svg {...drawn} viewBox={`0 0 ${LEFT + WIDE + RIGHT} ${height}`} class="timeline" role="group" aria-label="Timeline of the Run">
        {Array.from({ length: TICKS + 1 }, (_, i) => from + ((to - from) * i) / TICKS).map((at) => (
          <g class="tick">
            <line x1={x(at)} x2={x(at)} y1="0" y2={height - 20} />
            <text x={x(at)} y={height - 6} text-anchor="middle">{span(at - line.began_at)}</text>
          </g>
        ))}
        {line.lanes.map((lane, row) => (
          <g transform={`translate(0 ${row * ROW})`}>
            <text x="4" y="20" class="lane">Sandbox {lane.sandbox}</text>
            {lane.spans.filter((one) => isSeen(one.entered_at, one.left_at ?? until)).map((one) => {
              const end = one.left_at ?? until;
              const left = Math.max(x(one.entered_at), LEFT);
              const wide = Math.max(Math.min(x(end), LEFT + WIDE) - left, 2);
              const kind = one.is_running ? "running" : one.failed ? "failed" : one.is_body ? "body" : "succeeded";
              const label = one.count > 1 ? `${one.label} × ${one.count}` : one.step;
              return (
                <g class={`bar ${kind}`}>
                  <title>{`${one.step}, Attempt ${one.attempt}: ${span(end - one.entered_at)} ${one.text}`}</title>
                  <rect x={left} y="4" width={wide} height={ROW - 8} rx="3" />
                  {wide > label.length * 6.6 + 6 && <text x={left + 5} y="20">{label}</text>}
                </g>
              );
            })}
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
  );
}
