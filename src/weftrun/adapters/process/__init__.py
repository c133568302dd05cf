"""Sandboxes as processes (the port `Sandboxes`): a zygote per bundle, a forked process per Sandbox."""

from weftrun.adapters.passing.readiness import FdLoop
from weftrun.adapters.process.examination import Examined, examine
from weftrun.adapters.process.sandboxes import ProcessSandboxes
from weftrun.adapters.process.walls import why_not_walled

__all__ = ["Examined", "FdLoop", "ProcessSandboxes", "examine", "why_not_walled"]
