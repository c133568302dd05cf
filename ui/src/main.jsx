// The page: which part of it the address names, and whether the server is there.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Functions, Objects } from "./functions.jsx";
import { List } from "./list.jsx";
import { Now } from "./now.jsx";
import { Run } from "./run.jsx";
import "./style.css";

const PAGES = { now: Now, functions: Functions, objects: Objects };
const FIELDS = ["INPUT", "SELECT", "TEXTAREA"];

/** What the address names after its `#`: a page, the Run, and what stands after the `?`. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, run = ""] = path.split("/");
  return { page, run: decodeURIComponent(run), query: Object.fromEntries(new URLSearchParams(query)) };
}

const Sign = () => (
  <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" aria-hidden="true">
    <path d="M2 5 C8 5 12 15 18 15 M2 15 C4.5 15 6.6 13.2 8.4 11.2 M11.6 8.8 C13.4 6.8 15.5 5 18 5" />
  </svg>
);

function Page() {
  const [at, go] = useState(place());
  const [isThere, lives] = useState(true);
  const [isLocked, lock] = useState(false);
  useEffect(() => {
    const moved = () => go(place());
    const locked = ({ detail }) => lock(detail);
    const pressed = (event) => {
      if (event.key === "/" && !FIELDS.includes(event.target.tagName)) {
        event.preventDefault();
        const search = document.getElementById("search");
        if (search) search.focus();
        else location.hash = "#/?focus=search";
      }
    };
    addEventListener("hashchange", moved);
    addEventListener("keydown", pressed);
    addEventListener("locked", locked);
    return () => (removeEventListener("hashchange", moved), removeEventListener("keydown", pressed), removeEventListener("locked", locked));
  }, []);
  const { page, run, query } = at;
  const Shown = PAGES[page] ?? List;
  const title = run || { now: "Now", functions: "Functions", objects: "Objects" }[page] || "Runs";
  useEffect(() => void (document.title = `${title} · weftrun`), [title]);
  const here = (name) => (page === name || (name === "" && page === "run") ? "page" : undefined);
  const said = isLocked ? "This page is no longer let in: open the address that the server prints now." : isThere ? "" : "The server is not there. Trying again…";
  return (
    <>
      <header>
        <a href="#/" class="name"><Sign />weftrun</a>
        <nav aria-label="Pages">
          <a href="#/" aria-current={here("")}>Runs</a>
          <a href="#/now" aria-current={here("now")}>Now</a>
          <a href="#/functions" aria-current={here("functions")}>Functions</a>
          <a href="#/objects" aria-current={here("objects")}>Objects</a>
        </nav>
        <span role="status">{said}</span>
      </header>
      {page === "run" && run ? <Run key={run} id={run} step={query.step ?? ""} lives={lives} /> : <Shown key={page} query={query} lives={lives} />}
    </>
  );
}

render(<Page />, document.getElementById("app"));
