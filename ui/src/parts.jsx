// Small parts that several pages show.

import { useState } from "preact/hooks";
import { MARKS, moment, utc } from "./words.js";

export const Status = ({ status, note }) => (
  <>
    <span class={`status ${status}`}>
      <span class="shape" aria-hidden="true">{MARKS[status]}</span>{status}
    </span>
    {note && <span class="note">waits for {note}</span>}
  </>
);

export const Time = ({ at }) => <time title={utc(at)} datetime={at ? new Date(at * 1000).toISOString() : ""}>{moment(at)}</time>;

export const Trouble = ({ text }) => (text ? <p role="alert" class="trouble">{text}</p> : null);

export const Card = ({ title, head, class: kind = "", children, bare }) => (
  <section class={`card ${kind}`}>
    <div class="head"><h2>{title}</h2>{head}</div>
    {bare ? children : <div class="body">{children}</div>}
  </section>
);

/** A link to a Run, or to one Step of it. */
export const RunLink = ({ id, step }) => (
  <a href={`#/run/${encodeURIComponent(id)}${step ? `?step=${encodeURIComponent(step)}` : ""}`}>{id}</a>
);

const MORE = 200;

/** So many of a long list as are shown, and what shows more of them: a page of 100,000 rows would stand still. */
export function useMore(all) {
  const [count, setCount] = useState(MORE);
  const left = all.length - count;
  const more = left > 0 && <p class="left-out"><button onClick={() => setCount(count * 4)}>Show more ({left.toLocaleString()} left)</button></p>;
  return [all.slice(0, count), more];
}
