"""A Run that failed has another life: what failed runs again, what succeeded is kept (L1)."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.conftest import assert_closed
from tests.engine import retried
from tests.engine.conftest import until

import weftrun
from weftrun.assembly import open_reader
from weftrun.views.steps import steps
from weftrun.views.story import story


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.fixture
def engine(url: str) -> Iterator[weftrun.Engine]:
    with weftrun.open(url, sandboxes=2) as opened:
        yield opened
    assert_closed(url)


def ledger(folder: str) -> list[str]:
    return (Path(folder) / "ledger").read_text().splitlines()


def mend(folder: str) -> None:
    (Path(folder) / "mended").touch()


def failed(engine: weftrun.Engine, fn: Any, *args: Any, error: type[Exception] = ValueError) -> None:
    with pytest.raises(error):
        engine.run(fn.options(id="run"), *args)


def told(url: str) -> str:
    reader = open_reader(url)
    try:
        info = reader.find("run")
        assert info is not None
        return "\n".join(sentence.text for sentence in story(reader.load(info.uid), reader.trace(info.uid)))
    finally:
        reader.close()


def emitted(url: str) -> list[str]:
    reader = open_reader(url)
    try:
        info = reader.find("run")
        assert info is not None
        return [str(emit.key).split("/", 1)[1] for emit in reader.emitted(info.uid)]
    finally:
        reader.close()


def test_a_wired_run(engine: weftrun.Engine, url: str, folder: str) -> None:
    """Steps, a transaction and an emit that had committed are not repeated; the failed Step has its key again."""
    failed(engine, retried.wired, 1, folder)
    mend(folder)
    assert engine.retry("run").result(timeout_s=60) == ("paid", 4)
    assert sorted(ledger(folder)) == [
        "book book[0] 1",
        "pay pay[0] 1",
        "pay pay[0] 2",
        "pay pay[0] 3",
        "tell tell[0] 1",
    ]
    assert emitted(url) == ["book[0]/0"]
    root = engine.get("run").steps()[0]
    assert (root.life, root.attempts, root.sandbox > 0, root.body_s > 0) == (2, 1, True, True), "as it was in life 1"
    connection = apsw.Connection(url.removeprefix("sqlite:///"))
    assert connection.execute("SELECT x FROM written").fetchall() == [(2,)]
    connection.close()


def test_both_lives_are_told(engine: weftrun.Engine, url: str, folder: str) -> None:
    failed(engine, retried.saga, 1, folder)
    mend(folder)
    engine.retry("run", force=True).result(timeout_s=60)
    text = told(url)
    assert "What it did after a failure stands, whatever that has undone: tell[0], unbook[0]." in text
    assert "The Run failed because pay[0] had failed with ValueError: declined" in text
    assert "life 2 of it began" in text
    assert text.index("life 2 of it began") < text.index("The Run succeeded")
    info = next(info for info in engine.list() if info.id == "run")
    assert (info.status, info.lives) == ("succeeded", 2)
    reader = open_reader(url)
    views = {str(view.id): view for view in steps(reader.load(info.uid), reader.trace(info.uid))}
    reader.close()
    assert [(views[step].status, views[step].life) for step in ("book[0]", "unbook[0]", "pay[0]", "tell~2[0]")] == [
        ("succeeded", 1),
        ("succeeded", 1),
        ("succeeded", 2),
        ("succeeded", 2),
    ]


@pytest.mark.parametrize("flow", [retried.saga, retried.parent])
def test_what_was_undone_is_not_kept_without_a_word(
    engine: weftrun.Engine, folder: str, flow: weftrun.Function[..., object]
) -> None:
    """The booking stands on record, and was undone: only whoever knows that may go on with it."""
    failed(engine, flow, 1, folder)
    mend(folder)
    before = ledger(folder)
    with pytest.raises(weftrun.UsageError, match=r"went on after .*pay\[0\] had failed, and did .*unbook\[0\]"):
        engine.retry("run")
    assert [info.lives for info in engine.list()] == [1]
    assert ledger(folder) == before
    assert engine.retry("run", force=True).result(timeout_s=60) == [4, "paid"]


def test_an_async_body_goes_another_way(engine: weftrun.Engine, folder: str) -> None:
    """It had caught the failure and gone on: another call of a name that was used has another key."""
    failed(engine, retried.saga, 1, folder)
    mend(folder)
    assert engine.retry("run", force=True).result(timeout_s=60) == [4, "paid"]
    assert ledger(folder) == [
        "book book[0] 1",
        "pay pay[0] 1",
        "pay pay[0] 2",
        "tell tell[0] 1",
        "unbook unbook[0] 1",
        "pay pay[0] 3",
        "tell tell~2[0] 1",
    ]


def test_a_life_that_fails_like_the_one_before_repeats_nothing(engine: weftrun.Engine, folder: str) -> None:
    failed(engine, retried.parent, 1, folder)
    with pytest.raises(ValueError, match="declined"):
        engine.retry("run", force=True).result(timeout_s=60)
    assert [line for line in ledger(folder) if not line.startswith("pay")] == [
        "book saga[0]/book[0] 1",
        "tell saga[0]/tell[0] 1",
        "unbook saga[0]/unbook[0] 1",
    ]
    assert [line for line in ledger(folder) if line.startswith("pay")] == [
        f"pay saga[0]/pay[0] {attempt}" for attempt in (1, 2, 3, 4)
    ]
    mend(folder)
    assert engine.retry("run").result(timeout_s=60) == [4, "paid"], "the last life has undone nothing"


def test_failed_items_alone_run_again(engine: weftrun.Engine, folder: str) -> None:
    failed(engine, retried.mapped, 4, folder)
    mend(folder)
    assert engine.retry("run").result(timeout_s=60) == [0, 1, 2, 3]
    assert sorted(ledger(folder)) == [
        "item item[0].0 1",
        "item item[0].1 1",
        "item item[0].1 2",
        "item item[0].2 1",
        "item item[0].3 1",
    ]


def test_a_run_of_one_function(engine: weftrun.Engine, folder: str) -> None:
    failed(engine, retried.item, 1, folder)
    mend(folder)
    assert engine.retry("run").result(timeout_s=60) == 1
    assert ledger(folder) == ["item item 1", "item item 2"]


def test_a_cancelled_run(engine: weftrun.Engine, folder: str) -> None:
    run = engine.start(retried.waits.options(id="run"), 1, folder)
    until(lambda: (Path(folder) / "ledger").exists() and any(line.startswith("hang") for line in ledger(folder)))
    run.cancel()
    with pytest.raises(weftrun.RunCancelled):
        run.result(timeout_s=60)
    mend(folder)
    again = engine.retry("run")
    assert again.result(timeout_s=60) == 2
    assert [line.split()[0] for line in ledger(folder)] == ["book", "hang", "hang"]


def test_signals_are_taken_once_in_all_lives(engine: weftrun.Engine, folder: str) -> None:
    """What a Step took stands; what was sent and not taken is taken by the next life, in its order."""
    run = engine.start(retried.hears.options(id="run"), folder)
    for name, value in (("stop", "three"), ("go", "one"), ("go", "two"), ("begin", None)):
        run.signal(name, value)
    with pytest.raises(ValueError, match="declined"):
        run.result(timeout_s=60)
    with pytest.raises(weftrun.UsageError, match="has ended"):
        run.signal("go", "too early")
    with pytest.raises(ValueError, match="declined"):
        engine.retry("run").result(timeout_s=60)
    mend(folder)
    again = engine.retry("run")
    again.signal("go", "four")
    assert again.result(timeout_s=60) == ["one", "two", "three", "four"]


def test_another_process_retries(engine: weftrun.Engine, url: str, folder: str) -> None:
    failed(engine, retried.wired, 1, folder)
    engine.close()
    mend(folder)
    command = [sys.executable, "-m", "tests.engine.retried", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "('paid', 4)"


def test_two_who_retry_at_once_begin_one_life(engine: weftrun.Engine, url: str, folder: str) -> None:
    failed(engine, retried.wired, 1, folder)
    mend(folder)
    answers: list[object] = []
    with weftrun.open(url, sandboxes=1) as other:

        def ask(one: weftrun.Engine) -> None:
            try:
                answers.append(one.retry("run").result(timeout_s=60))
            except weftrun.UsageError as error:  # it had begun already, or was over
                answers.append(str(error))

        threads = [threading.Thread(target=ask, args=(one,)) for one in (engine, other, engine)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert ("paid", 4) in answers
    assert all(answer == ("paid", 4) or "can't be retried" in str(answer) for answer in answers)
    assert next(info.lives for info in engine.list()) == 2
    assert ledger(folder).count("pay pay[0] 3") == 1


def test_what_can_not_be_retried(engine: weftrun.Engine, url: str, folder: str) -> None:
    with pytest.raises(weftrun.RunNotFound):
        engine.retry("nothing")
    mend(folder)
    engine.run(retried.mapped.options(id="run"), 2, folder)
    with pytest.raises(weftrun.UsageError, match="it succeeded, and its answer stands"):
        engine.retry("run")
    (Path(folder) / "mended").unlink()
    running = engine.start(retried.waits.options(id="open"), 1, folder)
    with pytest.raises(weftrun.UsageError, match="it has not ended"):
        engine.retry("open")
    mend(folder)
    running.result(timeout_s=60)
    reader = open_reader(url)
    reader.delete("run", forget=False)
    reader.close()
    with pytest.raises(weftrun.RunNotFound):
        engine.retry("run")


def test_an_old_failure_says_that_it_is_old(engine: weftrun.Engine, folder: str) -> None:
    failed(engine, retried.wired, 1, folder)
    for run in (engine.get("run"), engine.start(retried.wired.options(id="run"), 1, folder)):
        with pytest.raises(ValueError, match="declined") as caught:
            run.result(timeout_s=60)
        assert "in an earlier start" in caught.value.__notes__[-1]
        assert "`weftrun retry run`" in caught.value.__notes__[-1]


def test_the_first_failure_is_no_old_one(engine: weftrun.Engine, folder: str) -> None:
    run = engine.start(retried.wired.options(id="run"), 1, folder)
    with pytest.raises(ValueError, match="declined") as caught:
        run.result(timeout_s=60)
    assert not any("earlier start" in note for note in caught.value.__notes__)
