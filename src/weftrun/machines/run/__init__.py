"""The machine of a Run: how its graph grows, when its Steps may go, how it ends (SEMANTICS: C, G, B, N rules)."""

from weftrun.machines.run.compensated import done_after_failure
from weftrun.machines.run.fork import ForkWanted, fork_rows, left_standing
from weftrun.machines.run.handed import open_visible
from weftrun.machines.run.lives import dropped_signals
from weftrun.machines.run.machine import RunMachine
from weftrun.machines.run.recorded import Recorded, unfit_signals
from weftrun.machines.run.versions import (
    changed_code,
    changed_program,
    functions_named,
    may_have_happened,
    tried_codes,
)

__all__ = [
    "ForkWanted",
    "Recorded",
    "RunMachine",
    "changed_code",
    "changed_program",
    "done_after_failure",
    "dropped_signals",
    "fork_rows",
    "functions_named",
    "left_standing",
    "may_have_happened",
    "open_visible",
    "tried_codes",
    "unfit_signals",
]
