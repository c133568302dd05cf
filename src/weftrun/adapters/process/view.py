"""What a walled zygote sees of this host's files: interpreter, libraries and the author's code, or an image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from weftrun.model.policy import Bundle
from weftrun.wire.readable import FOR_NETWORK, LIBRARIES, of_author, of_interpreter

_OWN: Final = ("dev", "proc", "run", "sys", "tmp")
"""Folders of an image that are not taken from it."""


class ViewRefused(Exception):
    """A view can't be made; the text is a clause that says why."""


class FileView(NamedTuple):
    """The files of a walled zygote.

    Attributes:
        read: what is read, as (source here, place there); no place lies below another one.
        links: symbolic links at the top of an image, as (place there, target).
        written: folders that are written to, at the same place.
        folders: folders that are there, empty if nothing else is in them.
        cwd: where it begins.
        network: whether it has this host's network.
    """

    read: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    written: tuple[str, ...]
    folders: tuple[str, ...]
    cwd: str
    network: bool


def view_of(bundle: Bundle, *, network: bool, store_folder: str, image: str) -> FileView:
    """Return what the code of a bundle sees.

    Args:
        network: whether it has the network, and what names are found by.
        store_folder: where it reads and writes Objects; empty where they lie in memory.
        image: folder of a root file system that has the libraries, and the interpreter if it likes; empty for this
            host's.

    Raises:
        ViewRefused: there is no such folder, or it lacks what is to be put into it.
    """
    links: tuple[tuple[str, str], ...] = ()
    if image:
        whole, links = _of_image(image)
    else:
        whole = [(path, path) for path in LIBRARIES if os.path.exists(path)]
    if network:
        whole += [(path, path) for path in FOR_NETWORK if os.path.exists(path)]
    whole = list(_added(whole, of_interpreter()))
    folders = [path for path in (*bundle.path, bundle.program.cwd, os.path.dirname(bundle.file)) if path]
    names = []
    for path, names_only in of_author(path for path in folders if not _below(path, whole)):
        if names_only:
            names.append(path)
        else:
            whole = list(_added(whole, [path]))
    if bundle.file:
        whole = list(_added(whole, [bundle.file]))
    read = sorted({place: source for source, place in whole}.items())
    _check_image(image, [place for place, _ in read] + names)
    written = (store_folder,) if store_folder else ()
    return FileView(
        tuple((source, place) for place, source in read),
        links,
        written,
        tuple(sorted(names)),
        bundle.program.cwd,
        network,
    )


def _of_image(image: str) -> tuple[list[tuple[str, str]], tuple[tuple[str, str], ...]]:
    try:
        entries = sorted(os.scandir(image), key=lambda entry: entry.name)
    except OSError as error:
        raise ViewRefused(f"the image {image} can't be read: {error.strerror}") from None
    links = tuple((f"/{entry.name}", os.readlink(entry.path)) for entry in entries if entry.is_symlink())
    whole = [(entry.path, f"/{entry.name}") for entry in entries if not entry.is_symlink() and entry.name not in _OWN]
    return whole, links


def _added(whole: Iterable[tuple[str, str]], paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield all that is read with these of this host, but for those that lie in what is there already."""
    kept = list(whole)
    for path in paths:
        if os.path.exists(path) and not _below(path, kept):
            kept = [(source, place) for source, place in kept if not f"{place}/".startswith(f"{path}/")]
            kept.append((path, path))
    return iter(kept)


def _below(path: str, whole: Iterable[tuple[str, str]]) -> bool:
    """Say whether a path of this host is there already: at its place lies the same, or what the image has."""
    for source, place in whole:
        if f"{path}/".startswith(f"{place}/"):
            return os.path.exists(source + path.removeprefix(place))
    return False


def _check_image(image: str, places: Iterable[str]) -> None:
    if not image:
        return
    for place in places:
        top = place.split("/")[1]
        there = os.path.join(image, top)
        if os.path.lexists(there) and top not in _OWN and not os.path.lexists(image + place):
            raise ViewRefused(f"the image {image} has a folder /{top}, but not {place}, which is read there: make it")
