"""Calls that move to their data, as bytes; and the name of a module by its content."""

from __future__ import annotations

import hashlib

import msgspec

from weftrun.model.near import NearAnswer, NearCall

encoder = msgspec.msgpack.Encoder()
call_decoder = msgspec.msgpack.Decoder(NearCall)
answer_decoder: msgspec.msgpack.Decoder[NearAnswer] = msgspec.msgpack.Decoder(NearAnswer)


def digest_of(module: bytes) -> str:
    """Return the name of a module by its content."""
    return hashlib.sha256(module).hexdigest()
