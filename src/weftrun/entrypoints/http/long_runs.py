"""The gateway's end of the process that reads long Runs (`long_look`), one at a time.

In the gateway's own process, decoding and freeing very many records keeps the interpreter from every other thread, the
loop of the server among them; and what was needed for them would stay with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from weftrun.entrypoints.http.long_look import TOLD, LookRefused, read_frame, write_frame
from weftrun.entrypoints.http.looks import LookAsked
from weftrun.entrypoints.http.problems import Refusal

_IDLE_S: Final = 120.0
"""The process ends, and gives its memory back, when it was asked nothing for so long."""
_WAITING_MAX: Final = 32
_PROGRAM: Final = "weftrun.entrypoints.http.long_look"
_END_S: Final = 5.0


class _RefusedBeside(Refusal):
    """A request is answered by the problem that the process has told."""

    def __init__(self, told: LookRefused) -> None:
        Exception.__init__(self, told.problem.detail)
        self.problem = told.problem
        self.headers = told.headers


class LongRuns:
    """Reads long Runs in a process that is started when it is needed, and again when it has ended.

    Args:
        url: of the Journal.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread = ThreadPoolExecutor(1, "weftrun-http-long")
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting = 0
        self._is_closed = False
        self._idle: asyncio.TimerHandle | None = None

    async def ask(self, asked: LookAsked) -> bytes:
        """Return the answer, after those to earlier questions.

        Raises:
            Refusal: as `looks.told`; 429 where very many wait, 503 where the process ended twice.
        """
        if self._waiting >= _WAITING_MAX:
            detail = "Too many ask for long Runs at once; ask again later."
            raise Refusal(429, "too-many-long-runs", detail, headers={"Retry-After": "1"})
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            return await loop.run_in_executor(self._thread, self._ask, msgspec.msgpack.encode(asked))
        finally:
            self._waiting -= 1
            if self._idle is not None:
                self._idle.cancel()
            self._idle = loop.call_later(_IDLE_S, self._rest)

    def _rest(self) -> None:
        if not self._waiting and not self._is_closed:
            self._thread.submit(self._end)

    def _ask(self, asked: bytes) -> bytes:
        for _ in range(2):  # the process may have been ended from outside, for the memory that it takes, too
            try:
                return self._answer(asked)
            except (OSError, EOFError):
                self._end()
        detail = "The process that reads long Runs has ended; ask again."
        raise Refusal(503, "unavailable", detail, headers={"Retry-After": "1"})

    def _answer(self, asked: bytes) -> bytes:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        write_frame(process.stdin, asked)
        kind, answer = read_frame(process.stdout)
        if kind == TOLD:
            return answer
        raise _RefusedBeside(msgspec.msgpack.decode(answer, type=LookRefused))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._is_closed:
            raise BrokenPipeError("the gateway goes down")
        if self._process is None:
            # A group of its own: a Ctrl-C is the gateway's, which ends it.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
            )
            assert self._process.stdin is not None
            write_frame(self._process.stdin, self._url.encode())
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # of a question that was not written to its end
                pipe.close()
        process.wait(_END_S)

    def close(self) -> None:
        """End the process, whatever it reads. Idempotent."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()
        self._thread.shutdown()
        self._end()
