// Small parts that several pages show.

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
