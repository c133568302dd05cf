// Child workflows in the graph: each is one box, or a frame with what its body has called.

const OPEN_MAX = 40; // with more boxes than these, child workflows are folded at first

/** Who is inside of whom. */
export function bodiesOf(shown) {
  const byId = new Map(shown.nodes.map((node) => [node.id, node]));
  const children = shown.nodes.filter((node) => node.is_body && node.body);
  const around = (id) => {
    const found = [];
    for (let body = byId.get(byId.get(id)?.body); body?.body; body = byId.get(body.body)) found.unshift(body.id);
    return found; // the outermost first; the Run's own body is none of them
  };
  return { byId, children, around, isLarge: shown.nodes.length > OPEN_MAX };
}

/** What is drawn: boxes, frames of child workflows that are open, and lines between what is seen. */
export function drawnOf(shown, isOpen) {
  const { around } = bodiesOf(shown);
  const inside = new Map();
  const seenAs = new Map(); // of each node the box that it is seen as: its own, or that of a folded workflow around it
  const frames = new Map();
  const boxes = [];
  for (const node of shown.nodes) {
    if (node.is_body && !node.body) continue;
    const bodies = around(node.id);
    const folded = bodies.find((body) => !isOpen(body));
    if (folded) {
      inside.set(folded, (inside.get(folded) ?? 0) + Math.max(1, node.is_body ? 1 : node.count));
      seenAs.set(node.id, folded);
      continue;
    }
    seenAs.set(node.id, node.id);
    const parent = node.is_body && isOpen(node.id) ? node.id : bodies.at(-1) ?? null;
    if (node.is_body && isOpen(node.id)) frames.set(node.id, bodies.at(-1) ?? null);
    boxes.push({ node, parent, isOpen: node.is_body && isOpen(node.id) });
  }
  const lines = new Map();
  const line = (source, target, is_control, edge) => {
    const key = `${source} ${target} ${is_control}`;
    if (source !== target && !lines.has(key)) lines.set(key, { source, target, is_control, edge });
  };
  for (const edge of shown.edges) {
    const [source, target] = [seenAs.get(edge.source), seenAs.get(edge.target)];
    if (source && target) line(source, target, edge.is_control, edge);
  }
  const reached = new Set([...lines.values()].map((one) => one.target));
  for (const { node, parent } of boxes) {
    if (parent && parent !== node.id && !reached.has(node.id)) line(parent, node.id, true, null); // begun by that body
  }
  return { boxes: boxes.map((box) => ({ ...box, steps: inside.get(box.node.id) ?? 0 })), frames, lines: [...lines.values()] };
}
