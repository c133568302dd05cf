"""The engine's end of one zygote: its process, its channel, and the Sandboxes that were asked of it."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
from typing import Final, NamedTuple, Protocol

from weftrun.adapters.passing.readiness import FdLoop, LoopChannel
from weftrun.adapters.process.sandbox import SandboxEnd, clause, exit_clause, import_clause
from weftrun.adapters.process.walls import Walled, walled
from weftrun.model.ids import SandboxId
from weftrun.model.limits import Limits
from weftrun.model.messages import Exited, Forked, FromZygote, Load, Loaded
from weftrun.model.policy import Bundle, Privileges
from weftrun.wire.channel import Channel
from weftrun.wire.frames import ChannelBroken
from weftrun.wire.level import Level
from weftrun.wire.program import guest_command, guest_environment
from weftrun.wire.text import BoundedText

_OUTPUT_BYTES: Final = 16 * 1024
_END_S: Final = 5.0


class ZygoteOwner(Protocol):
    """Whom a zygote tells what became of its Sandboxes."""

    def sandbox_ended(self, end: SandboxEnd, why: str) -> None:
        """The Sandbox and all it had started is gone, or was never made."""

    def zygote_ended(self, zygote: Zygote) -> None:
        """No Sandbox will come of it any more; the ones it had were told before."""


class Surroundings(NamedTuple):
    """What the author's code finds in its process.

    Attributes:
        since: when their program began, in seconds since the epoch, or 0.
        store_folder: where Objects lie as files; empty where they lie in memory.
        shares: whether `weftrun.shared` shares there.
    """

    hash_seed: int
    open_files_max: int | None
    since: float = 0.0
    store_folder: str = ""
    shares: bool = True


class Zygote:
    """A process that forks Sandboxes of one bundle.

    Attributes:
        bundle: the code it has imported.
        privileges: what its Sandboxes do with them.
        network: whether they may have the network; only walls are made without it.
        sandboxes: what was asked of it and has not ended.
    """

    def __init__(
        self,
        bundle: Bundle,
        loop: FdLoop,
        limits: Limits,
        owner: ZygoteOwner,
        surroundings: Surroundings,
        privileges: Privileges,
        network: bool = True,
    ) -> None:
        """Start the process and let it import the bundle. Raises OSError where it can't be started.

        To be called in a thread that lives as long as the zygote shall: the kernel kills it with that thread.
        """
        self.bundle = bundle
        self.privileges = privileges
        self.network = network
        self._surroundings = surroundings
        self.sandboxes: dict[SandboxId, SandboxEnd] = {}
        self._owner = owner
        self._loop = loop
        self._loaded = False
        self._unforkable: tuple[str, ...] = ()
        self._written: tuple[str, ...] = ()
        self._waiting: dict[SandboxId, SandboxEnd] = {}
        self._output = BoundedText(_OUTPUT_BYTES)
        ours, theirs = socket.socketpair()
        self._pipe, pipe_far = os.pipe2(os.O_CLOEXEC)
        try:
            self._process, self._walled = start_zygote(
                bundle, theirs.fileno(), pipe_far, surroundings, limits.frame_bytes_max, privileges, network=network
            )
        except BaseException:
            ours.close()
            os.close(self._pipe)
            raise
        finally:
            theirs.close()
            os.close(pipe_far)
        os.set_blocking(self._pipe, False)
        channel: Channel[FromZygote] = Channel(ours, FromZygote, frame_bytes_max=limits.frame_bytes_max)
        self._channel = LoopChannel(loop, channel, self._readable)
        loop.add_reader(self._pipe, self._read_output)
        try:
            self._channel.send(Load(bundle, limits.error_text_bytes_max, surroundings.since))
        except ChannelBroken:
            self.end()
            raise

    def make(self, end: SandboxEnd) -> None:
        """Ask for a Sandbox, as soon as the code is there."""
        self.sandboxes[end.id] = end
        if self._loaded:
            self._ask(end)
        else:
            self._waiting[end.id] = end

    def give_up(self, end: SandboxEnd) -> bool:
        """Ask no more for a Sandbox that was not asked for yet; say whether that was in time."""
        if self._waiting.pop(end.id, None) is None:
            return False
        del self.sandboxes[end.id]
        return True

    @property
    def is_stuck(self) -> bool:
        """Whether it still imports, and nobody waits for it any more."""
        return not self._loaded and not self._waiting

    def _ask(self, end: SandboxEnd) -> None:
        end.unforkable = self._unforkable
        end.written = self._written
        request, far = end.fork_request(self._surroundings.store_folder, shares=self._surroundings.shares)
        self._channel.send(request, far, close=far)

    # ------------------------------------------------------------------ what it says

    def _readable(self) -> None:
        try:
            received = self._channel.receive()
        except BlockingIOError:
            return
        except ChannelBroken:
            received = None
        if received is None:
            self._lost()
            return
        for message, descriptors in received:
            match message:
                case Loaded():
                    self._on_loaded(message)
                case Forked():
                    self._on_forked(message, descriptors)
                case Exited():
                    self._on_exited(message)

    def _on_loaded(self, message: Loaded) -> None:
        if message.failure is not None:
            self._fail(import_clause(message.failure))
            return
        self._loaded = True
        self._unforkable = message.unforkable
        self._written = message.written
        waiting, self._waiting = self._waiting, {}
        for end in waiting.values():
            self._ask(end)

    def _on_forked(self, message: Forked, descriptors: tuple[int, ...]) -> None:
        end = self.sandboxes.get(SandboxId(message.sandbox))
        if end is None:
            for descriptor in descriptors:
                os.close(descriptor)
            return
        if descriptors:
            end.forked(descriptors[0])
        if message.error:
            end.refused = message.error
            if not descriptors:
                self._gone(end, message.error)

    def _on_exited(self, message: Exited) -> None:
        end = self.sandboxes.get(SandboxId(message.sandbox))
        if end is not None:
            self._gone(end, end.refused or clause(end, message.code))

    def _gone(self, end: SandboxEnd, why: str) -> None:
        del self.sandboxes[end.id]
        self._owner.sandbox_ended(end, why)

    def _lost(self) -> None:
        """The process is gone, or has gone mad: so are all its Sandboxes."""
        loaded = self._loaded
        code = self.end()
        if loaded:
            self._fail("")
        else:
            printed = self._output.take().strip()
            why = f"its code could not be imported: the interpreter ended by {exit_clause(code)}"
            self._fail(f"{why}, having printed: {printed}" if printed else why)

    def _fail(self, why: str) -> None:
        self.end()
        self._waiting.clear()
        self._owner.zygote_ended(self)  # before the Sandboxes: whoever is told may ask for another at once
        for end in list(self.sandboxes.values()):
            self._gone(end, why or clause(end, None))

    def _read_output(self) -> None:
        try:
            data = os.read(self._pipe, 16 * 1024)
        except BlockingIOError:
            return
        if data:
            self._output.add(data)
        else:
            self._loop.remove_reader(self._pipe)

    # ------------------------------------------------------------------ its end

    def begin_end(self) -> None:
        """Ask the process to end with all its Sandboxes, whatever it is doing."""
        self._channel.close()
        self._process.terminate()

    def end(self) -> int | None:
        """End the process and return its exit code, or minus its signal, once no process of it is left."""
        if self._pipe >= 0:
            self.begin_end()
            self._read_output()
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._walled.remove()
        return 128 - code if code > 128 else code


def start_zygote(
    bundle: Bundle,
    channel_fd: int,
    output_fd: int,
    surroundings: Surroundings,
    frame_bytes_max: int,
    privileges: Privileges = "drop",
    *,
    network: bool = True,
) -> tuple[subprocess.Popen[bytes], Walled]:
    """Start a zygote on the far ends of its channel and of the pipe of what it prints. Raises OSError.

    It is returned with what is to be removed when it has ended.
    """
    open_files_max = surroundings.open_files_max
    if open_files_max is None:
        open_files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    level, program = Level.of(privileges), bundle.program
    there = 3 if level is Level.OCI else channel_fd
    settings = (there, os.getpid(), frame_bytes_max, open_files_max, level.value)
    command = guest_command("weftrun.guest.zygote", *map(str, settings), options=program.options)
    environment = guest_environment(program.options, surroundings.hash_seed)
    made = Walled(command)
    if level.is_walled:
        made = walled(
            privileges, bundle, command, environment, network=network, store_folder=surroundings.store_folder,
            channel_fd=channel_fd,
        )  # fmt: skip
    try:
        process = subprocess.Popen(
            made.command,
            cwd=program.cwd or None,
            env=environment,
            pass_fds=(channel_fd,),
            stdin=subprocess.DEVNULL,
            stdout=output_fd,
            stderr=output_fd,
            start_new_session=True,
        )
    except OSError:
        made.remove()
        raise
    return process, made
