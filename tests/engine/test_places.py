"""Which Journal a URL names, or none; where the default one is found; and that a new one is said."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import weftrun
from weftrun.assembly import place_of, urls

MEMORY = "a Journal in memory would be gone with its process"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder of its own, with no variable that names a Journal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEFTRUN_DATABASE_URL", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sqlite:///:memory:", MEMORY),
        ("sqlite://:memory:", MEMORY),
        ("sqlite:////:memory:", MEMORY),
        ("sqlite://", MEMORY),
        ("sqlite:///", MEMORY),
        (":memory:", MEMORY),
        ("sqlite:///file:x?mode=memory&cache=shared", MEMORY),
        ("sqlite:///file::memory:", MEMORY),
        ("", "it is empty; write sqlite:///path/to/file.db (four slashes before an absolute path)"),
        ("app.db", "it has no scheme; write sqlite:///app.db for a file"),
        ("/data/app.db", "it has no scheme; write sqlite:////data/app.db for a file"),
        ("sqlite:app.db", "write sqlite:///path/to/file.db"),
        ("sqlite://app.db", "two slashes are followed by the name of a host; write sqlite:///app.db"),
        ("sqlite:///app/", "it names a folder; name a file in it"),
        ("sqlite:///~/app.db", f"`~` is not replaced by a home; write sqlite:///{Path.home()}/app.db"),
        ("sqlite:///app.db?timeout=5", "a file takes no options after `?`; write sqlite:///app.db"),
        ("sqlite:///my%20app.db", "escapes such as %20 are not decoded"),
        ("sqlite:///file:app.db", "it holds a URI of SQLite; write the path alone: sqlite:///app.db"),
        ("file:app.db?mode=ro", "file: is no kind of Journal"),
        ("sqlite:///app.db\n", "it has a control character in it"),
        (" sqlite:///app.db", "a blank at one end"),
        ("sqlite:///a\0b", "it has a control character in it"),
        ("SQLite:///app.db", "there is no scheme 'SQLite'; write sqlite:// instead"),
        ("sqlite3:///app.db", "there is no scheme 'sqlite3'; write sqlite:// instead"),
        ("postgress://me@there/app", "there is no scheme 'postgress'; write postgres:// instead"),
        ("postgresql+psycopg://there/app", "there is no scheme 'postgresql+psycopg'; write postgresql:// instead"),
        ("mysql://x", "there is no Journal of the kind 'mysql'; write sqlite:///path/to/file.db"),
        (Path("app.db"), "it is a PosixPath, not a text"),
    ],
)
def test_what_names_no_journal_is_refused_in_words(url: str, text: str, folder: Path) -> None:
    with pytest.raises(weftrun.UsageError, match="is not the URL of a Journal: ") as refused:
        weftrun.open(url)
    assert text in str(refused.value)
    assert list(folder.iterdir()) == [], "nothing is made of what is refused"


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFTRUN_DATABASE_URL", "postgress://me:secret@there/app")
    with pytest.raises(weftrun.UsageError) as refused:
        weftrun.open()
    assert "secret" not in str(refused.value)
    assert "in $WEFTRUN_DATABASE_URL is not the URL" in str(refused.value)


def test_a_file_that_is_there_is_taken_whatever_its_name(folder: Path) -> None:
    for name in ("a%20b.db", "what?.db", "~x"):
        (folder / name).touch()
        assert place_of(f"sqlite:///{name}").path == folder / name
    assert place_of("sqlite:///sub/../app.db").path == folder / "sub/../app.db"
    assert place_of("sqlite:////abs/app.db").path == Path("/abs/app.db")


def make(folder: Path) -> Path:
    (folder / ".weftrun").mkdir(parents=True)
    (folder / ".weftrun/journal.db").touch()
    return folder / ".weftrun/journal.db"


def test_the_default_is_the_nearest_one_upward(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/nowhere"))
    inner = folder / "project/jobs/nightly"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert place_of(None).path == inner / ".weftrun/journal.db", "none anywhere: one is made here"
    outer = make(folder / "project")
    assert place_of(None).path == outer
    assert place_of(None).named_by == f".weftrun of {folder / 'project'}, above the current folder"
    (folder / "project/jobs/.weftrun").mkdir()
    assert place_of(None).path == outer, "a folder without a Journal hides none"
    here = make(inner)
    assert place_of(None).path == here
    monkeypatch.setenv("WEFTRUN_DATABASE_URL", "sqlite:///named.db")
    assert place_of(None).path == inner / "named.db"
    assert place_of("sqlite:///given.db").path == inner / "given.db"


def test_it_is_not_looked_for_in_the_home_nor_in_what_is_another_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: folder / "me")
    inner = folder / "me/project"
    inner.mkdir(parents=True)
    at_home, above = make(folder / "me"), make(folder)
    monkeypatch.chdir(inner)
    assert place_of(None).path == inner / ".weftrun/journal.db"
    monkeypatch.chdir(folder / "me")
    assert place_of(None).path == at_home
    monkeypatch.setattr(Path, "home", lambda: Path("/nowhere"))
    (folder / "other/project").mkdir(parents=True)
    monkeypatch.chdir(folder / "other/project")
    assert place_of(None).path == above
    monkeypatch.setattr(urls.os, "geteuid", lambda: os.getuid() + 1)
    assert place_of(None).path == folder / "other/project/.weftrun/journal.db"


def test_a_folder_that_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(weftrun.UsageError, match="The current folder is gone"):
        weftrun.open()


def test_a_new_journal_is_said_where_nobody_named_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "weftrun"):
        weftrun.open("sqlite:///mine.db").close()
        assert caplog.messages == []
        weftrun.open().close()
        (said,) = caplog.messages
        assert said.startswith(
            f"A new Journal was made: {folder}/.weftrun/journal.db, named by .weftrun of the current"
        )
        weftrun.open().close()
        assert len(caplog.messages) == 1


def test_a_program_in_another_folder_goes_on_with_the_same_run(folder: Path) -> None:
    """The second start, from a folder below, is the same Run; a third one, from beside, says where it lies."""
    program = folder / "project/app.py"
    (folder / "project/sub").mkdir(parents=True)
    (folder / "beside").mkdir()
    program.write_text(
        "import sys, weftrun\n@weftrun.function\ndef now(path: str) -> int:\n"
        "    with open(path, 'a') as file:\n        return file.write('x')\n"
        "if __name__ == '__main__':\n    with weftrun.open() as engine:\n"
        "        print(engine.run(now.options(id='daily'), sys.argv[1]))\n"
    )
    environment = {**os.environ, "HOME": "/nowhere", "PYTHONPATH": str(Path(weftrun.__file__).parents[1])}
    said = []
    for place in ("project", "project/sub", "beside"):
        done = subprocess.run(
            [sys.executable, str(program), str(folder / "ledger")],
            cwd=folder / place, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        said.append(re.findall(r"A new Journal was made: (\S+),", done.stderr))
    assert said == [[f"{folder}/project/.weftrun/journal.db"], [], [f"{folder}/beside/.weftrun/journal.db"]]
    assert (folder / "ledger").read_text() == "xx"
