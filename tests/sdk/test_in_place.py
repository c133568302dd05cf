"""Constructors that are replaced where they are defined: code that knows nothing of it shares what they make."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from types import ModuleType

import pytest

import weftrun
from weftrun.sdk.multiplexer import MULTIPLEXER

_CODE = """
import contextlib

class Pool:
    def __init__(self, url, size=5):
        self.url, self.size, self.closed = url, size, 0
    def close(self):
        self.closed += 1
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.close()

def connect(url):
    return Pool(url)

def uses(url):
    with Pool(url) as pool:
        return pool
"""


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module with a class and a function, and code that uses them."""
    module = ModuleType("pools")
    exec(_CODE, module.__dict__)  # its classes must say that they are of this module
    monkeypatch.setitem(sys.modules, "pools", module)
    yield module
    MULTIPLEXER.clear()


def test_code_that_makes_its_own_shares_it(library: ModuleType) -> None:
    original = library.Pool
    weftrun.share_in_place(original, most=1)
    first = library.uses("a")
    assert first is library.uses("a") is library.Pool("a", 5)
    assert isinstance(first, library.Pool) and isinstance(first, original) and issubclass(original, library.Pool)
    assert (first.closed, type(first).__name__, library.Pool.__name__) == (0, "Pool", "Pool")
    library.Pool("b")
    library.Pool("b")
    assert first.closed == 0  # it was given up, and is held here
    assert library.Pool("a") is not first


def test_it_is_closed_for_good_when_it_is_given_up(library: ModuleType) -> None:
    closed: list[str] = []
    library.Pool.close = lambda self: closed.append(self.url)
    weftrun.share_in_place(library.Pool, most=1)
    for url in ("a", "b", "b"):
        library.uses(url)
    assert closed == ["a"]


def test_a_subclass_makes_its_own(library: ModuleType) -> None:
    weftrun.share_in_place(library.Pool)

    class Mine(library.Pool):  # type: ignore[misc, name-defined]
        pass

    assert Mine("a") is not Mine("a")
    assert isinstance(Mine("a"), library.Pool) and not isinstance(library.Pool("a"), Mine)


def test_a_function_is_replaced_once(library: ModuleType) -> None:
    weftrun.share_in_place(library.connect)
    replaced = library.connect
    weftrun.share_in_place(library.connect)
    assert library.connect is replaced and library.connect("a") is library.connect("a")


def test_what_can_not_be_replaced_is_said() -> None:
    def local() -> None:
        """Be known to nobody."""

    with pytest.raises(weftrun.UsageError, match="no module has it under a name"):
        weftrun.share_in_place(local)
    with pytest.raises(weftrun.UsageError, match="it knows boto3, httpx, sqlalchemy"):
        weftrun.share_in_place("redis")
    with pytest.raises(weftrun.UsageError, match="names of libraries"):
        weftrun.share_in_place(3)  # type: ignore[arg-type]


@pytest.mark.sweep
def test_libraries_share_by_arguments_and_credentials() -> None:
    for name in ("boto3", "httpx", "sqlalchemy"):
        pytest.importorskip(name)
    code = """
        import boto3, httpx, sqlalchemy, weftrun
        from botocore.config import Config
        weftrun.share_in_place("boto3", "httpx", "sqlalchemy")
        one, same, other = (boto3.Session(key, "secret", region_name="eu-west-1") for key in ("k", "k", "l"))
        s3 = one.client("s3")
        assert s3 is same.client("s3") is one.client(service_name="s3")
        assert s3 is not other.client("s3") and one.client("sqs") is not s3
        assert type(one.resource("s3")).__name__ == "s3.ServiceResource"
        three, four = (Config(retries={"max_attempts": n}) for n in (3, 4))
        again = Config(retries={"max_attempts": 3})
        tries = [one.client("s3", config=three), same.client("s3", config=again), one.client("s3", config=four)]
        assert tries[0] is tries[1] and tries[0] is not tries[2] and tries[0] is not s3
        with httpx.Client(timeout=3) as client:
            pass
        assert client is httpx.Client(timeout=3) and not client.is_closed and isinstance(client, httpx.Client)
        assert client is not httpx.Client(timeout=4)
        engine = sqlalchemy.create_engine("sqlite://")
        assert engine is sqlalchemy.create_engine(sqlalchemy.make_url("sqlite://"))
        assert engine is not sqlalchemy.create_engine("sqlite://", echo=False, pool_pre_ping=True)
        counts = weftrun.shared_counts()
        print({name.partition(":")[2]: tuple(each[:2]) for name, each in counts.items()})
    """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip() == "{'Session.client': (6, 3), 'Client': (2, 1), 'create_engine': (2, 1)}"
