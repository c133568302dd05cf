"""Where the Steps of a graph are to run, before any of them has: three policies, and what each comes to."""

from weftrun.machines.placement.plan import make_plan

__all__ = ["make_plan"]
