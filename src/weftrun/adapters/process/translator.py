"""The gateway's end of a translator (`model.translation`): its process, and one answer for each question, in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections import deque
from typing import Final

import msgspec

from weftrun.model.errors import LimitExceeded, UsageError
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.policy import Bundle
from weftrun.model.translation import AppLoaded, FromTranslator, LoadApp, Refused, ToTranslator
from weftrun.wire.frames import HEADER
from weftrun.wire.program import guest_command, guest_environment

_END_S: Final = 5.0
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FromTranslator).decode


class TranslatorEnded(UsageError):
    """The process of an app's code ended, or gave no answer in time, while it made or read a value."""


class Translator:
    """A process that has imported an app. Made by `Translator.started`; used in one asyncio loop.

    Attributes:
        loaded: what the app has, or why it can't be imported.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        patience_s: float,
    ) -> None:
        self.loaded = AppLoaded()
        self._loop = asyncio.get_running_loop()
        self._process = process
        self._reader = reader
        self._writer = writer
        self._patience_s = patience_s
        self._waiting: deque[asyncio.Future[FromTranslator]] = deque()
        self._began_s: deque[float] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._listening = asyncio.ensure_future(self._listen())

    @classmethod
    async def started(cls, bundle: Bundle, *, patience_s: float = DEFAULT_LIMITS.sandbox_start_s) -> Translator:
        """Start the process, and return when the app is imported or can't be.

        Args:
            bundle: the code.
            patience_s: how long the import, and each later answer, may take, in seconds.

        Raises:
            TranslatorEnded: it ended, or took longer.
            OSError: the process can't be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = _start(bundle, theirs.fileno())
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        translator = cls(process, reader, writer, patience_s)
        try:
            answer = await translator.ask(LoadApp(bundle))
            assert isinstance(answer, AppLoaded)
            translator.loaded = answer
        except BaseException:
            await translator.close()
            raise
        return translator

    @property
    def is_alive(self) -> bool:
        """Whether it answers."""
        return not self._listening.done()

    async def ask(self, message: ToTranslator) -> FromTranslator:
        """Return the answer to a message.

        Raises:
            UsageError: what was asked for can't be done, for a reason that the caller can mend.
            TranslatorEnded: it ended, or took too long and was ended; nothing can be asked of it any more.
            LimitExceeded: the message is larger than may be sent.
        """
        if not self.is_alive:
            raise TranslatorEnded("The process of the app's code has ended.")
        body = _encode(message)
        if len(body) > DEFAULT_LIMITS.frame_bytes_max:
            raise LimitExceeded(f"A value of {len(body):,} bytes is too large to be translated.")
        answer: asyncio.Future[FromTranslator] = self._loop.create_future()
        self._waiting.append(answer)
        self._began_s.append(self._loop.time())
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience_s, self._look)
        self._writer.write(HEADER.pack(len(body), 0) + body)
        told = await answer
        if isinstance(told, Refused):
            raise UsageError(told.why)
        return told

    async def _listen(self) -> None:
        try:
            while True:
                length, _ = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                told = _decode(await self._reader.readexactly(length))
                answer = self._waiting.popleft()
                self._began_s.popleft()
                if not answer.done():  # whoever asked may have gone
                    answer.set_result(told)
        except (asyncio.IncompleteReadError, OSError, msgspec.MsgspecError, IndexError):
            pass
        finally:
            self._fail("The process of the app's code ended while it made or read a value.")

    def _look(self) -> None:
        """End the process if the oldest question is too old: one timer for all, not one for each."""
        self._watch = None
        if not self._began_s:
            return
        left_s = self._began_s[0] + self._patience_s - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._look)
        else:
            self._fail(f"The app's code gave no answer within {self._patience_s:g} s.")
            self.kill()

    def _fail(self, why: str) -> None:
        self._began_s.clear()
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(TranslatorEnded(why))

    def kill(self) -> None:
        """End the process at once. Idempotent."""
        if self._watch is not None:
            self._watch.cancel()
        self._process.kill()
        self._listening.cancel()
        self._writer.close()

    async def close(self) -> None:
        """End the process, and return when it is gone."""
        self.kill()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, _END_S)


def _start(bundle: Bundle, channel_fd: int) -> subprocess.Popen[bytes]:
    program = bundle.program
    settings = (channel_fd, os.getpid())
    return subprocess.Popen(
        guest_command("weftrun.guest.translator", *map(str, settings), options=program.options),
        cwd=program.cwd or None,
        env=guest_environment(program.options),
        pass_fds=(channel_fd,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
