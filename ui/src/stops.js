// Arrow keys within a drawing: it is one stop of the Tab key, however many things are in it.

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ASIDE = 3; // what lies aside counts so many times as much as what lies ahead

const middleOf = (one) => {
  const { left, top, width, height } = one.getBoundingClientRect();
  return [left + width / 2, top + height / 2];
};

/** The nearest of them in that direction. */
function nearest(stops, from, [x, y]) {
  const [fromX, fromY] = middleOf(from);
  let best = null;
  for (const stop of stops) {
    if (stop === from) continue;
    const [toX, toY] = middleOf(stop);
    const ahead = (toX - fromX) * x + (toY - fromY) * y;
    if (ahead <= 1) continue;
    const far = ahead + ASIDE * Math.abs((toX - fromX) * y + (toY - fromY) * x);
    if (!best || far < best.far) best = { far, stop };
  }
  return best?.stop;
}

/** For the frame of a drawing, whose things to press are of the class `stop`. */
export const useStops = () => ({
  onKeyDown: (event) => {
    const way = WAYS[event.key];
    const at = event.target.closest(".stop");
    const ends = event.key === "Home" || event.key === "End";
    if ((!way && !ends) || event.ctrlKey || event.metaKey || event.altKey) return;
    const stops = [...event.currentTarget.querySelectorAll(".stop")];
    const next = ends ? stops.at(event.key === "Home" ? 0 : -1) : at ? nearest(stops, at, way) : stops[0];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
  },
});

/** Does what a button does, for keys, too. */
export const pressed = (act) => ({
  onClick: act,
  onKeyDown: (event) => {
    if (event.key === "Enter" || event.key === " ") event.preventDefault(), act();
  },
});
