"""Runs that are open when code is deployed: with code that is kept, and with old and new engines side by side."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.conftest import until

import weftrun
from weftrun.assembly import code, open_reader, place_of, versions
from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId
from weftrun.model.policy import Bundle
from weftrun.ports.journal import RunInfo

APP = """
import sys
import weftrun
from weftrun import function, workflow

@function(effects="none")
def price(item):
    from shop.prices import PRICE
    return f"{item} {PRICE}"

@workflow
async def order(item):
    before = await price.step(item)
    await weftrun.signal("go", str)
    return before + ", " + await price.step(item)

if __name__ == "__main__":
    url, versions, *words = sys.argv[1:]
    with weftrun.open(url, versions=versions, sandboxes=1) as engine:
        for word in words:
            verb, id = word.split(":")
            if verb == "start":
                engine.start(order.options(id=id), "tea")
            elif verb == "queue":
                engine.start(order.options(id=id, queue="calm"), "tea")
            elif verb == "result":
                print(id, engine.get(id).result(60), flush=True)
            elif verb == "open":
                print("open", flush=True)
                sys.stdin.readline()
"""


class Shop:
    """A program in a folder, whose prices are another module's."""

    def __init__(self, folder: Path, url: str, price: int) -> None:
        self.folder = folder
        self.url = url
        (folder / "shop").mkdir(parents=True)
        (folder / "shop" / "__init__.py").touch()
        (folder / "app.py").write_text(APP)
        self.deploy(price)

    def deploy(self, price: int) -> None:
        """Change what another module than the entry has."""
        (self.folder / "shop" / "prices.py").write_text(f"PRICE = {price}\n")

    def begin(self, mode: str, *words: str) -> subprocess.Popen[str]:
        """Start the program."""
        command = [sys.executable, str(self.folder / "app.py"), self.url, mode, *words]
        return subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.folder)

    def run(self, mode: str, *words: str) -> str:
        """Run the program to its end and return what it printed."""
        process = self.begin(mode, *words)
        told, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        return told

    def info(self, id: str) -> RunInfo:
        """Return how a Run stands in the Journal."""
        with contextlib.closing(open_reader(self.url)) as reader:
            found = reader.find(RunId(id))
            assert found is not None
            return found

    def waits(self, id: str) -> bool:
        """Say whether a Run is nobody's and waits for its signal."""
        return self.info(id).rests == "signal go" and not self.info(id).owner


@contextlib.contextmanager
def opened(shop: Shop, mode: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Have the program's engine open, and kill it at the end."""
    process = shop.begin(mode, *words, "open:")
    try:
        assert process.stdout is not None
        while process.stdout.readline() != "open\n":
            assert process.poll() is None
        yield process
    finally:
        process.kill()
        process.communicate()


def signal(url: str, id: str) -> None:
    """Send the signal that a Run waits for, as the command line does."""
    subprocess.run([sys.executable, "-m", "weftrun", "signal", id, "go", '"x"', "--db", url], check=True)


@pytest.mark.sweep
@pytest.mark.parametrize(("mode", "then"), [("kept", "tea 1, tea 1"), ("any", "tea 1, tea 2")])
def test_a_run_goes_on_with_the_code_that_it_began_with(tmp_path: Path, mode: str, then: str) -> None:
    """Where that is kept; else with the code of now. A module that only a Function's body imports counts, too."""
    url = f"sqlite:///{tmp_path / 'j.db'}"
    shop = Shop(tmp_path / "app", url, price=1)
    with opened(shop, mode, "start:old"):
        until(lambda: shop.waits("old"))
    shop.deploy(price=2)
    signal(url, "old")
    with opened(shop, mode, "start:new"):
        until(lambda: shop.waits("new"))
        signal(url, "new")
        until(lambda: shop.info("old").ended_at is not None and shop.info("new").ended_at is not None)
    assert shop.run("any", "result:old", "result:new").splitlines() == [f"old {then}", "new tea 2, tea 2"]
    kept = [entry.name for entry in (tmp_path / "j.db.d").glob("code/*")]
    assert len(kept) == (2 if mode == "kept" else 0)


@pytest.mark.sweep
def test_engines_of_two_versions_take_each_their_own_runs(tmp_path: Path) -> None:
    """What waits for a signal, and what waits in a queue, is left to an engine that has its code."""
    url = f"sqlite:///{tmp_path / 'j.db'}"
    old, new = Shop(tmp_path / "one", url, price=1), Shop(tmp_path / "two", url, price=2)
    with weftrun.open(url, versions="own", sandboxes=1) as engine:
        calm = engine.queue(weftrun.queue("calm", concurrency=1))
        calm.pause()
        with opened(old, "own", "start:old", "queue:queued"):
            until(lambda: old.waits("old"))
        with opened(new, "own", "start:new"):
            until(lambda: new.waits("new"))
            epoch = old.info("old").epoch
            calm.resume()
            for id in ("old", "new"):
                signal(url, id)
            until(lambda: new.info("new").ended_at is not None)
            until(lambda: not old.info("queued").is_queued and not old.info("queued").owner)
            run = engine.get("old")
            until(lambda: run.waiting_for == "version")
            assert (old.info("old").ended_at, old.info("old").epoch) == (None, epoch), "nobody took it"
            with opened(old, "own"):
                assert run.result(60) == "tea 1, tea 1"
                until(lambda: old.waits("queued"))
    assert new.run("any", "result:new") == "new tea 2, tea 2\n"


def bundle_in(folder: Path) -> Bundle:
    """Return the bundle of a script there."""
    return Bundle("app", str(folder / "app.py"), b"", (str(folder), "/elsewhere"), "", "0123456789abcdef")


def test_a_version_is_of_all_files_that_are_imported(tmp_path: Path) -> None:
    """Whatever lies in their packages is of it, and nothing else that lies beside them."""
    shop = Shop(tmp_path, "", price=1)
    app = versions.app_of(bundle_in(tmp_path))
    assert app is not None
    assert [str(path.relative_to(tmp_path)) for path in app.files] == ["app.py", "shop/__init__.py", "shop/prices.py"]
    (tmp_path / "notes.txt").write_text("nothing")
    assert versions.app_of(bundle_in(tmp_path)) == app
    shop.deploy(price=2)
    other = versions.app_of(bundle_in(tmp_path))
    assert other is not None
    assert other.digest != app.digest
    (tmp_path / "shop" / "words.txt").write_text("a template")
    third = versions.app_of(bundle_in(tmp_path))
    assert third is not None
    assert third.digest != other.digest


def test_code_that_was_installed_is_not_copied(tmp_path: Path) -> None:
    """It is pip's, and what lies beside it is everybody's."""
    folder = tmp_path / "site-packages"
    Shop(folder, "", price=1)
    place = place_of(f"sqlite:///{tmp_path / 'j.db'}")
    assert versions.KeptCode(place).begun_with(bundle_in(folder)) == bundle_in(folder)
    assert not place.folder.exists()


def test_code_of_a_notebook_is_kept_with_its_runs(tmp_path: Path) -> None:
    bundle = Bundle("__main__", "", b"pickled")
    assert versions.KeptCode(place_of(f"sqlite:///{tmp_path / 'j.db'}")).begun_with(bundle) is bundle


def test_kept_code_is_bounded_and_what_is_needed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go that no engine uses."""
    monkeypatch.setattr(versions, "_KEPT_MAX", 2)
    shop, place = Shop(tmp_path / "app", "", price=0), place_of(f"sqlite:///{tmp_path / 'j.db'}")
    used = versions.KeptCode(place)
    first = used.begun_with(bundle_in(shop.folder))
    assert code.is_kept(first)
    assert first.path[1:] == (str(shop.folder), "/elsewhere")
    assert Path(first.file).read_text() == APP
    names = [first.digest]
    for price in range(1, 5):
        shop.deploy(price)
        passing = versions.KeptCode(place)
        names.append(passing.begun_with(bundle_in(shop.folder)).digest)
        passing.close()
        os.utime(place.folder / "code" / names[-1], (price, price))
    assert {entry.name for entry in (place.folder / "code").iterdir()} == {names[0], names[-1]}
    used.close()


def test_a_word_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="versions='old' is not known: it takes one of 'any', 'kept', 'own'"):
        weftrun.open(f"sqlite:///{tmp_path / 'j.db'}", versions="old")  # type: ignore[arg-type]
