"""The process in which `weftrun check` imports an app; what it finds goes to the command as JSON.

The app runs here as far as its import does, and may print, hang or end the process; the command lives on.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Iterator, Mapping

import msgspec

from weftrun.assembly import open_reader, place_of
from weftrun.entrypoints.cli.bodies import is_authors, read_body, read_calls
from weftrun.entrypoints.cli.finding import Finding, Report
from weftrun.entrypoints.cli.target import load_app
from weftrun.machines.run import functions_named
from weftrun.model.errors import JournalError, PolicyError, UsageError
from weftrun.model.policy import Kind
from weftrun.sdk.function import Function
from weftrun.sdk.retrying import found_by

_OPEN_RUNS_MAX = 1_000
_MODULES_SHOWN_MAX = 8


def report(target: str, db: str | None) -> Report:
    """Import an app and look at it."""
    try:
        load_app(target)
    except PolicyError as error:
        file, line = _written_at(error)
        return Report(findings=(Finding(file, line, "policy", "", str(error), ""),))
    except UsageError as error:
        return Report(refusal=str(error))
    functions = list(_functions())
    if not functions:
        return Report(refusal=_has_none(target))
    bodies: list[str] = []
    unread: list[str] = []
    findings = [*_named_like_pythons(target), *_names(functions), *_predicates(functions), *_versions(functions, db)]
    for function in functions:
        findings += read_calls(function.handler, function.spec.label)
        if function.spec.kind is Kind.WATCHING:
            found = read_body(function.handler, function.spec.label)
            (unread if found is None else bodies).append(function.spec.label)
            findings += found or []
    return Report("", len(functions), tuple(bodies), tuple(unread), tuple(sorted(set(findings))))


def _written_at(error: BaseException) -> tuple[str, int]:
    """Return the author's innermost line that an error came through: there a policy, or a name, is refused."""
    found, trace = ("", 0), error.__traceback__
    while trace is not None:
        if is_authors(trace.tb_frame.f_code.co_filename) and "<" not in trace.tb_frame.f_code.co_filename:
            found = (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _functions() -> Iterator[Function[..., object]]:
    """Yield the Functions that stand in modules, each once."""
    seen: set[int] = set()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "weftrun":
            continue
        for found in list(getattr(module, "__dict__", {}).values()):
            if isinstance(found, Function) and id(found) not in seen:
                seen.add(id(found))
                yield found


def _names(functions: list[Function[..., object]]) -> Iterator[Finding]:
    first: dict[str, Function[..., object]] = {}
    for function in functions:
        name, (file, line) = function.spec.name, _place(function)
        other = first.setdefault(name, function)
        if other.handler is not function.handler:
            what = f"{name} is also the name of the one at {':'.join(map(str, _place(other)))}, and one hides the other"
            yield Finding(file, line, "name", function.spec.label, what, "give one of them another name by `name=`")
        elif "<locals>" in name:
            what = f"{name} is made inside another function, where a Sandbox does not find it"
            yield Finding(
                file, line, "name", function.spec.label, what, "define it in the module, or give it a `name=`"
            )


def _predicates(functions: list[Function[..., object]]) -> Iterator[Finding]:
    for function in functions:
        retry, (file, line) = function.spec.retry, _place(function)
        for name in (*retry.on, *retry.but_not) if retry is not None else ():
            if name.endswith("()") and (why := found_by(name)):
                what = f"its retries name {name[:-2]}, which a Sandbox does not find: {why}"
                yield Finding(file, line, "policy", function.spec.label, what, "name a function of a module")


def _named_like_pythons(target: str) -> Iterator[Finding]:
    """Yield the fault of a file that has the name of one of Python's own modules."""
    where = target if os.path.isfile(target) else target.rpartition(":")[0]
    name = os.path.splitext(os.path.basename(where))[0]
    if where.endswith(".py") and name in sys.stdlib_module_names:
        what = f"{where} has the name of Python's own module {name}, which is taken for it or hides it"
        yield Finding(os.path.abspath(where), 0, "name", name, what, "give the file another name")


def _has_none(target: str) -> str:
    """Return the sentence on an app without Functions; of a package, with the modules that may have them."""
    where = target.partition(":")[0]
    module = sys.modules.get(where)
    inside = [found.name for found in pkgutil.iter_modules(getattr(module, "__path__", ()))] if module else []
    shown = ", ".join(f"{where}.{name}" for name in sorted(inside)[:_MODULES_SHOWN_MAX])
    hint = f" Name the module of the package that has them: {shown}." if shown else ""
    return f"There is no Function in {target}: nothing was checked.{hint}"


def _versions(functions: list[Function[..., object]], db: str | None) -> Iterator[Finding]:
    """Yield the Runs that are open in the Journal, if there is one, and were started with other code than this."""
    names = {function.spec.name: function for function in functions}
    try:
        if place_of(db).is_missing:
            return
        reader = open_reader(db)
    except (JournalError, UsageError):
        if db is not None:
            raise
        return
    try:
        modules = {name.partition(":")[0] for name in names}
        for info in reader.runs(status="running", limit=_OPEN_RUNS_MAX):
            if info.function not in names and info.function.partition(":")[0] in modules:
                what = f"Run {info.id} is open, and the app has no {info.function} any more: the Run would be parked"
                instead = f"let it end with the old code, or give the one that was renamed name={info.function!r}"
                yield Finding("", 0, "version", info.function, what, instead)
            for gone in _gone(functions_named(reader.load(info.uid)), names, modules) if info.function in names else ():
                what = f"Run {info.id} is open and has called {gone}, which the app has no more: it would be parked"
                instead = f"let it end with the old code, or give the one that was renamed name={gone!r}"
                yield Finding("", 0, "version", names[info.function].spec.label, what, instead)
            changed = reader.changed_code(info.uid) if info.function in names else ""
            if changed:
                file, line = _place(names[info.function])
                what = f"Run {info.id} is open, and {changed[:1].lower()}{changed[1:].rstrip('.')}"
                instead = "let it end with the old code, or see that the new code makes the same calls"
                yield Finding(file, line, "version", names[info.function].spec.label, what, instead)
    finally:
        reader.close()


def _gone(called: list[str], names: Mapping[str, object], modules: set[str]) -> list[str]:
    """Return the Functions of a Run that stood in modules of the app and do so no more."""
    return [name for name in called if name not in names and name.partition(":")[0] in modules]


def _place(function: Function[..., object]) -> tuple[str, int]:
    code = getattr(function.callable, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)


def main() -> None:
    """Write the report to the descriptor that the command line names."""
    descriptor, target, *rest = sys.argv[1:]
    sys.argv = [target]
    try:
        told = report(target, rest[0] if rest else None)
    except (JournalError, UsageError) as error:
        told = Report(refusal=str(error))
    with os.fdopen(int(descriptor), "wb") as out:
        out.write(msgspec.json.encode(told))
    sys.stdout.flush()
    os._exit(0)  # threads that the app has started are not waited for


if __name__ == "__main__":
    main()
