"""What planning speaks of: Steps as they are expected, Workers as they are counted, and what a plan says."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Placement = Literal["planned", "hash", "faasflow"]
"""How the homes of a Run's Steps are chosen, where its graph is known at the start.

`planned`: by the critical path, with Workers and links that are shared; `faasflow`: by FaaSFlow's grouping; `hash`: by
the names of Steps alone.
"""

MIB = 1 << 20


class Expected(Struct, frozen=True):
    """What one Step is expected to need. A plan rests on it, a result never does.

    Attributes:
        runtime_s: how long its body takes, in seconds.
        output_bytes: size of its value, in bytes.
        containers: how many containers it needs at once, by FaaSFlow's grouping (`scale`).
        memory_share: which share of a container's memory it uses, from 0 to 1 (`mem_usage`).
        items: how many items it has where it runs for each item of a list (`split_ratio`).
    """

    runtime_s: float = 0.1
    output_bytes: float = 0.0
    containers: int = 1
    memory_share: float = 0.0
    items: int = 1


class PlanStep(Struct, frozen=True):
    """One Step of a graph that is to be placed.

    Attributes:
        takes: the Steps that it waits for, by their places in the graph, all before its own, and how many bytes it
            reads of each.
        is_control: whether it runs no code of an author, as a switch of FaaSFlow's.
        is_elsewhere: whether no single Worker runs it: a map, which is spread, or a Workflow, whose body stays with the
            engine. What it gives comes from outside.
    """

    name: str
    expected: Expected
    takes: tuple[tuple[int, float], ...] = ()
    is_control: bool = False
    is_elsewhere: bool = False


class PlanWorker(Struct, frozen=True):
    """A Worker as a plan counts it: how many Functions it runs at once, and its memory for values, in bytes."""

    places: int
    memory_bytes: float = float("inf")


class Network(Struct, frozen=True):
    """What lies between two Workers: bytes a second, each way, and what a value waits on its way, in seconds."""

    bytes_s: float = 100e6
    hop_s: float = 0.001


class Grouping(Struct, frozen=True):
    """The constants of FaaSFlow's grouping.

    Attributes:
        bytes_s: the bandwidth that it assumes: a fourth of 25 MiB/s.
        local_ratio: how many times faster an edge is whose ends are on one Worker.
        container_bytes: memory of a container; `reserve` is the share of it that is never counted on.
        group_max: most Steps in one group.
        places: containers of each Worker that may be used; 80 % of 120 in the original.
        quota_bytes: memory for values that stay on their Worker; None for what the containers leave.
    """

    bytes_s: float = 25 * MIB / 4
    local_ratio: float = 15.0
    container_bytes: float = 256 * MIB
    reserve: float = 0.2
    group_max: int = 100
    places: int = 96
    quota_bytes: float | None = None


class PlacementPlan(Struct, frozen=True):
    """Where the Steps of one graph are to run.

    Attributes:
        homes: by Step, the place of its Worker among those that were given; -1 where no single Worker runs it.
        groups: Steps that stay together, by their places in the graph; the largest first.
        path: the critical path under this plan, from its first Step to its last.
        length_s: how long it is, in seconds, as it is modelled; `spread_s` the same where every Step runs apart.
        moved_bytes: bytes that must cross from one Worker to another; `total_bytes` those of all edges.
    """

    policy: Placement
    homes: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    path: tuple[int, ...]
    length_s: float
    spread_s: float
    moved_bytes: float
    total_bytes: float
