"""The apps that a gateway serves, and the translators that have imported their code."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from weftrun.adapters.process.translator import Translator
from weftrun.adapters.sqlite.gateway import Deployed
from weftrun.entrypoints.http.problems import Refusal
from weftrun.model.errors import UsageError
from weftrun.model.policy import Bundle, Program
from weftrun.model.translation import Described
from weftrun.sdk.bundle import search_path
from weftrun.sdk.home import script_name
from weftrun.sdk.program import cwd_here, interpreter_options

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_ALIVE_MAX = 16
"""Translators of so many bundles live at once; the one that was not needed for the longest time ends."""


class App(Struct, frozen=True):
    """An app of a tenant, in the version that new Runs get.

    Attributes:
        version: digest of its code.
        functions: what callers may start, by name.
        source: where it was deployed from or lies, for people.
    """

    tenant: str
    name: str
    version: str
    bundle: Bundle
    functions: dict[str, Described]
    source: str = ""


def check_app_name(name: str) -> None:
    """Check that an app may have a name.

    Raises:
        Refusal: it may not.
    """
    if not _NAME.fullmatch(name):
        raise Refusal(
            422, "bad-app-name", f"{name!r} can't be the name of an app: it takes 1 to 64 letters, digits, - and _."
        )


def deployed_app(kept: Deployed) -> App:
    """Return an app that was deployed before."""
    functions = {told.name: told for told in kept.functions}
    source = f"{os.path.basename(kept.bundle.file)} of version {kept.version}"
    return App(kept.tenant, kept.name, kept.version, kept.bundle, functions, source)


class Translators:
    """Translators by the code that they have imported; each is started when it is needed first."""

    def __init__(self) -> None:
        self._alive: OrderedDict[Bundle, Translator] = OrderedDict()
        self._starting: dict[Bundle, asyncio.Lock] = {}

    async def of(self, bundle: Bundle) -> Translator:
        """Return the translator of some code; one that has died is started again.

        Raises:
            UsageError: its process can't be started, or ended while it imported the code.
        """
        async with self._starting.setdefault(bundle, asyncio.Lock()):
            translator = self._alive.get(bundle)
            if translator is None or not translator.is_alive:
                try:
                    translator = await Translator.started(bundle)
                except OSError as error:
                    raise UsageError(f"The process for the app's code can't be started: {error.strerror}.") from error
                self._alive[bundle] = translator
            self._alive.move_to_end(bundle)
        while len(self._alive) > _ALIVE_MAX:
            old, ended = self._alive.popitem(last=False)
            self._starting.pop(old, None)
            await ended.close()
        return translator

    async def close(self) -> None:
        """End all of them."""
        for translator in self._alive.values():
            await translator.close()
        self._alive.clear()


class Apps:
    """What can be started, by tenant and by name."""

    def __init__(self) -> None:
        self._apps: dict[tuple[str, str], App] = {}

    def __len__(self) -> int:
        return len(self._apps)

    def put(self, app: App) -> None:
        """Serve an app, from now on in this version."""
        self._apps[app.tenant, app.name] = app

    def remove(self, tenant: str, name: str) -> bool:
        """Serve an app no more; say whether it was."""
        return self._apps.pop((tenant, name), None) is not None

    def count_with(self, bundle: Bundle) -> int:
        """Return how many apps have this code."""
        return sum(app.bundle == bundle for app in self._apps.values())

    def of(self, tenant: str) -> list[App]:
        """Return the apps of a tenant, by name."""
        return [app for _, app in sorted(self._apps.items()) if app.tenant == tenant]

    def get(self, tenant: str, name: str) -> App:
        """Return an app.

        Raises:
            Refusal: the tenant has none of this name.
        """
        found = self._apps.get((tenant, name))
        if found is None:
            raise Refusal(
                404, "app-not-found", f"There is no app {name!r}. {_there_are(a.name for a in self.of(tenant))}"
            )
        return found

    def recorded_name(self, tenant: str, name: str) -> str:
        """Return the name that Runs of a Function have on record, from that or from the one that callers use."""
        for app in self.of(tenant):
            if name in app.functions:
                return app.functions[name].function.name
        return name

    def serving(self, tenant: str, recorded: str) -> tuple[App, Described] | None:
        """Return the Function that has this name on record, and its app; None where there is none, or several."""
        found = [
            (app, one) for app in self.of(tenant) for one in app.functions.values() if one.function.name == recorded
        ]
        return found[0] if len(found) == 1 else None

    def find(self, tenant: str, app: str | None, function: str) -> tuple[App, Described]:
        """Return what a caller names: a Function of an app, or of the only app that has one of this name.

        Raises:
            Refusal: there is none, or there are several.
        """
        among = self.of(tenant) if app is None else [self.get(tenant, app)]
        found = [one for one in among if function in one.functions]
        if len(found) == 1:
            return found[0], found[0].functions[function]
        if found:
            several = ", ".join(one.name for one in found)
            raise Refusal(
                422, "ambiguous-function", f"Several apps have a Function {function!r}: {several}. Say which by `app`."
            )
        names = sorted({name for one in among for name in one.functions})
        where = f"in the app {app!r}" if app is not None else "here"
        raise Refusal(
            404, "function-not-found", f"There is no Function or Workflow {function!r} {where}. {_there_are(names)}"
        )


def _there_are(names: Iterable[str]) -> str:
    told = ", ".join(names)
    return f"There are: {told}." if told else "There are none."


def bundle_of_file(file: Path) -> Bundle:
    """Return the code of a file as it is now, importing nothing.

    Raises:
        UsageError: it can't be read.
    """
    path = file.resolve()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}.") from error
    folder = str(path.parent)
    found = dict.fromkeys((folder, *search_path()))
    started = Program(cwd_here(), (os.fsencode(path),), interpreter_options())
    return Bundle(
        script_name(str(path)), str(path), b"", tuple(found), started, hashlib.sha256(content).hexdigest()[:16]
    )


async def loaded(translators: Translators, tenant: str, name: str, version: str, bundle: Bundle, source: str) -> App:
    """Return an app once its code is imported in its translator.

    Raises:
        UsageError: its import fails, or it has no Function.
    """
    translator = await translators.of(bundle)
    told = translator.loaded
    if told.failure:
        raise UsageError(f"{source} can't be imported.\n{told.failure}")
    if not told.functions:
        raise UsageError(f"There is no Function in {source}: decorate one with @function or @workflow.")
    return App(tenant, name, version, bundle, {one.name: one for one in told.functions}, source)
