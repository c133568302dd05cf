"""Objects in sealed memory files (the port `Objects`)."""

from weftrun.adapters.memfd.objects import MemfdObjects

__all__ = ["MemfdObjects"]
