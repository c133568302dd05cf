// Small parts that several pages show.

import { useState } from "preact/hooks";
import { MARKS, moment, utc } from "./words.js";

export const Status = ({ status, note }) => (
  <span class={`status ${status}`}>
    <span aria-hidden="true">{MARKS[status]}</span> {status}
    {note && <small> waits for {note}</small>}
  </span>
);

export const Time = ({ at }) => <time title={utc(at)} datetime={utc(at)}>{moment(at)}</time>;

export const Trouble = ({ text }) => (text ? <p role="alert" class="trouble">{text}</p> : null);

/** A link to a Run, or to one Step of it. */
export const RunLink = ({ id, step }) => (
  <a href={`#/run/${encodeURIComponent(id)}${step ? `?step=${encodeURIComponent(step)}` : ""}`}>{id}</a>
);

const MORE = 200;

/** So many of a long list as are shown, and what shows more of them: a page of 100,000 rows would stand still. */
export function useMore(all) {
  const [count, setCount] = useState(MORE);
  const left = all.length - count;
  const more = left > 0 && <button onClick={() => setCount(count * 4)}>Show more ({left.toLocaleString()} left)</button>;
  return [all.slice(0, count), more];
}
