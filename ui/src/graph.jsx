// The graph of a Run: Steps as boxes, values as solid lines, mere order as dotted ones. Layout by dagre.

import dagre from "@dagrejs/dagre";
import { useMemo } from "preact/hooks";
import { MARKS } from "./words.js";

const HEIGHT = 34;
const LETTER = 7.4;
const SHOWN = 34;

const short = (label) => (label.length > SHOWN ? `${label.slice(0, SHOWN - 1)}…` : label);
const widthOf = (label) => Math.max(70, (short(label).length + 3) * LETTER + 14);

const leavesOf = (shown) => shown.nodes.filter((node) => !node.is_body);

/** Places boxes and lines; statuses are not asked for here, since they change while the places stay. */
function layout(shown) {
  const drawn = new dagre.graphlib.Graph({ compound: true, multigraph: true });
  drawn.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 46, marginx: 8, marginy: 8 });
  drawn.setDefaultEdgeLabel(() => ({}));
  const leaves = leavesOf(shown);
  const known = new Set(leaves.map((node) => node.id));
  for (const node of leaves) drawn.setNode(node.id, { width: widthOf(node.label), height: HEIGHT });
  for (const edge of shown.edges) {
    if (known.has(edge.source) && known.has(edge.target)) drawn.setEdge(edge.source, edge.target, { edge }, String(edge.is_control));
  }
  dagre.layout(drawn);
  return drawn;
}

const path = (points) => points.map(({ x, y }, i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

export function Graph({ shown, chosen, choose }) {
  const shape = JSON.stringify([shown.nodes.map((node) => [node.id, node.label]), shown.edges]);
  const drawn = useMemo(() => layout(shown), [shape]);
  const leaves = leavesOf(shown);
  const { width = 0, height = 0 } = drawn.graph();
  if (!leaves.length) return <p class="quiet">No Step is known yet.</p>;
  return (
    <div class="drawing">
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="group" aria-label="Graph of the Run">
        <defs>
          <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
            <path d="M0 0 L8 4 L0 8 z" class="tip" />
          </marker>
        </defs>
        {drawn.edges().map((edge) => {
          const { points, edge: own } = drawn.edge(edge);
          return <path d={path(points)} class={`edge ${own.is_control ? "control" : ""}`} marker-end="url(#tip)" />;
        })}
        {leaves.map((node) => {
          const { x, y, width: w } = drawn.node(node.id);
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
