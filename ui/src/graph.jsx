// The graph of a Run: Steps as boxes, values as solid lines, mere order as dotted ones. Layout by dagre.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { bodiesOf, drawnOf } from "./folding.js";
import { pressed, useStops } from "./stops.js";
import { bytes, MARKS } from "./words.js";

const HEIGHT = 34;
const TOGGLE = 28;
const LETTER = 7.2;
const SHOWN = 34;
const FAR = 2000;
const PAUSES = 10; // times as long as a layout took, between two of a graph that grows
const LARGE = 150; // over so many boxes only what is seen is drawn

const short = (label) => (label.length > SHOWN ? `${label.slice(0, SHOWN - 1)}…` : label);
const widthOf = (label) => Math.max(70, (short(label).length + 3) * LETTER + 14);

const labelOf = ({ node, steps }) => (steps ? `${node.label} (${steps.toLocaleString()} ${steps === 1 ? "Step" : "Steps"} inside)` : node.label);
const wordsOf = (moved) => (moved ? `⇄ ${bytes(moved.nbytes)}` : "");
const roomOf = (box) => widthOf(labelOf(box)) + (box.node.is_body ? TOGGLE : 0);

/** What is to be placed: statuses are not among it, since they change while the places stay. */
function shapeOf(drawn, came) {
  const boxes = drawn.boxes.map((box) => ({ id: box.node.id, width: roomOf(box), height: HEIGHT, parent: box.parent }));
  const frames = [...drawn.frames].map(([id, parent]) => ({ id, parent }));
  const lines = drawn.lines.map(({ source, target, is_control }) => ({ source, target, is_control, width: wordsOf(came.get(`${source} ${target}`)).length * LETTER }));
  return JSON.stringify({ boxes, frames, lines });
}

/** Places, found beside the page, so that it never stands still for them; null until they are there. */
function usePlaces(shape, folds) {
  const [places, setPlaces] = useState(null);
  const at = useRef({ worker: null, began: 0, pause: 0, due: 0, shape: "", folds });
  useEffect(() => {
    const known = at.current;
    known.worker = new Worker(new URL("layout.js", import.meta.url), { type: "module" });
    known.worker.onmessage = ({ data }) => {
      known.pause = PAUSES * (performance.now() - known.began);
      setPlaces(data);
    };
    return () => (clearTimeout(known.due), known.worker.terminate());
  }, []);
  useEffect(() => {
    const known = at.current;
    const place = () => {
      known.due = 0;
      known.began = performance.now();
      known.worker.postMessage(known.shape);
    };
    known.shape = shape;
    if (known.folds !== folds) clearTimeout(known.due), (known.folds = folds), place(); // who folds does not wait
    else known.due ||= setTimeout(place, Math.max(0, known.began ? known.began + known.pause - performance.now() : 0));
  }, [shape]);
  return places;
}

const path = (points) => points.map(({ x, y }, i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** The part of a large drawing that is seen, with as much again around it: only that is in the document. */
function usePart(places) {
  const frame = useRef(null);
  const [part, setPart] = useState({ left: -FAR, top: -FAR, right: FAR, bottom: FAR });
  const look = () => {
    const box = frame.current;
    if (!box) return;
    const { scrollLeft: x, scrollTop: y, clientWidth: w, clientHeight: h } = box;
    setPart((old) =>
      x - w / 2 >= old.left && x + 1.5 * w <= old.right && y - h / 2 >= old.top && y + 1.5 * h <= old.bottom && old.w === w
        ? old : { left: x - w, right: x + 2 * w, top: y - h, bottom: y + 2 * h, w },
    );
  };
  useEffect(look, [places]);
  const isSeen = (left, top, right, bottom) => right >= part.left && left <= part.right && bottom >= part.top && top <= part.bottom;
  return [frame, look, part, isSeen];
}

/** Boxes as they were drawn last: what stands as before is not drawn again, however many there are. */
function useBoxes(places, chosen, choose, toggle) {
  const drawn = useRef({ places: null, boxes: new Map() });
  if (drawn.current.places !== places) drawn.current = { places, boxes: new Map() };
  return (box) => {
    const { node } = box;
    const key = `${node.status} ${node.share} ${chosen === node.id} ${box.isOpen} ${box.steps}`;
    const before = drawn.current.boxes.get(node.id);
    if (before?.key === key) return before.drawn;
    const told = <Box box={box} at={places.boxes[node.id]} isChosen={chosen === node.id} choose={choose} toggle={toggle} />;
    drawn.current.boxes.set(node.id, { key, drawn: told });
    return told;
  };
}

function Box({ box, at, isChosen, choose, toggle }) {
  const { node, isOpen } = box;
  const label = labelOf(box);
  const room = at.width - (node.is_body ? TOGGLE : 0);
  return (
    <g class={`node ${node.status} ${isChosen ? "chosen" : ""} ${box.steps ? "folded" : ""}`} transform={`translate(${at.x - at.width / 2} ${at.y - HEIGHT / 2})`}>
      {box.steps > 0 && <rect class="behind" x="4" y="4" width={at.width} height={HEIGHT} rx="7" />}
      <g class="stop" tabindex="-1" role="button" aria-label={`${label}: ${node.status}`} aria-pressed={isChosen} {...pressed(() => choose(node.id))}>
        <title>{`${label}: ${node.status}`}</title>
        <rect class="box" width={at.width} height={HEIGHT} rx="7" />
        {node.share !== null && <rect class="share" x="6" y={HEIGHT - 6} width={(room - 12) * node.share} height="3" rx="1.5" />}
        <text x="10" y="21.5"><tspan class="mark">{MARKS[node.status]}</tspan>{` ${short(label)}`}</text>
      </g>
      {node.is_body && (
        <g class="stop fold" tabindex="-1" role="button" aria-expanded={isOpen} aria-label={`${isOpen ? "Fold" : "Unfold"} ${node.label}`} {...pressed(() => toggle(node.id))}>
          <title>{`${isOpen ? "Fold" : "Unfold"} ${node.label}`}</title>
          <rect class="handle" x={room} y="5" width={TOGGLE - 6} height={HEIGHT - 10} rx="5" />
          <text x={room + (TOGGLE - 6) / 2} y="21.5" text-anchor="middle">{isOpen ? "−" : "+"}</text>
        </g>
      )}
    </g>
  );
}

/** What came from host to host along each line; from the Steps that took it. */
function cameOf(steps) {
  const came = new Map();
  for (const step of steps) {
    for (const one of step.came ?? []) {
      if (one.way !== "local") came.set(`${one.step} ${step.id}`, one);
    }
  }
  return came;
}

/** Which child workflows are open: as somebody has said, else all of a small graph; and those around the chosen Step. */
function useFolds(shown, chosen) {
  const [said, say] = useState({});
  const { children, around, isLarge } = bodiesOf(shown);
  const chosenIn = new Set(chosen ? around(chosen) : []);
  const isOpen = (id) => said[id] ?? (chosenIn.has(id) || !isLarge);
  const toggle = (id) => say((old) => ({ ...old, [id]: !(old[id] ?? isOpen(id)) }));
  const all = (flag) => say(Object.fromEntries(children.map(({ id }) => [id, flag])));
  return { isOpen, toggle, all, children, key: children.map(({ id }) => Number(isOpen(id))).join("") };
}

function Folds({ folds }) {
  if (!folds.children.length) return null;
  const open = folds.children.filter(({ id }) => folds.isOpen(id)).length;
  return (
    <p class="body facts">
      <span class="chips">
        {open < folds.children.length && <button onClick={() => folds.all(true)}>Unfold child workflows</button>}
        {open > 0 && <button onClick={() => folds.all(false)}>Fold child workflows</button>}
      </span>
    </p>
  );
}

export function Graph({ shown, steps, chosen, choose }) {
  const folds = useFolds(shown, chosen);
  const drawn = drawnOf(shown, folds.isOpen);
  const came = useMemo(() => cameOf(steps), [steps]);
  const shape = useMemo(() => shapeOf(drawn, came), [came.size, shown.nodes.length, shown.edges.length, shown.nodes.at(-1)?.label, folds.key]);
  const places = usePlaces(shape, folds.key);
  const latest = useRef({});
  latest.current = { choose, toggle: folds.toggle };
  const box = useBoxes(places, chosen, (id) => latest.current.choose(id), (id) => latest.current.toggle(id));
  const [frame, look, part, isSeen] = usePart(places);
  const stops = useStops();
  const isLarge = shown.nodes.length > LARGE;
  const lines = useMemo(
    () =>
      places?.lines
        .filter(({ points: [first], points }) => !isLarge || isSeen(first.x, Math.min(first.y, points.at(-1).y), points.at(-1).x, Math.max(first.y, points.at(-1).y)))
        .map((line) => <Line line={line} moved={came.get(`${line.source} ${line.target}`)} />),
    [places, part, isLarge, came],
  );
  const isDrawn = ({ x, y, width }) => !isLarge || isSeen(x - width / 2, y - HEIGHT, x + width / 2, y + HEIGHT);
  const boxes = drawn.boxes.filter(({ node }) => places?.boxes[node.id] && isDrawn(places.boxes[node.id]));
  if (!drawn.boxes.length) return <p class="body quiet">No Step is known yet.</p>;
  if (!places) return <p class="body quiet">Drawing…</p>;
  const { width, height } = places;
  return (
    <>
      <div class="drawing" ref={frame} onScroll={look} tabindex="0" role="group" aria-label="Graph of the Run; arrow keys go from Step to Step" {...stops}>
        <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
          <defs>
            <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
              <path d="M0 0 L8 4 L0 8 z" class="tip" />
            </marker>
          </defs>
          {places.frames.filter(({ id }) => drawn.frames.has(id)).map(({ id, x, y, width: wide, height: high }) => <rect key={id} class="frame" x={x - wide / 2} y={y - high / 2} width={wide} height={high} rx="9" />)}
          {lines}
          {boxes.map(box)}
        </svg>
      </div>
      <Folds folds={folds} />
    </>
  );
}

/** A line; of what came from another host, with how many bytes that were. */
function Line({ line: { points, isControl, x, y }, moved }) {
  return (
    <>
      <path d={path(points)} class={`edge ${isControl ? "control" : ""} ${moved ? "moved" : ""}`} marker-end="url(#tip)" />
      {moved && (
        <text class="came" x={x} y={y + 4} text-anchor="middle">
          <title>{`${bytes(moved.nbytes)} ${moved.way === "sent" ? "sent by the engine" : `from Worker ${moved.worker}`}`}</title>
          {wordsOf(moved)}
        </text>
      )}
    </>
  );
}
