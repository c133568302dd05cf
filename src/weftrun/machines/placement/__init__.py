"""Where the Steps of a graph are to run, before any of them has: three policies, and what each comes to."""

from weftrun.machines.placement.plan import make_plan
from weftrun.machines.placement.planner import Planner

__all__ = ["Planner", "make_plan"]
