"""The zygote: imports the author's code once and forks Sandboxes from that.

It runs no Invocation and never speaks with a Sandbox after it is made. `main` is executed by name, by the engine.
When nothing else is to be done it makes the next child ahead, which waits, isolated, until a Sandbox is wanted.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from weftrun.guest import isolation, kernel
from weftrun.guest.children import Births, Child
from weftrun.guest.code import load_code
from weftrun.guest.strays import kill_descendants, kill_strays, namespace_of
from weftrun.model.ids import StepId
from weftrun.model.messages import Exited, Fork, Forked, Load, Loaded, ToSandbox, ToZygote
from weftrun.sdk.failure import failure_of
from weftrun.wire.channel import Channel, decoder_of, unix_socket
from weftrun.wire.hold import Hold

_RESERVE_MS: Final = 1
"""A child is made ahead after a quiet time of this length: once all that were asked for together are there."""


def main() -> NoReturn:
    """Run a zygote on the channel, under the parent and with the limits named by the arguments.

    The limits are the size of messages, and how many descriptors the author's code may have open.
    """
    channel_fd, parent, frame_bytes_max, open_files_max = (int(argument) for argument in sys.argv[1:5])
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    isolation.stay_alive_on_interrupt()
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files_max, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    own_pids = isolation.pid_namespace_allowed()
    if own_pids:
        isolation.enter_pid_namespace()
        _become_first_process(channel_fd)
    zygote = Zygote(unix_socket(channel_fd), own_pids=own_pids, frame_bytes_max=frame_bytes_max)
    if not own_pids:
        kernel.become_subreaper()
    zygote.run()


def _become_first_process(channel_fd: int) -> None:
    """Go on as PID 1 of the new pid namespace; the process that was here only waits for it, and ends with it."""
    child = os.fork()
    if child:
        os.close(channel_fd)
        signal.signal(signal.SIGTERM, lambda _number, _frame: _kill(child))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else 128 - code)
    kernel.die_with_parent(signal.SIGKILL)
    kernel.mount_proc()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Zygote:
    """Answers `Load` and `Fork`, and tells when a Sandbox has ended with all that it had started."""

    def __init__(self, sock: socket.socket, *, own_pids: bool, frame_bytes_max: int) -> None:
        """Speak with the engine over `sock`; `own_pids` says whether this is PID 1 of a pid namespace."""
        self._channel: Channel[ToZygote] = Channel(sock, ToZygote, frame_bytes_max=frame_bytes_max)
        self._own_pids = own_pids
        self._own_ipc = namespace_of(os.getpid())
        self._births = Births(self._leave, own_pids=own_pids, frame_bytes_max=frame_bytes_max)
        self._loaded: Load | None = None
        self._threads: tuple[str, ...] = ()
        self._children: dict[int, Child] = {}
        self._reserve: Child | None = None
        self._reserve_due = False
        self._hold: Hold | None = None
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._child_signal: Any = signal.SIG_DFL

    def run(self) -> NoReturn:
        """Serve until the engine closes the channel."""
        poll = select.poll()
        poll.register(self._channel.socket, select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        while True:
            ready = poll.poll(_RESERVE_MS if self._reserve_due else self._life_left_ms())
            if not ready and self._reserve_due:
                self._make_reserve()
            for descriptor, _ in ready:
                if descriptor == self._wake_reader.fileno():
                    self._wake_reader.recv(4096)
                elif not self._serve():
                    self.end()
            self._reap()

    def _life_left_ms(self) -> float | None:
        """Return how long to wait before looking whether the engine still lives; end its Sandboxes where it does not.

        Others may have taken its Runs over by then, and a frozen engine can't end what it runs of them (O3).
        """
        if self._hold is None or not self._children:
            return None
        left_s = self._hold.life_left_s()
        if left_s > 0:
            return left_s * 1_000 + 1
        for pid in self._children:
            _kill(pid)
        return None

    def _serve(self) -> bool:
        received = self._channel.receive()
        if received is None:
            return False
        for message, descriptors in received:
            match message:
                case Load():
                    self._load(message)
                case Fork():
                    self._fork(message, descriptors)
                    for descriptor in descriptors:
                        os.close(descriptor)
        return True

    # ------------------------------------------------------------------ the author's code

    def _load(self, load: Load) -> None:
        self._loaded = load
        failure = None
        try:
            load_code(load.bundle)
        except BaseException as error:  # noqa: BLE001 - the author's module runs here, and may raise anything
            failure = failure_of(error, origin=StepId(""), attempt=1, attempts=1, bytes_max=load.error_text_bytes_max)
        self._threads = tuple(t.name for t in threading.enumerate() if t is not threading.main_thread())
        self._watch_children()
        decoder_of(ToSandbox)
        gc.collect()
        gc.freeze()
        self._channel.send(Loaded(failure, self._threads))

    def _watch_children(self) -> None:
        """Be woken when a child ends. Set up after the import, which may have set handlers of its own."""
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._child_signal = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        isolation.stay_alive_on_interrupt()
        if not self._own_pids:
            # Nobody kills what is left when this process is killed, so it must have the time to do it by itself.
            signal.signal(signal.SIGTERM, lambda _number, _frame: self.end())
            kernel.die_with_parent(signal.SIGTERM)

    # ------------------------------------------------------------------ Sandboxes

    def _fork(self, fork: Fork, descriptors: Sequence[int]) -> None:
        if self._hold is None:
            self._hold = Hold(os.dup(descriptors[-1]))
        execs = bool(self._threads)
        child, self._reserve = self._reserve, None
        try:
            if child is None:
                child = self._births.child(execs=execs, closing=descriptors)
            refusal = child.want(fork, descriptors, self._loaded if execs else None)
            pidfd = os.pidfd_open(child.pid)
        except OSError as error:
            self._channel.send(Forked(fork.sandbox, 0, f"it could not be made: {error}"))
            return
        self._children[child.pid] = child
        self._channel.send(Forked(fork.sandbox, child.pid, refusal), [pidfd])
        os.close(pidfd)
        self._reserve_due = not execs  # a fresh interpreter is too large to be kept for nothing

    def _make_reserve(self) -> None:
        self._reserve_due = False
        with contextlib.suppress(OSError):  # whoever wants a Sandbox will be told why there is none
            self._reserve = self._births.child(ahead=True)

    def _leave(self) -> None:
        """Be no zygote any more: in a child that was just forked."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, self._child_signal)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for mine in (self._wake_reader, self._wake_writer, self._channel):
            mine.close()
        for child in self._children.values():
            child.forget()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                kill_strays(pid, child.namespace if child.namespace != self._own_ipc else 0)
                child.forget()
                self._channel.send(Exited(child.sandbox, os.waitstatus_to_exitcode(status)))
            elif self._reserve is not None and self._reserve.pid == pid:
                self._reserve.forget()
                self._reserve = None

    def end(self) -> NoReturn:
        """End with all Sandboxes and what they have started."""
        kill_descendants()
        os._exit(0)
