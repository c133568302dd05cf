// When and where Steps ran: a lane for each Sandbox, a bar for each Attempt or Batch.

import { span } from "./words.js";

const ROW = 30;
const LEFT = 96;
const WIDE = 900;
const TICKS = 5;

export function Timeline({ line }) {
  const until = Math.max(line.over_at ?? 0, ...line.lanes.flatMap((lane) => lane.spans.map((one) => one.left_at ?? 0)));
  const whole = Math.max(until - line.began_at, 1e-6);
  const x = (at) => LEFT + ((at - line.began_at) / whole) * WIDE;
  const height = line.lanes.length * ROW + 26;
  if (!line.lanes.length) return <p class="quiet">Nothing has run yet.</p>;
  return (
    <div class="drawing">
      <svg viewBox={`0 0 ${LEFT + WIDE + 34} ${height}`} class="timeline" role="group" aria-label="Timeline of the Run">
        {Array.from({ length: TICKS + 1 }, (_, i) => line.began_at + (whole * i) / TICKS).map((at) => (
          <g class="tick">
            <line x1={x(at)} x2={x(at)} y1="0" y2={height - 20} />
            <text x={x(at)} y={height - 6} text-anchor="middle">{span(at - line.began_at)}</text>
          </g>
        ))}
        {line.lanes.map((lane, row) => (
          <g transform={`translate(0 ${row * ROW})`}>
            <text x="4" y="20" class="lane">Sandbox {lane.sandbox}</text>
            {lane.spans.map((one) => {
              const end = one.left_at ?? until;
              const wide = Math.max(x(end) - x(one.entered_at), 2);
              const kind = one.is_running ? "running" : one.failed ? "failed" : one.is_body ? "body" : "succeeded";
              const label = one.count > 1 ? `${one.label} × ${one.count}` : one.step;
              return (
                <g class={`bar ${kind}`}>
                  <title>{`${one.step}, Attempt ${one.attempt}: ${span(end - one.entered_at)} ${one.text}`}</title>
                  <rect x={x(one.entered_at)} y="4" width={wide} height={ROW - 8} rx="3" />
                  {wide > label.length * 6.6 + 6 && <text x={x(one.entered_at) + 5} y="20">{label}</text>}
                </g>
              );
            })}
          </g>
        ))}
      </svg>
    </div>
  );
}
