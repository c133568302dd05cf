// A worker of the page: it gets boxes, frames and lines, and answers where they are to be drawn. By dagre.

import dagre from "@dagrejs/dagre";

const QUICK = 300; // over so many boxes the finer way takes too long
const HEAD = 20;
const WORDS = 15;

onmessage = ({ data }) => {
  const { boxes, frames, lines } = JSON.parse(data);
  const drawn = new dagre.graphlib.Graph({ multigraph: true, compound: frames.length > 0 });
  const ranker = boxes.length > QUICK ? "longest-path" : "network-simplex";
  drawn.setGraph({ rankdir: "LR", ranker, nodesep: 14, ranksep: 46, marginx: 8, marginy: 8 });
  drawn.setDefaultEdgeLabel(() => ({}));
  for (const { id } of frames) drawn.setNode(`frame ${id}`, {});
  for (const { id, width, height } of boxes) drawn.setNode(id, { width, height });
  for (const { id, parent } of frames) if (parent) drawn.setParent(`frame ${id}`, `frame ${parent}`);
  for (const { id, parent } of boxes) if (parent) drawn.setParent(id, `frame ${parent}`);
  for (const edge of lines) drawn.setEdge(edge.source, edge.target, { isControl: edge.is_control, source: edge.source, target: edge.target, ...(edge.width && { width: edge.width, height: WORDS, labelpos: "c" }) }, String(edge.is_control));
  dagre.layout(drawn);
  const { width = 0, height = 0 } = drawn.graph();
  postMessage({
    width, height: height + (frames.length ? HEAD : 0),
    boxes: Object.fromEntries(boxes.map(({ id }) => [id, drawn.node(id)])),
    frames: frames.map(({ id }) => ({ ...drawn.node(`frame ${id}`), id })),
    lines: drawn.edges().map((edge) => drawn.edge(edge)),
  });
};
