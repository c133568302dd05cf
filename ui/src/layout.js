// A worker of the page: it gets boxes and lines, and answers where they are to be drawn. By dagre.

import dagre from "@dagrejs/dagre";

const QUICK = 300; // over so many boxes the finer way takes too long

onmessage = ({ data }) => {
  const { boxes, lines } = JSON.parse(data);
  const drawn = new dagre.graphlib.Graph({ multigraph: true });
  const ranker = boxes.length > QUICK ? "longest-path" : "network-simplex";
  drawn.setGraph({ rankdir: "LR", ranker, nodesep: 14, ranksep: 46, marginx: 8, marginy: 8 });
  drawn.setDefaultEdgeLabel(() => ({}));
  for (const { id, width, height } of boxes) drawn.setNode(id, { width, height });
  for (const edge of lines) drawn.setEdge(edge.source, edge.target, { isControl: edge.is_control }, String(edge.is_control));
  dagre.layout(drawn);
  const { width = 0, height = 0 } = drawn.graph();
  postMessage({
    width, height,
    boxes: Object.fromEntries(boxes.map(({ id }) => [id, drawn.node(id)])),
    lines: drawn.edges().map((edge) => drawn.edge(edge)),
  });
};
