"""Engines that pin Runs to the code which they were begun with: it is kept beside the Journal, or left to its engines.

A version is a digest of names and contents of the entry module and of the files of the author's own that it imports.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from weftrun.assembly.code import WHOLE, CodeHere, is_kept
from weftrun.assembly.places import Place
from weftrun.model.errors import JournalError, UsageError, WeftrunError
from weftrun.model.outcomes import Status
from weftrun.model.policy import Bundle
from weftrun.model.records import Started
from weftrun.sdk.bundle import bundle_of
from weftrun.sdk.home import container_of
from weftrun.sdk.registry import known

Versions = Literal["any", "kept", "own"]
"""Which code Runs go on with; see `weftrun.open`."""
_KEPT_MAX: Final = 50
"""Of more versions the oldest are removed, if no open Run and no schedule needs them and no engine uses them."""
_BYTES_MAX: Final = 64 * 1024 * 1024
_FILES_MAX: Final = 10_000
_NAME_IN: Final = "code"
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


class _AppFiles(Struct, frozen=True):
    """The files of one version.

    Attributes:
        root: folder from which the entry module is imported.
        files: absolute, below it.
        digest: of their names and contents.
    """

    root: Path
    files: tuple[Path, ...]
    digest: str


def code_of(versions: Versions, place: Place) -> CodeHere:
    """Return what an engine asks of code."""
    if versions == "kept":
        return KeptCode(place)
    return OwnCode() if versions == "own" else CodeHere()


class _Whole(CodeHere):
    """Code whose versions are of all files of an app."""

    def __init__(self) -> None:
        self._begun: dict[int, tuple[Bundle, Bundle]] = {}

    def begun_with(self, bundle: Bundle) -> Bundle:
        """Return the bundle with the digest of all files that its entry module needs."""
        found = self._begun.get(id(bundle))
        if found is None:
            found = self._begun[id(bundle)] = (bundle, self._made(bundle))  # it is held, so that its id is no other's
        return found[1]

    def _made(self, bundle: Bundle) -> Bundle:
        app = app_of(bundle)
        return bundle if app is None else replace(bundle, digest=app.digest)


class OwnCode(_Whole):
    """Only Runs are gone on with that were begun with the code of this program (`versions="own"`)."""

    @property
    def serves_all(self) -> bool:
        """Ask of each Run."""
        return False

    def serves(self, started: Started) -> bool:
        """Say whether this program has the Function of a Run, in the version that the Run was begun with."""
        callee = known(started.function.name)
        if callee is None:
            return False
        with contextlib.suppress(WeftrunError, OSError):
            bundle: Bundle = bundle_of(callee)  # type: ignore[arg-type]
            return started.bundle.digest in (bundle.digest, self.begun_with(bundle).digest)
        return False


class KeptCode(_Whole):
    """Every Run goes on with the code it was begun with: a copy is kept beside the Journal (`versions="kept"`)."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place
        self._folder = place.folder.absolute() / _NAME_IN
        self._held: dict[str, int] = {}

    def close(self) -> None:
        """Let go of the versions that this engine uses."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _made(self, bundle: Bundle) -> Bundle:
        app = None if is_kept(bundle) else app_of(bundle)
        if app is None:
            return bundle
        self._keep(app)
        home = self._folder / app.digest
        kept = str(home)
        file = str(home / Path(bundle.file).resolve().relative_to(app.root)) if bundle.file else ""
        path, at = list(bundle.path), [n for n, entry in enumerate(bundle.path) if _resolved(entry) == app.root]
        path.insert(at[0] if at else 0, kept)  # what is not kept is found behind it
        return replace(bundle, file=file, path=tuple(path), digest=app.digest)

    def _keep(self, app: _AppFiles) -> None:
        """See that a version is there, and held by this engine."""
        if app.digest in self._held:
            return
        home = self._folder / app.digest
        try:
            while app.digest not in self._held:
                if not home.exists():
                    self._folder.mkdir(parents=True, exist_ok=True)
                    self._make_room()
                    _copy(app, home)
                with contextlib.suppress(FileNotFoundError):  # it was removed at this moment
                    self._held[app.digest] = _shared(home)
        except OSError as error:
            raise JournalError(
                f"The code of {app.root} can't be kept in {self._folder}: {error.strerror}. Make room or give the "
                "right to write there, or open the engine without versions='kept'."
            ) from None

    def _make_room(self) -> None:
        """Remove the oldest versions that nobody needs, where there are too many."""
        there = [path for path in self._folder.iterdir() if path.name.startswith(WHOLE)]
        surplus = len(there) + 1 - _KEPT_MAX
        if surplus <= 0:
            return
        needed = {bundle.digest for bundle in bundles_needed(self._place)}
        for home in sorted(there, key=lambda path: path.stat().st_mtime):
            if surplus > 0 and home.name not in needed and _removed(home):
                surplus -= 1


def bundles_needed(place: Place) -> Iterator[Bundle]:
    """Yield the bundles of all open Runs and schedules of a Journal."""
    if place.is_missing:
        return
    with contextlib.closing(place.open_to_read()) as reader:
        open_ones: tuple[Status, ...] = ("pending", "running")
        for status in open_ones:
            before = None
            while page := reader.runs(status=status, before=before, limit=1_000):
                before = page[-1].place
                for info in page:
                    for row in reader.load(info.uid)[:1]:
                        started = row.records[0]
                        assert isinstance(started, Started)
                        yield started.bundle
        yield from (schedule.bundle for schedule in reader.schedules())


def app_of(bundle: Bundle) -> _AppFiles | None:
    """Return the files of a bundle; None where it has none of the author's own.

    A notebook's code travels with its Runs, and so is kept; what was installed has a version that pip knows.

    Raises:
        UsageError: it is too much, or no Python.
    """
    file = _entry(bundle)
    if bundle.blob or not file or not file.is_file() or Path(container_of(str(file))) != file:
        return None
    if _INSTALLED.intersection(file.parts):
        return None
    script = bool(bundle.file)
    root = file.parent if script else _above(file, bundle.module)
    files = importlib.import_module("weftrun.sdk.app_files")  # late: engines that keep no code do not need it
    found = files.with_packages(files.imported(file, root, "" if script else bundle.module), root)
    if len(found) > _FILES_MAX or sum(path.stat().st_size for path in found) > _BYTES_MAX:
        raise UsageError(
            f"The code that {file} imports from {root} is more than {_BYTES_MAX // 2**20} MiB, or {_FILES_MAX:,} "
            "files: move data out of its packages, or open the engine with versions='any'."
        )
    hasher = hashlib.sha256(f"{bundle.module}\0".encode())
    for path in found:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        hasher.update(f"{path.relative_to(root)}\0{content}\n".encode())
    return _AppFiles(root, tuple(found), WHOLE + hasher.hexdigest()[:16])


def _entry(bundle: Bundle) -> Path | None:
    """Return the file of an entry module, whose import this process has done or would do."""
    if bundle.file:
        return _resolved(bundle.file)
    file = getattr(sys.modules.get(bundle.module), "__file__", None)
    return _resolved(file) if file else None


def _above(file: Path, module: str) -> Path:
    """Return the folder from which a module is imported that has this file."""
    parts = module.count(".") + (1 if file.name == "__init__.py" else 0)
    return file.parents[parts]


def _resolved(path: str) -> Path:
    return Path(path).resolve()


def _copy(app: _AppFiles, home: Path) -> None:
    """Copy a version to its place, whole and durable, or not at all."""
    making = Path(tempfile.mkdtemp(prefix="making-", dir=home.parent))
    try:
        for source in app.files:
            target = making / source.relative_to(app.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            _sync(target)
        making.chmod(0o755)
        try:
            making.rename(home)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return  # another engine was quicker
        _sync(home.parent)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shared(home: Path) -> int:
    """Hold a version: nobody removes it meanwhile."""
    with contextlib.ExitStack() as opened:
        descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not home.exists():
            raise FileNotFoundError(errno.ENOENT, "it was removed", str(home))
        opened.pop_all()
    return descriptor


def _removed(home: Path) -> bool:
    """Remove a version unless an engine uses it."""
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = Path(tempfile.mkdtemp(prefix="removing-", dir=home.parent))
        home.rename(gone / home.name)
        shutil.rmtree(gone, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
