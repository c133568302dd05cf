// The page: which part of it the address names, and whether the server is there.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { List } from "./list.jsx";
import { Run } from "./run.jsx";
import "./style.css";

const place = () => decodeURIComponent(location.hash.replace(/^#\/?/, ""));

function Page() {
  const [at, go] = useState(place());
  const [isThere, lives] = useState(true);
  useEffect(() => {
    const moved = () => go(place());
    const pressed = (event) => {
      if (event.key === "/" && !["INPUT", "SELECT"].includes(event.target.tagName)) {
        event.preventDefault();
        document.getElementById("search")?.focus();
      }
    };
    addEventListener("hashchange", moved);
    addEventListener("keydown", pressed);
    return () => (removeEventListener("hashchange", moved), removeEventListener("keydown", pressed));
  }, []);
  const run = at.startsWith("run/") ? at.slice(4) : "";
  useEffect(() => void (document.title = run ? `${run} · weftrun` : "weftrun"), [run]);
  return (
    <>
      <header>
        <a href="#/" class="name">weftrun</a>
        <span role="status">{isThere ? "" : "The server is not there. Trying again…"}</span>
      </header>
      {run ? <Run key={run} id={run} lives={lives} /> : <List lives={lives} />}
    </>
  );
}

render(<Page />, document.getElementById("app"));
