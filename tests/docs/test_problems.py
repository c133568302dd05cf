"""The table of problems on the page of the HTTP API has every one that the server answers, in the row of its status."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TypeGuard

from tests.docs.examples import ROOT

TEXT = (ROOT / "docs/concepts/http-api.md").read_text(encoding="utf-8")
ROWS = [
    (int(status), set(re.findall(r"`([a-z][a-z0-9-]*)`", told)))
    for status, told in re.findall(r"^\| (\d\d\d) \| (.*) \|$", TEXT.partition("\n## Errors\n")[2], re.MULTILINE)
]
FRAMEWORKS = {(400, "http-400"), (404, "http-404"), (405, "http-405"), (413, "http-413")}
"""Those that the framework answers before a route of ours does."""

HANDED_ON = ("Refusal(error.status_code, 'http',", "Refusal(told.problem.status, 'refused',")
"""Of the framework's errors, whose numbers are known above; of what another process of ours has refused."""


def is_said(node: ast.expr) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant)


def calls_of(name: str, below: str) -> Iterator[ast.Call]:
    for path in sorted((ROOT / "src/weftrun" / below).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield node


def answered() -> set[tuple[int, str]]:
    """Return each problem that the code has, with its status, as it is written there."""
    quotas = {call.args[0].value for call in calls_of("QuotaRefused", "machines") if is_said(call.args[0])}
    found = set(FRAMEWORKS)
    for call in calls_of("Refusal", "entrypoints"):
        status, kind = call.args[:2]
        either = [kind.body, kind.orelse] if isinstance(kind, ast.IfExp) else [kind]
        kinds = [str(one.value) for one in either if is_said(one)]
        if is_said(status) and len(kinds) == len(either):
            found.update((int(str(status.value)), one) for one in kinds)
        elif is_said(status) and ast.unparse(kind) == "f'quota-{refused.kind}'":
            found.update((int(str(status.value)), f"quota-{quota}") for quota in quotas)
        else:
            assert ast.unparse(call).startswith(HANDED_ON), ast.unparse(call)
    return found


def test_every_problem_stands_in_the_row_of_its_status() -> None:
    told = {(status, kind) for status, kinds in ROWS for kind in kinds}
    assert sorted(answered() - told) == []


def test_no_problem_is_told_of_that_nobody_answers() -> None:
    told = {(status, kind) for status, kinds in ROWS for kind in kinds if "-" in kind}
    assert sorted(told - answered()) == []
