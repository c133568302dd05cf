// The graph of a Run: Steps as boxes, values as solid lines, mere order as dotted ones. Layout by dagre.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { MARKS } from "./words.js";

const HEIGHT = 34;
const LETTER = 7.2;
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

/** Boxes as they were drawn last: what stands as before is not drawn again, however many there are. */
function useBoxes(places, chosen, choose) {
  const drawn = useRef({ places: null, boxes: new Map() });
  if (drawn.current.places !== places) drawn.current = { places, boxes: new Map() };
  return (node) => {
    const key = `${node.status} ${node.share} ${chosen === node.id}`;
    const before = drawn.current.boxes.get(node.id);
    if (before?.key === key) return before.box;
    const box = <Box node={node} at={places.boxes[node.id]} isChosen={chosen === node.id} choose={choose} />;
    drawn.current.boxes.set(node.id, { key, box });
    return box;
  };
}

const Box = ({ node, at, isChosen, choose }) => (
  <g
    class={`node ${node.status} ${isChosen ? "chosen" : ""}`} tabindex="0" role="button"
    transform={`translate(${at.x - at.width / 2} ${at.y - HEIGHT / 2})`} onClick={() => choose(node.id)}
    onKeyDown={(event) => event.key === "Enter" && choose(node.id)}
  >
    <title>{`${node.label}: ${node.status}`}</title>
    <rect class="box" width={at.width} height={HEIGHT} rx="7" />
    {node.share !== null && <rect class="share" x="6" y={HEIGHT - 6} width={(at.width - 12) * node.share} height="3" rx="1.5" />}
    <text x="10" y="21.5"><tspan class="mark">{MARKS[node.status]}</tspan>{` ${short(node.label)}`}</text>
  </g>
);

export function Graph({ shown, chosen, choose }) {
  const shape = useMemo(() => shapeOf(shown), [shown.nodes.length, shown.edges.length, shown.nodes.at(-1)?.label]);
  const places = usePlaces(shape);
  const latest = useRef(choose);
  latest.current = choose;
  const box = useBoxes(places, chosen, (id) => latest.current(id));
  const lines = useMemo(
    () => places?.lines.map(({ points, isControl }) => <path d={path(points)} class={`edge ${isControl ? "control" : ""}`} marker-end="url(#tip)" />),
    [places],
  );
  const leaves = leavesOf(shown).filter((node) => places?.boxes[node.id]);
  if (!leavesOf(shown).length) return <p class="body quiet">No Step is known yet.</p>;
  if (!places) return <p class="body quiet">Drawing…</p>;
  const { width, height } = places;
  return (
    <div class="drawing" tabindex="0" role="group" aria-label="Graph of the Run">
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
        <defs>
          <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
            <path d="M0 0 L8 4 L0 8 z" class="tip" />
          </marker>
        </defs>
        {lines}
        {leaves.map(box)}
      </svg>
    </div>
  );
}
