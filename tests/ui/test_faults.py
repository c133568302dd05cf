"""What goes wrong while somebody looks: the server stops, a Run is deleted, texts are hostile, a clock is off."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.http.serving import serving
from tests.ui import shop
from tests.ui.serving import browser, served

import weftrun
from weftrun.assembly import open_reader
from weftrun.entrypoints.cli import main

pytestmark = pytest.mark.sweep
_AHEAD = "const now = Date.now; Date.now = () => now() + 86_400_000;"
"""A clock of the viewer that is a day ahead."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture
def context(chromium: Any) -> Iterator[Any]:
    opened = chromium.new_context()
    yield opened
    opened.close()


def free_port() -> int:
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_the_server_stops_and_comes_back(context: Any, url: str, tmp_path: Path) -> None:
    """The page says so; it is not let in by a server that has another token; once it is, it goes on by itself."""
    page, port = context.new_page(), free_port()
    with weftrun.open(url) as engine:
        with served(url, port) as there:
            page.goto(there.address)
            page.get_by_text("No Run is here").wait_for()
            run = engine.start(shop.patience.options(id="p1"), str(tmp_path / "go"))
            page.get_by_role("link", name="p1").click()
            page.locator("svg .node.running").wait_for()
        page.get_by_text("The server is not there").wait_for()
        (tmp_path / "go").touch()
        assert run.result(60) == "it is there"
        with served(url, port) as there:
            page.get_by_text("This page is no longer let in").wait_for()
            context.new_page().goto(there.address)
            page.locator("h1 .status.succeeded").wait_for()
            page.locator("svg .node.succeeded").wait_for()
            page.get_by_role("status").get_by_text("no longer").wait_for(state="detached")


def test_a_token_ends(context: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page of `weftrun serve` asks for a token, and again when that is revoked."""
    database = ("--db", f"sqlite:///{tmp_path}/j.db")
    assert main(["token", "mine", "--json", *database]) == 0
    secret = json.loads(capsys.readouterr().out)["token"]
    with serving(tmp_path, "--page", "--tokens") as server:
        page = context.new_page()
        page.goto(f"{server.url}/")
        field = page.get_by_label("Token")
        field.fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("The token is not known here").wait_for()
        field.fill(secret)
        page.keyboard.press("Enter")
        page.get_by_text("No Run is here").wait_for()
        assert main(["quota", "north", "--runs-at-once", "2", *database]) == 0
        page.get_by_role("link", name="Now").click()
        page.locator("tr", has_text="north").get_by_text("at most 2").wait_for()
        page.get_by_role("link", name="Runs").click()
        page.get_by_label("Tenant").select_option("north")
        page.get_by_text("No such Run is here").wait_for()
        assert page.url.endswith("#/?tenant=north")
        assert page.evaluate("document.cookie") == "", "no script reads the token"
        assert httpx.get(server.url).headers["content-security-policy"].startswith("default-src 'none'")
        assert main(["token", "mine", "--revoke", *database]) == 0
        page.get_by_role("link", name="Now").click()
        page.get_by_text("This server asks for a token").wait_for()


def test_texts_are_hostile_clocks_are_off_and_runs_go(context: Any, url: str, tmp_path: Path) -> None:
    name = "<img src=x onerror=hacked=1> \u202eright to left"
    with weftrun.open(url) as engine, served(url) as there:
        told = engine.run(shop.echo.options(id="hostile"), name, 10_000_000)
        assert told == name
        going = engine.start(shop.patience.options(id="p1"), str(tmp_path / "go"))
        page = context.new_page()
        page.add_init_script(_AHEAD)
        page.goto(there.address)
        page.goto(f"{there.root}#/run/p1")
        page.locator("svg .node.running").wait_for()
        page.locator(".matter", has_text="runs now").wait_for()
        took = page.locator(".facts span", has_text="For ").first.inner_text()
        assert took.endswith(" s"), f"by the server's clock it has just begun: {took}"

        page.goto(f"{there.root}#/run/hostile")
        page.locator("pre.logs", has_text="xxxx").wait_for()
        assert page.locator(".value", has_text="<img src=x").count() > 0, "a text, and no element"
        assert page.evaluate("'hacked' in window") is False
        assert page.locator("img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert len(page.locator("pre.logs").inner_text()) < 100_000

        reader = open_reader(url)
        reader.delete("hostile", forget=False)
        reader.close()
        page.get_by_text("This Run is not there any more").wait_for()
        (tmp_path / "go").touch()
        going.result(60)


def test_a_run_of_100_000_steps_is_shown(context: Any, url: str) -> None:
    with weftrun.open(url) as engine, served(url) as there:
        engine.run(shop.wide.options(id="wide"), 100_000)
        page = context.new_page()
        page.goto(there.address)
        page.goto(f"{there.root}#/run/wide")
        page.get_by_role("button", name="All 100,000").wait_for(timeout=90_000)
        page.locator("svg .node", has_text="leaf").wait_for()
        page.get_by_role("button", name="Show more (400 left)").first.wait_for()
        assert page.locator("*").count() < 6_000
