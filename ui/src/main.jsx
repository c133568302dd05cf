// The page: which part of it the address names, and whether the server is there.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Functions, Objects } from "./functions.jsx";
import { List } from "./list.jsx";
import { Now } from "./now.jsx";
import { Run } from "./run.jsx";
import "./style.css";

const PAGES = { now: Now, functions: Functions, objects: Objects };

/** What the address names after its `#`: a page, the Run and the Step. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, run = ""] = path.split("/");
  return { page, run: decodeURIComponent(run), step: new URLSearchParams(query).get("step") ?? "" };
}

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
  const { page, run, step } = at;
  const Shown = PAGES[page] ?? List;
  useEffect(() => void (document.title = run ? `${run} · weftrun` : "weftrun"), [run]);
  const here = (name) => (page === name ? "page" : undefined);
  return (
    <>
      <header>
        <a href="#/" class="name">weftrun</a>
        <nav>
          <a href="#/" aria-current={here("")}>Runs</a> <a href="#/now" aria-current={here("now")}>Now</a>{" "}
          <a href="#/functions" aria-current={here("functions")}>Functions</a>{" "}
          <a href="#/objects" aria-current={here("objects")}>Objects</a>
        </nav>
        <span role="status">{isThere ? "" : "The server is not there. Trying again…"}</span>
      </header>
      {page === "run" && run ? <Run key={run} id={run} step={step} lives={lives} /> : <Shown key={page} lives={lives} />}
    </>
  );
}

render(<Page />, document.getElementById("app"));
