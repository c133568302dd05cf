"""The form in which calls go to their data, and how modules are named: MessagePack, and SHA-256."""

from __future__ import annotations

import hashlib

import msgspec

from weftrun.model.beside import PythonAnswer, PythonCall, PythonCode
from weftrun.model.near import NearAnswer, NearCall

encoder = msgspec.msgpack.Encoder()
call_decoder = msgspec.msgpack.Decoder(NearCall)
answer_decoder: msgspec.msgpack.Decoder[NearAnswer] = msgspec.msgpack.Decoder(NearAnswer)
python_call_decoder = msgspec.msgpack.Decoder(PythonCall)
python_code_decoder = msgspec.msgpack.Decoder(PythonCode)
python_answer_decoder: msgspec.msgpack.Decoder[PythonAnswer] = msgspec.msgpack.Decoder(PythonAnswer)


def digest_of(module: bytes) -> str:
    """Return the name of a module, or of code in Python, by its content."""
    return hashlib.sha256(module).hexdigest()
