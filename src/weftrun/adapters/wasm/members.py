"""Groups of a program: one of its functions runs in many instances at once, each with a copy of the memory.

The members are threads of this process: the library lets them run side by side. They may talk to one another, and share
the parts of memory that were made for it; what is declared to be merged comes back, as of functions that are forked.
Source: S. Shillaker and P. Pietzuch, "Faasm", USENIX ATC 2020, for threads and MPI on functions.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from weftrun.adapters.wasm.call import CallContext, SharedPart, running
from weftrun.adapters.wasm.group import MEMBERS_MAX, Group, GroupEnded, Member
from weftrun.adapters.wasm.instance import BadAddress
from weftrun.adapters.wasm.mapping import map_file
from weftrun.adapters.wasm.merging import merged, nbytes_of, neutral
from weftrun.model.errors import WasmRefused, WasmTrapped

_U32: Final = 0xFFFF_FFFF


class _Forked:
    """A member: its call, and what it prints."""

    def __init__(self, caller: CallContext, group: Group, rank: int, function: int) -> None:
        self.said: list[bytes] = []
        effects = f"{caller.place.effects}#{caller.writes}.{rank}" if caller.place.effects else ""
        label = f"{caller.label} (member {rank} of {group.size})"
        place = caller.place._replace(effects=effects, say=self.said.append)
        self.call = CallContext(label, caller.input, place, caller.limits)
        self.call.ends_at = caller.ends_at
        self.call.member = Member(group, rank)
        self._caller = caller
        self._function = function

    def run(self) -> int:
        """Run the function, in a thread of its own; return what it returns."""
        group, rank = self.call.member
        running.call = self.call
        failure = f"the member {rank} has failed"
        try:
            self.call.begin(self._caller.instance.compiled, self._caller.pre)
            _copy(self._caller, self.call)
            value = self.call.run(lambda of: of.call_table(self._function, ()), may_exit=False)
            failure = f"the member {rank} has returned {value}" if value else ""
        finally:
            group.ended(rank, failure)
        return value


def _copy(caller: CallContext, member: CallContext) -> None:
    """Let the memory of a member be that of its caller, of which it shares what is shared."""
    own, instance = caller.instance, member.instance
    more = own.memory_bytes - instance.memory_bytes
    if more > 0 and instance.grow(more) is None:
        raise WasmTrapped(f"The WebAssembly function {member.label} did not begin: its memory does not fit.")
    instance.write(0, own.view())
    instance.set_numbers(own.numbers())
    for region in caller.merged:
        instance.write(region.at, neutral(region) or b"")
    for part in caller.parts:
        map_file(instance.address(part.at, part.nbytes), part.nbytes, part.descriptor, shared=True)
    for key, (at, nbytes) in caller.shared.items():
        region_of = member.state.find(key, None)
        if region_of is None:
            raise WasmTrapped(f"The WebAssembly function {member.label} did not begin: the state {key!r} is gone.")
        member.state.map(region_of, instance.address(at, nbytes))
    member.shared, member.views = dict(caller.shared), dict(caller.views)
    member.free, member.reads = list(caller.free), dict(caller.reads)


def group_run(call: CallContext, function: int, members: int) -> int:
    """Run a function of the table in so many instances; return 0 where all have, else what the first to fail has."""
    _check(call, members)
    call.writes += 1  # so that what members of two groups write is not taken for the same
    group = Group(members)
    forked = [_Forked(call, group, rank, function & _U32) for rank in range(members)]
    try:
        with ThreadPoolExecutor(members, "weftrun-wasm-member") as threads:
            values = [threads.submit(one.run) for one in forked]
        for text in (text for one in forked for text in one.said):
            call.printed.add(text)
        if group.failed is not None:
            return values[group.failed].result()
        for one in forked:
            _join(call, one.call)
    finally:
        for one in forked:
            one.call.close()
    return 0


def _check(call: CallContext, members: int) -> None:
    if call.place.others is not None:
        raise WasmRefused(
            f"The WebAssembly program {call.label} calls other functions, so it runs in the Sandbox of bodies: let a "
            "function that it calls make the group."
        )
    if call.member.group.size > 1:
        raise BadAddress("a member of a group can't make another one")
    if not 0 < members <= MEMBERS_MAX:
        raise BadAddress(f"a group has 1 to {MEMBERS_MAX} members, not {members}")
    if call.instance.compiled.fixed:
        raise WasmRefused(
            f"The WebAssembly function {call.label} does not export all its variables, so no copy of it can be made. "
            "`weftrun build` exports them."
        )


def _join(call: CallContext, member: CallContext) -> None:
    """Take what a member gives back, those with lower numbers first."""
    for region in call.merged:
        own, theirs = (one.instance.read(region.at, nbytes_of(region)) for one in (call, member))
        call.instance.write(region.at, merged(region, own, theirs))
    call.reads.update(member.reads)
    call.moved += member.moved
    call.read_bytes += member.read_bytes
    if member.member.rank == 0 and member.output is not None:
        call.output = member.output


# ---------------------------------------------------------------------- what members ask for


def group_rank(call: CallContext) -> int:
    """Return the number of this member; 0 outside of a group."""
    return call.member.rank


def group_size(call: CallContext) -> int:
    """Return how many members the group has; 1 outside of one."""
    return call.member.group.size


def group_send(call: CallContext, to: int, at: int, nbytes: int) -> int:
    """Hand a message to a member."""
    group, rank = call.member
    group.send(rank, to, call.instance.read(at & _U32, nbytes & _U32), call.ends_at)
    return 0


def group_receive(call: CallContext, source: int, at: int, nbytes: int) -> int:
    """Wait for the next message of a member, and write it; return how long it is."""
    group, rank = call.member
    data = group.receive(rank, source, nbytes & _U32, call.ends_at)
    call.instance.write(at & _U32, data)
    return len(data)


def group_next(call: CallContext, source: int) -> int:
    """Wait for the next message of a member; return how long it is."""
    return call.member.group.next_nbytes(call.member.rank, source, call.ends_at)


def group_barrier(call: CallContext) -> int:
    """Wait until all members are here."""
    call.member.group.barrier(call.member.rank, call.ends_at)
    return 0


def group_lock(call: CallContext, number: int) -> int:
    """Wait for a lock of the group."""
    call.member.group.lock(call.member.rank, number, call.ends_at)
    return 0


def group_unlock(call: CallContext, number: int) -> int:
    """Give a lock of the group back."""
    call.member.group.unlock(call.member.rank, number)
    return 0


def group_share(call: CallContext, nbytes: int) -> int:
    """Make a part of memory that the members of later groups share; return where, or 0 where there is no room."""
    if call.member.group.size > 1 or call.in_storage_call:
        raise GroupEnded("memory is shared before a group is made, and not in a storage call")
    nbytes &= _U32
    at = call.instance.grow(nbytes) if nbytes else None
    if at is None:
        return 0
    descriptor = os.memfd_create("weftrun-group", os.MFD_CLOEXEC)
    call.parts.append(part := SharedPart(at, nbytes, descriptor))
    os.ftruncate(descriptor, nbytes)
    map_file(call.instance.address(at, nbytes), nbytes, part.descriptor, shared=True)
    return at
