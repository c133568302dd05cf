// The graph of a Run: Steps as boxes, values as solid lines, mere order as dotted ones. Layout by dagre.

import { useEffect, useState } from "preact/hooks";
import { MARKS } from "./words.js";

const HEIGHT = 34;
const LETTER = 7.4;
const SHOWN = 34;

const short = (label) => (label.length > SHOWN ? `${label.slice(0, SHOWN - 1)}…` : label);
const widthOf = (label) => Math.max(70, (short(label).length + 3) * LETTER + 14);

const leavesOf = (shown) => shown.nodes.filter((node) => !node.is_body);

/** What is to be placed: statuses are not among it, since they change while the places stay. */
function shapeOf(shown) {
  const boxes = leavesOf(shown).map((node) => ({ id: node.id, width: widthOf(node.label), height: HEIGHT }));
  const known = new Set(boxes.map((box) => box.id));
  const lines = shown.edges.filter((edge) => known.has(edge.source) && known.has(edge.target));
  return JSON.stringify({ boxes, lines });
}

/** Places, found beside the page, so that it never stands still for them; null until they are there. */
function usePlaces(shape) {
  const [places, setPlaces] = useState(null);
  useEffect(() => {
    const worker = new Worker(new URL("layout.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => setPlaces(data);
    worker.postMessage(shape);
    return () => worker.terminate();
  }, [shape]);
  return places;
}

const path = (points) => points.map(({ x, y }, i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

export function Graph({ shown, chosen, choose }) {
  const places = usePlaces(shapeOf(shown));
  const leaves = leavesOf(shown).filter((node) => places?.boxes[node.id]);
  if (!leavesOf(shown).length) return <p class="quiet">No Step is known yet.</p>;
  if (!places) return <p class="quiet">Drawing…</p>;
  const { width, height, boxes, lines } = places;
  return (
    <div class="drawing">
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="group" aria-label="Graph of the Run">
        <defs>
          <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
            <path d="M0 0 L8 4 L0 8 z" class="tip" />
          </marker>
        </defs>
        {lines.map(({ points, isControl }) => (
          <path d={path(points)} class={`edge ${isControl ? "control" : ""}`} marker-end="url(#tip)" />
        ))}
        {leaves.map((node) => {
          const { x, y, width: w } = boxes[node.id];
          return (
            <g
              key={node.id} class={`node ${node.status} ${chosen === node.id ? "chosen" : ""}`} tabindex="0" role="button"
              transform={`translate(${x - w / 2} ${y - HEIGHT / 2})`} onClick={() => choose(node.id)}
              onKeyDown={(event) => event.key === "Enter" && choose(node.id)}
            >
              <title>{`${node.label}: ${node.status}`}</title>
              <rect width={w} height={HEIGHT} rx="5" />
              {node.share !== null && <rect class="share" y={HEIGHT - 5} width={w * node.share} height="4" />}
              <text x="10" y="22">{`${MARKS[node.status]} ${short(node.label)}`}</text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}
