"""The host functions of state: regions that calls on this host share, their copies in the bucket, and locks."""

from __future__ import annotations

from typing import Final

from weftrun.adapters.near.key import ChangedMeanwhile, once_of
from weftrun.adapters.wasm.call import CallContext
from weftrun.adapters.wasm.global_lock import acquire
from weftrun.adapters.wasm.instance import BadAddress
from weftrun.adapters.wasm.state import APPENDED, STATE, append
from weftrun.ports.buckets import KeyChanged

_U32: Final = 0xFFFF_FFFF


def state_size(call: CallContext, key: int, key_bytes: int) -> int:
    """Return the length of the state of a key; -1 where there is none."""
    region = call.state.find(call.text(key, key_bytes), call.place.buckets)
    return -1 if region is None else region.nbytes


def state_map(call: CallContext, key: int, key_bytes: int, nbytes: int, shown: int) -> int:
    """Map the state of a key into memory; return where, and write its length to `shown`. 0 where there is no room."""
    found = call.map_state(call.text(key, key_bytes), nbytes & _U32)
    if found is None:
        return 0
    call.instance.write(shown & _U32, found[1].to_bytes(4, "little"))
    return found[0]


def state_push(call: CallContext, key: int, key_bytes: int) -> int:
    """Copy the state of a key into the bucket; -1 where there is none."""
    return state_push_part(call, key, key_bytes, 0, -1)


def state_push_part(call: CallContext, key: int, key_bytes: int, offset: int, nbytes: int) -> int:
    """Copy a part of the state of a key into the bucket, all that follows where `nbytes` is negative."""
    return 0 if push(call, call.text(key, key_bytes), offset & _U32, nbytes) else -1


def state_pull(call: CallContext, key: int, key_bytes: int) -> int:
    """Copy what the bucket has into the state of a key; -1 where it has nothing."""
    return state_pull_part(call, key, key_bytes, 0, -1)


def state_pull_part(call: CallContext, key: int, key_bytes: int, offset: int, nbytes: int) -> int:
    """Copy a part of what the bucket has into the state of a key, all that follows where `nbytes` is negative."""
    return 0 if pull(call, call.text(key, key_bytes), offset & _U32, nbytes) else -1


def state_append(call: CallContext, key: int, key_bytes: int, at: int, nbytes: int) -> int:
    """Add bytes to what was appended under a key, in the bucket; once, also where the Step is tried again."""
    add(call, call.text(key, key_bytes), call.instance.read(at & _U32, nbytes & _U32))
    return 0


def state_appended(call: CallContext, key: int, key_bytes: int, at: int, nbytes: int) -> int:
    """Write what was appended under a key, as far as there is room; return how long it is."""
    name = APPENDED + call.text(key, key_bytes)
    found = call.buckets().read(call.place.bucket, name, 0, nbytes & _U32)
    if found is None:
        return 0
    call.instance.write(at & _U32, found[1])
    return found[0].nbytes


def state_clear_appended(call: CallContext, key: int, key_bytes: int) -> int:
    """Remove what was appended under a key; -1 where there was nothing."""
    return 0 if call.buckets().delete(call.place.bucket, APPENDED + call.text(key, key_bytes)) else -1


def state_lock(call: CallContext, key: int, key_bytes: int, writes: int) -> int:
    """Wait for a lock of a key on this host."""
    lock(call, call.text(key, key_bytes), writes=bool(writes))
    return 0


def state_unlock(call: CallContext, key: int, key_bytes: int) -> int:
    """Give a lock back; -1 where there was none."""
    return 0 if call.state.unlock(call.text(key, key_bytes)) else -1


def state_lock_global(call: CallContext, key: int, key_bytes: int) -> int:
    """Wait for the lock of a key over all hosts."""
    lock_everywhere(call, call.text(key, key_bytes))
    return 0


def state_unlock_global(call: CallContext, key: int, key_bytes: int) -> int:
    """Give the lock of a key over all hosts back; -1 where there was none."""
    return 0 if unlock_everywhere(call, call.text(key, key_bytes)) else -1


# ---------------------------------------------------------------------- by name, as components say it, too


def push(call: CallContext, name: str, offset: int = 0, nbytes: int = -1) -> bool:
    """Copy the state of a key, or a part of it, into the bucket; False where there is none."""
    held = call.global_locks.get(name)
    if held is not None:
        held.check()
    try:
        stat = call.state.push(name, call.buckets(), offset, nbytes, guard=held.guard if held else "")
    except KeyChanged as error:
        raise ChangedMeanwhile(f"{error} Another Attempt pulls it again") from None
    if held is not None and stat is not None:
        held.guard = stat.version
    return stat is not None


def pull(call: CallContext, name: str, offset: int = 0, nbytes: int = -1) -> bool:
    """Copy what the bucket has, or a part of it, into the state of a key; False where it has nothing."""
    stat = call.state.pull(name, call.buckets(), offset, nbytes)
    held = call.global_locks.get(name)
    if held is not None and stat is not None:
        held.guard = stat.version
    return stat is not None


def add(call: CallContext, name: str, data: bytes) -> None:
    """Add bytes to what was appended under a key; once, also where the Step is tried again."""
    call.writes += 1
    token = f"{call.place.effects}#{call.writes}" if call.place.effects else ""
    call.state  # noqa: B018  # refuses where there is none
    append(call.buckets(), call.place.bucket, name, data, once_of(token, data))


def lock(call: CallContext, name: str, *, writes: bool) -> None:
    """Wait for a lock of a key on this host."""
    if not call.state.lock(name, writes=writes, until=call.ends_at):
        raise BadAddress(f"its time was over while it waited for the lock of {name!r}")


def lock_everywhere(call: CallContext, name: str) -> None:
    """Wait for the lock of a key over all hosts."""
    if name in call.global_locks:
        raise BadAddress(f"it takes the global lock of {name!r}, which it has")
    call.state  # noqa: B018  # refuses where there is none
    held = acquire(call.buckets(), call.place.bucket, name, STATE + name, until=call.ends_at)
    if held is None:
        raise BadAddress(f"its time was over while it waited for the global lock of {name!r}")
    call.global_locks[name] = held


def unlock_everywhere(call: CallContext, name: str) -> bool:
    """Give the lock of a key over all hosts back; False where there was none."""
    held = call.global_locks.pop(name, None)
    if held is None:
        return False
    held.release()
    held.check()
    return True
