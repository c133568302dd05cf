"""Children of a zygote: how a process is made that is isolated already and waits to become a Sandbox."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import traceback
from collections.abc import Callable, Sequence

from weftrun.guest import kernel
from weftrun.guest.orphans import held_namespace
from weftrun.guest.sandbox import become_sandbox
from weftrun.model.messages import Fork, Load, ToZygote
from weftrun.sdk.program import interpreter_options
from weftrun.wire.channel import Channel
from weftrun.wire.level import Level
from weftrun.wire.program import guest_command, guest_environment


class Child:
    """A process that is a Sandbox, or waits to be one.

    Attributes:
        pid: its number, as this zygote sees it.
        namespace: number of its ipc namespace, 0 where that is unknown. It is held open until `forget`: the kernel
            gives a number again once nobody is in the namespace, and what is then in it is no orphan of this child.
        sandbox: the Sandbox that it is; 0 while it waits.
    """

    __slots__ = ("_frame_bytes_max", "_held", "_socket", "namespace", "pid", "sandbox")

    def __init__(self, pid: int, sock: socket.socket, frame_bytes_max: int) -> None:
        """Own the socket to an isolated child."""
        self.pid = pid
        self._held = held_namespace(pid)
        self.namespace = os.fstat(self._held).st_ino if self._held >= 0 else 0
        self.sandbox = 0
        self._socket = sock
        self._frame_bytes_max = frame_bytes_max

    def want(self, fork: Fork, descriptors: Sequence[int], load: Load | None) -> str:
        """Let it become a Sandbox; return why it refuses to, or nothing."""
        self.sandbox = fork.sandbox
        with self._socket:
            told: Channel[ToZygote] = Channel(self._socket, ToZygote, frame_bytes_max=self._frame_bytes_max)
            if load is not None:
                told.queue(load)
            told.send(fork, descriptors)
            word = b"go" if fork.network else self._socket.recv(4096)
        return "" if word == b"go" else word.decode("utf-8", "replace")

    def forget(self) -> None:
        """Release everything: it has ended and is looked after, or this process is no zygote any more. Idempotent."""
        self._socket.close()
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


class Births:
    """Makes children, by fork or, where no fork may have what the import left, by exec of a fresh interpreter."""

    def __init__(
        self,
        leave: Callable[[], None],
        *,
        own_pids: bool,
        level: Level,
        frame_bytes_max: int,
    ) -> None:
        """`leave` undoes in a forked child what makes this process the zygote."""
        self._leave = leave
        self._own_pids = own_pids
        self._level = level
        self._frame_bytes_max = frame_bytes_max
        self._map_ids = level is not Level.KEEP
        self._id_maps = kernel.id_maps()

    def child(self, *, execs: bool = False, ahead: bool = False, closing: Sequence[int] = ()) -> Child:
        """Return a new child, isolated. Raises OSError.

        Args:
            execs: whether it needs an interpreter of its own.
            ahead: whether it is made before it is wanted.
            closing: descriptors that a fork must not keep.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                pid = self._exec(theirs) if execs else self._fork(ours, theirs, closing, ahead=ahead)
            word = ours.recv(16)
            if word == b"map" and not self._mapped(pid):
                ours.close()
                return self.child(execs=execs, ahead=ahead, closing=closing)
            if not word:
                raise OSError("it ended before it was isolated")
            return Child(pid, ours, self._frame_bytes_max)
        except BaseException:
            ours.close()
            raise

    def _mapped(self, pid: int) -> bool:
        """Give a child's user namespace its ids; where that is forbidden, give up the child and such namespaces."""
        try:
            kernel.map_ids(pid, self._id_maps)
        except OSError:
            self._map_ids = False
            os.kill(pid, signal.SIGKILL)
            return False
        return True

    def _fork(self, ours: socket.socket, theirs: socket.socket, closing: Sequence[int], *, ahead: bool) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            ours.close()
            for descriptor in closing:
                os.close(descriptor)
            self._leave()
            become_sandbox(
                theirs,
                own_pids=self._own_pids,
                map_ids=self._map_ids,
                level=self._level,
                frame_bytes_max=self._frame_bytes_max,
                ahead=ahead,
            )
        except BaseException:  # noqa: BLE001 - whatever it is, this copy of the zygote must not go on as one
            traceback.print_exc()
        finally:
            os._exit(70)

    def _exec(self, theirs: socket.socket) -> int:
        settings = (
            theirs.fileno(), int(self._own_pids), int(self._map_ids), int(self._level), self._frame_bytes_max,
        )  # fmt: skip
        child = subprocess.Popen(
            guest_command("weftrun.guest.sandbox", *map(str, settings), options=interpreter_options()),
            env=guest_environment(()),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
        )
        child.returncode = 0  # it is reaped by the zygote, not by this object
        return child.pid
