"""Known sources of what differs from one replay to the next, by the names under which Python knows them."""

from __future__ import annotations

from typing import Final, NamedTuple

from weftrun.entrypoints.cli.finding import Kind


class Source(NamedTuple):
    """Why a call can't stand in a body that is replayed, and what can."""

    kind: Kind
    why: str
    instead: str


_CLOCK = Source("clock", "reads a clock, which tells another time in a replay", "write weftrun.now()")
_CHANCE = Source("chance", "draws at random, and draws something else in a replay", "draw from weftrun.random()")
_ID = Source(
    "chance",
    "draws at random, and draws something else in a replay",
    "write uuid.UUID(int=weftrun.random().getrandbits(128), version=4)",
)
_ASYNCIO = Source(
    "asyncio",
    "needs the loop of asyncio, on which no body runs: it awaits Steps and its own coroutines",
    "call .step(...) several times and await the Refs afterwards, or put this into a Function",
)
_THREADS = Source("threads", "goes on beside the body, and at another pace in a replay", "put it into a Function")
_OUTSIDE = Source("outside", "looks or reaches outside, and again in each replay", "put it into a Function")
_ENVIRONMENT = Source(
    "environment", "differs between processes, and a replay runs in another one", "hand it over as an argument"
)
_WAITING = Source("waiting", "holds up every body in its Sandbox, and again in each replay", "wait in a Function")
ORDER: Final = Source(
    "order", "goes through a set, whose order in a replay is the same for texts and numbers only", "write sorted(...)"
)

_EXACT: Final = {
    **dict.fromkeys(
        (
            f"time.{name}{unit}"
            for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
            for unit in ("", "_ns")
        ),
        _CLOCK,
    ),
    **dict.fromkeys((f"uuid.uuid{version}" for version in (1, 4, 6, 7)), _ID),
    **dict.fromkeys(("os.urandom", "os.getrandom"), _CHANCE),
    "time.sleep": _WAITING,
    **dict.fromkeys(("builtins.open", "io.open", "io.open_code", "builtins.input", "os.system", "os.popen"), _OUTSIDE),
    **dict.fromkeys(
        (f"os.{name}" for name in ("listdir", "scandir", "walk", "stat", "open", "read", "write", "remove", "rename")),
        _OUTSIDE,
    ),
    **dict.fromkeys((f"os.{name}" for name in ("makedirs", "mkdir", "replace", "unlink", "fork")), _OUTSIDE),
    **dict.fromkeys(("os.environ", "os._Environ", "os.getenv", "os.getpid", "os.getcwd", "builtins.id"), _ENVIRONMENT),
    **dict.fromkeys(("socket.gethostname", "platform.node", "getpass.getuser"), _ENVIRONMENT),
}
_WITHOUT_ARGUMENTS: Final = {f"time.{name}" for name in ("localtime", "gmtime", "ctime", "asctime")}
_SEEDED: Final = {
    "random.Random",
    "numpy.random.default_rng",
    "numpy.random.RandomState",
    "numpy.random.SeedSequence",
}
_UNDER: Final = {
    **dict.fromkeys(("random", "secrets", "numpy.random"), _CHANCE),
    **dict.fromkeys(("asyncio", "anyio", "trio"), _ASYNCIO),
    **dict.fromkeys(("threading", "multiprocessing", "concurrent.futures", "queue"), _THREADS),
    **dict.fromkeys(
        (
            "requests",
            "httpx",
            "aiohttp",
            "urllib.request",
            "urllib3",
            "http.client",
            "socket",
            "ssl",
            "smtplib",
            "ftplib",
        ),
        _OUTSIDE,
    ),
    **dict.fromkeys(
        ("subprocess", "shutil", "tempfile", "sqlite3", "psycopg", "psycopg2", "asyncpg", "redis", "boto3", "pymongo"),
        _OUTSIDE,
    ),
}
_NOW: Final = {"now", "utcnow", "today"}
_OF_FILES: Final = {"read_text", "read_bytes", "write_text", "write_bytes"}
_OTHER_NAMES: Final = {"posix": "os", "_io": "io", "_thread": "threading", "_socket": "socket", "_random": "random"}


def source_of(name: str, *, arguments: int) -> Source | None:
    """Return what is wrong with a call of `name` in a body that is replayed, or None.

    Args:
        name: dotted, of a module and what is in it, or of the class of an object and its method.
        arguments: how many the call has.
    """
    head, _, rest = name.partition(".")
    name = f"{_OTHER_NAMES.get(head, head)}.{rest}"
    if name == "io.open":
        name = "builtins.open"
    if _without_private(name) in _SEEDED and arguments:
        return None
    if name in _EXACT:
        return _EXACT[name]
    last = name.rpartition(".")[2]
    if (name in _WITHOUT_ARGUMENTS and not arguments) or (name == "time.strftime" and arguments < 2):
        return _CLOCK
    if last in _NOW and head != "weftrun":
        return _CLOCK
    under = next((known for known in _UNDER if name == known or name.startswith(known + ".")), None)
    return _UNDER[under] if under is not None else None


def source_of_method(method: str) -> Source | None:
    """Return what is wrong with a method by its name alone, whatever it is called on."""
    return _OUTSIDE if method in _OF_FILES else None


def _without_private(name: str) -> str:
    """Return a name without the modules in which NumPy keeps what it shows elsewhere."""
    return name.replace(".mtrand.", ".").replace("._generator.", ".").replace(".bit_generator.", ".")
