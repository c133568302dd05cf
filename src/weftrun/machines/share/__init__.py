"""The machines of a Run that several Workers share (M1 to M3): each Worker's part, and the owner's (decision 19)."""

from weftrun.machines.share.owner import OwnerMachine
from weftrun.machines.share.part import PartMachine
from weftrun.machines.share.plan import Plan, unshareable

__all__ = ["OwnerMachine", "PartMachine", "Plan", "unshareable"]
