"""Bundles of code that are deployed: unpacked into a folder of their version, and nothing beside it."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from weftrun.entrypoints.http.problems import Refusal
from weftrun.model.policy import Bundle, Program
from weftrun.sdk.bundle import search_path
from weftrun.sdk.home import script_name
from weftrun.sdk.program import cwd_here, interpreter_options

FILES_MAX: Final = 10_000
UNPACKED_BYTES_MAX: Final = 256 * 1024 * 1024
_NAME_BYTES_MAX: Final = 512
_CHUNK: Final = 1 << 20
_SITE: Final = ".site"
_REQUIREMENTS: Final = "requirements.txt"
_REQUIREMENT: Final = re.compile(
    r"[A-Za-z0-9][\w.-]*\s*(\[[\w\s,.-]*\])?\s*([\s\w.,<>=!~*+()-]*)(;[\s\w.,<>=!~'\"()-]*)?", re.ASCII
)
_INSTALL_S: Final = 600
_TOLD: Final = 2_000
_SYMLINK: Final = 0o120000


def unpack(body: bytes, into: Path) -> tuple[Path, bool]:
    """Unpack a tar archive (also compressed) or a zip archive below a folder.

    Returns:
        Its folder, which is called as its version is; and whether that is new.

    The version is a digest of names and contents: the same files are the same version, however they were packed.

    Raises:
        Refusal: it is no archive, too large, or has a file that would lie elsewhere, or is no plain file.
    """
    into.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="unpacking-", dir=into))
    try:
        digests = dict(_written(body, folder))
        if not digests:
            raise _bad("it has no files")
        told = "".join(f"{name}\0{digest}\n" for name, digest in sorted(digests.items()))
        version = hashlib.sha256(told.encode()).hexdigest()[:16]
        home = into / version
        if home.exists():
            return home, False
        folder.chmod(0o755)
        folder.rename(home)
        _sync(into)
        return home, True
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, UnicodeError, NotImplementedError) as error:
        raise _bad(f"it is damaged ({error})") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise _bad(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bad(why: str) -> Refusal:
    return Refusal(422, "bad-bundle", f"The bundle can't be deployed: {why}. It is a tar or a zip of the app's files.")


def _written(body: bytes, folder: Path) -> Iterator[tuple[str, str]]:
    """Write the files of an archive; yield name and digest of each."""
    left = UNPACKED_BYTES_MAX
    for count, (name, content) in enumerate(_members(body), 1):
        if count > FILES_MAX:
            raise _bad(f"it has more than {FILES_MAX:,} files")
        file = folder / _safe(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        hasher = hashlib.sha256()
        with content, open(file, "xb") as out:
            while chunk := content.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise _bad(f"it unpacks to more than {UNPACKED_BYTES_MAX // 2**20} MiB")
                out.write(chunk)
                hasher.update(chunk)
            out.flush()
            os.fsync(out.fileno())
        yield name, hasher.hexdigest()


def _members(body: bytes) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and content of each file of an archive."""
    if zipfile.is_zipfile(io.BytesIO(body)):
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            for entry in packed.infolist():
                if (entry.external_attr >> 16) & 0o170000 == _SYMLINK:
                    raise _bad(f"{entry.filename!r} is a link")
                if not entry.is_dir():
                    yield entry.filename, packed.open(entry)
        return
    with tarfile.open(fileobj=io.BytesIO(body), mode="r|*") as archive:
        for member in archive:
            if member.isdir():
                continue
            content = archive.extractfile(member) if member.isreg() else None
            if content is None:
                raise _bad(f"{member.name!r} is no plain file")
            yield member.name, content


def _safe(name: str) -> PurePosixPath:
    """Return a path that stays below the folder that it is joined to."""
    path = PurePosixPath(name)
    if not name.isprintable() or "\\" in name or len(name.encode()) > _NAME_BYTES_MAX:
        raise _bad(f"{name[:80]!r} can't be the name of a file in it")
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise _bad(f"{name!r} lies outside of it")
    if path.parts[0] == _SITE:
        raise _bad(f"{name!r} has a name that is kept for what it requires")
    return path


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def entry_of(folder: Path, entry: str | None) -> Path:
    """Return the file that is imported: the one that is named, `app.py`, or the only one at the top.

    Raises:
        Refusal: there is none.
    """
    if entry is not None:
        found = folder / _safe(entry)
        if not found.is_file():
            raise _bad(f"there is no {entry!r} in it")
        return found
    if (folder / "app.py").is_file():
        return folder / "app.py"
    files = [file for file in folder.glob("*.py") if file.is_file()]
    if len(files) != 1:
        raise _bad("it has no app.py at its top: say by `entry` which file has the Functions")
    return files[0]


def install(folder: Path) -> None:
    """Install what an app's requirements.txt asks for, for it alone. Only wheels: nothing of them runs here.

    Raises:
        Refusal: it can't be had.
    """
    if not (folder / _REQUIREMENTS).is_file() or (folder / _SITE).exists():
        return
    _check_requirements(folder / _REQUIREMENTS)
    target = Path(tempfile.mkdtemp(prefix="installing-", dir=folder.parent))
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    words += ["--only-binary=:all:", "--target", str(target), "--requirement", _REQUIREMENTS]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    try:
        done = subprocess.run(
            words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_INSTALL_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Refusal(
                422, "bad-requirements", f"What the app requires can't be had: {done.stderr[-_TOLD:].strip()}"
            )
        target.chmod(0o755)
        target.rename(folder / _SITE)
    except subprocess.TimeoutExpired:
        raise Refusal(422, "bad-requirements", f"What the app requires is not there after {_INSTALL_S} s.") from None
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _check_requirements(file: Path) -> None:
    """Check that only packages are named: an option, a URL or a path could have code run where they are installed.

    Raises:
        Refusal: something else stands there.
    """
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        named = line.partition("#")[0].strip()
        if named and not _REQUIREMENT.fullmatch(named):
            raise Refusal(
                422,
                "bad-requirements",
                f"{_REQUIREMENTS} has the line {line[:80]!r}: it takes packages, extras, versions, markers.",
            )


def bundle_of_version(folder: Path, entry: Path) -> Bundle:
    """Return the code of an app that was unpacked into a folder; it does not see the server's own folder."""
    here = {cwd_here(), ""}
    known = [folder, *([folder / _SITE] if (folder / _SITE).exists() else [])]
    found = dict.fromkeys([*map(str, known), *(at for at in search_path() if at not in here)])
    started = Program(str(folder), (os.fsencode(entry),), interpreter_options())
    return Bundle(script_name(str(entry)), str(entry), b"", tuple(found), started, folder.name)
