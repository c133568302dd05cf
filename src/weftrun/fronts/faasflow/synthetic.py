"""Tasks without code: they take as long, and put as many bytes, as was recorded of what they stand for."""

from __future__ import annotations

import hashlib
import time

from weftrun.fronts.faasflow.data import NodeOutputs
from weftrun.fronts.faasflow.plan import PlannedCall

_SPIN_S = 0.002
_BYTES = "application/octet-stream"


def synthesize(call: PlannedCall, given: list[NodeOutputs]) -> NodeOutputs:
    """Read all inputs, keep a processor busy for `cpu_s`, sleep for the rest of `runtime`, and put the outputs.

    What it puts is made of what it has read, so two Runs give the same only if each task got the same.
    """
    began = time.monotonic()
    digest = hashlib.sha256(call.name.encode())
    for outputs in given:
        for key in sorted(outputs):
            if key in call.input:
                _, data = outputs.raw(key)
                digest.update(f"{key} {data.nbytes}".encode() + bytes(data[:64]) + bytes(data[-64:]))
    _compute(call.cpu_s)
    time.sleep(max(0.0, call.runtime - (time.monotonic() - began)))
    word = digest.digest()
    made = NodeOutputs()
    for key, entry in call.output.items():
        made.put(key, (word * (entry.size // len(word) + 1))[: entry.size], _BYTES)
    return made


def _compute(seconds: float) -> None:
    """Compute for as many seconds of this thread's processor time."""
    until = time.thread_time() + seconds
    while (left := until - time.thread_time()) > 0:
        rounds = 50_000 if left > _SPIN_S else 2_000
        sum(number * number for number in range(rounds))
