// A Run as the page knows it: read in parts, mended by what the newest records say, and read again now and then.

import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.js";

const QUICK = { parts: ["steps", "graph"], pause_ms: 100, pauses: 30 };
const FULL = { parts: ["timeline", "story", "logs"], pause_ms: 250, pauses: 30 };
const LONG = 20_000; // the story of so many Steps is told only to who asks for it
const LONG_PARTS = ["timeline", "logs"];

const AGAIN_MS = 1000;
const STEPS = 600; // as many as are asked for
const UNKNOWN = { function: "", is_map: false, items: null, items_done: 0, items_failed: 0, waited_s: 0, running: [], came: [], cause: "", unrecorded: "" };

/** Mends what is shown by what records have just told of Steps. What follows from them is read soon after. */
function mended(seen, pulse) {
  const told = new Map();
  for (const one of pulse.steps) {
    const before = told.get(one.step);
    told.set(one.step, before ? { ...one, items: one.items + before.items, body_s: one.body_s + before.body_s } : one);
  }
  const stepOf = (step) => {
    const one = told.get(step.id);
    if (!one) return step;
    if (step.is_map && one.items) return { ...step, status: step.status === "pending" ? "running" : step.status, items_done: Math.min(step.items ?? Infinity, step.items_done + one.items) };
    return { ...step, status: one.status, attempts: one.attempts, body_s: one.body_s, preview: one.preview, error: one.error };
  };
  const nodeOf = (node) => (told.has(node.id) && !told.get(node.id).items ? { ...node, status: told.get(node.id).status } : node);
  const run = { ...seen.run, status: pulse.status, waiting_for: pulse.waiting_for };
  if (!told.size) return { ...seen, run };
  const steps = seen.steps.map(stepOf);
  const known = new Set(steps.map((step) => step.id));
  for (const one of told.values()) {
    // Of an async body's call the page may not have heard before.
    if (!known.has(one.step) && !one.items && steps.length < STEPS) steps.push({ ...UNKNOWN, ...one, id: one.step });
  }
  return { ...seen, run, steps, graph: { ...seen.graph, nodes: seen.graph.nodes.map(nodeOf) } };
}

/** The Steps that were read, those that stand as before being the same objects, so that nothing of them is drawn again. */
function shared(old, steps) {
  if (!old || !steps) return steps;
  const known = new Map(old.map((step) => [step.id, step]));
  const lists = ["running", "came"]; // of `came` a settled Step has as many as before, and the same
  const isSame = (one, other) => other && one.running.length === 0 && Object.keys(one).every((key) => (lists.includes(key) ? one[key].length === other[key]?.length : one[key] === other[key]));
  return steps.map((step) => (isSame(step, known.get(step.id)) ? known.get(step.id) : step));
}

/** Reads again when it was asked to, at most every so often, and never so often that it costs the server much. */
class Reading {
  constructor(kind, read) {
    this.kind = kind;
    this.read = read;
    this.due = 0;
    this.pause = 0;
    this.isWanted = false;
    this.isReading = false;
  }

  want(isAtOnce = false) {
    this.isWanted = true;
    if (this.isReading || (this.due && !isAtOnce)) return;
    clearTimeout(this.due);
    this.due = setTimeout(() => this.go(), isAtOnce ? 0 : this.pause);
  }

  async go() {
    this.due = 0;
    this.isWanted = false;
    this.isReading = true;
    const began = performance.now();
    await this.read(this.kind.parts);
    this.isReading = false;
    this.pause = Math.max(this.kind.pause_ms, this.kind.pauses * (performance.now() - began));
    if (this.isWanted) this.want();
  }

  end() {
    clearTimeout(this.due);
    this.due = -1;
  }
}

/** All that the page shows of a Run; live. */
export function useRun(id, chosen, lives) {
  const [seen, setSeen] = useState(null);
  const [trouble, setTrouble] = useState("");
  const [isGone, go] = useState(false);
  const kept = useRef({});
  useEffect(() => {
    let over = false;
    let end = null;
    const known = (kept.current = { rows: 0, story: false, chosen: "" });
    const read = async (parts) => {
      const size = known.steps ?? 0;
      const wanted = parts !== FULL.parts ? parts : size > LONG && !known.story ? LONG_PARTS : parts;
      try {
        const told = await api.view(id, wanted, known.chosen);
        if (over) return;
        known.rows = Math.max(known.rows, told.rows);
        known.steps = Object.values(told.run.whole_steps).reduce((sum, count) => sum + count, 0);
        const kept = wanted === LONG_PARTS ? { story: null } : {};
        setSeen((old) => ({ ...old, ...told, ...(told.steps && { steps: shared(old?.steps, told.steps) }), ...kept, offset: told.at - Date.now() / 1000 }));
        setTrouble("");
        watch();
        if (parts === QUICK.parts && !known.full.pause) known.full.want(true);
      } catch (error) {
        if (over) return;
        const isOver = error.status === 410 || error.status === 404;
        if (isOver) go(true);
        else if (!end) known.again = setTimeout(() => quick.want(true), AGAIN_MS);
        setTrouble(error.message);
      }
    };
    const quick = (known.quick = new Reading(QUICK, read));
    const full = (known.full = new Reading(FULL, read));
    setSeen(null), go(false);
    quick.want(true);
    let waiting = [];
    let frame = 0;
    const mend = () => {
      const pulses = waiting;
      waiting = [];
      frame = 0;
      if (!over) setSeen((old) => (old?.steps ? pulses.reduce(mended, old) : old));
    };
    const heard = (name, data) => {
      if (name === "gone") return go(true), setTrouble(data.detail);
      known.rows = Math.max(known.rows, data.rows);
      waiting.push(data);
      frame ||= requestAnimationFrame(mend);
      quick.want(data.status !== "running"), full.want();
    };
    const watch = () => (end ??= api.watchRun(id, () => known.rows, heard, lives)); // from what is shown on
    return () => ((over = true), cancelAnimationFrame(frame), clearTimeout(known.again), quick.end(), full.end(), end?.());
  }, [id]);
  useEffect(() => {
    if (kept.current.chosen !== chosen) (kept.current.chosen = chosen), seen && kept.current.full.want(true);
  }, [chosen, seen === null]);
  const again = () => (kept.current.quick.want(true), kept.current.full.want(true));
  const tell = () => ((kept.current.story = true), kept.current.full.want(true));
  return { seen, trouble, isGone, again, tell, fail: setTrouble };
}
