"""The zygote: imports the author's code once and forks Sandboxes from that.

It runs no Invocation and never speaks with a Sandbox after it is made. `main` is executed by name, by the engine.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from weftrun.guest import isolation, kernel
from weftrun.guest.code import load_code
from weftrun.guest.sandbox import Inherited, become_sandbox
from weftrun.guest.strays import kill_descendants, kill_strays, namespace_of
from weftrun.model.ids import StepId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.messages import Exited, Fork, Forked, Load, Loaded, ToSandbox, ToZygote
from weftrun.model.policy import Bundle
from weftrun.sdk.failure import failure_of
from weftrun.wire.channel import Channel, decoder_of
from weftrun.wire.program import guest_command


def main() -> NoReturn:
    """Run a zygote on the channel and under the parent named by the two arguments."""
    channel_fd, parent = int(sys.argv[1]), int(sys.argv[2])
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    isolation.stay_alive_on_interrupt()
    own_pids = isolation.pid_namespace_allowed()
    if own_pids:
        isolation.enter_pid_namespace()
        _become_first_process(channel_fd)
    zygote = Zygote(socket.socket(fileno=channel_fd), own_pids=own_pids)
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


class _Child:
    """A Sandbox as its zygote knows it."""

    __slots__ = ("namespace", "sandbox")

    def __init__(self, sandbox: int, namespace: int) -> None:
        self.sandbox = sandbox
        self.namespace = namespace


class Zygote:
    """Answers `Load` and `Fork`, and tells when a Sandbox has ended with all that it had started."""

    def __init__(self, sock: socket.socket, *, own_pids: bool) -> None:
        """Speak with the engine over `sock`; `own_pids` says whether this is PID 1 of a pid namespace."""
        self._channel: Channel[ToZygote] = Channel(sock, ToZygote, frame_bytes_max=DEFAULT_LIMITS.frame_bytes_max)
        self._own_pids = own_pids
        self._own_ipc = namespace_of(os.getpid())
        self._map_ids = True
        self._id_maps = kernel.id_maps()
        self._bundle = Bundle("")
        self._threads: tuple[str, ...] = ()
        self._children: dict[int, _Child] = {}
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._child_signal: Any = signal.SIG_DFL

    def run(self) -> NoReturn:
        """Serve until the engine closes the channel."""
        poll = select.poll()
        poll.register(self._channel.socket, select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._wake_reader.fileno():
                    self._wake_reader.recv(4096)
                elif not self._serve():
                    self.end()
            self._reap()

    def _serve(self) -> bool:
        received = self._channel.receive()
        if received is None:
            return False
        for message, descriptors in received:
            match message:
                case Load():
                    self._load(message.bundle)
                case Fork():
                    self._fork(message, descriptors)
                    for descriptor in descriptors:
                        os.close(descriptor)
        return True

    # ------------------------------------------------------------------ the author's code

    def _load(self, bundle: Bundle) -> None:
        self._bundle = bundle
        failure = None
        try:
            load_code(bundle)
        except BaseException as error:  # noqa: BLE001 - the author's module runs here, and may raise anything
            failure = failure_of(
                error, origin=StepId(""), attempt=1, attempts=1, bytes_max=DEFAULT_LIMITS.error_text_bytes_max
            )
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
        ours, theirs = socket.socketpair()
        with ours, theirs:
            channel, page, text = descriptors
            inherited = Inherited(channel, page, text, theirs)
            try:
                pid = self._spawn(fork, inherited, ours) if self._threads else self._fork_child(fork, inherited, ours)
                theirs.close()
                refusal = self._greet(pid, ours)
                pidfd = os.pidfd_open(pid)
            except OSError as error:
                self._channel.send(Forked(fork.sandbox, 0, f"it could not be made: {error}"))
                return
        namespace = namespace_of(pid)
        self._children[pid] = _Child(fork.sandbox, namespace if namespace != self._own_ipc else 0)
        self._channel.send(Forked(fork.sandbox, pid, refusal), [pidfd])
        os.close(pidfd)

    def _fork_child(self, fork: Fork, inherited: Inherited, ours: socket.socket) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, self._child_signal)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for mine in (ours, self._wake_reader, self._wake_writer, self._channel):
                mine.close()
            become_sandbox(fork, inherited, own_pids=self._own_pids, map_ids=self._map_ids)
        except BaseException:  # noqa: BLE001 - whatever it is, this copy of the zygote must not go on as one
            traceback.print_exc()
        finally:
            os._exit(70)

    def _spawn(self, fork: Fork, inherited: Inherited, ours: socket.socket) -> int:
        """Exec a fresh interpreter, since a fork would copy locks that the threads here may hold."""
        child = subprocess.Popen(
            guest_command("weftrun.guest.sandbox", *inherited.arguments(), str(int(self._own_pids))),
            pass_fds=inherited.descriptors(),
            stdin=subprocess.DEVNULL,
        )
        child.returncode = 0  # it is reaped in `_reap`, not by this object
        loading: Channel[ToZygote] = Channel(ours, ToZygote, frame_bytes_max=DEFAULT_LIMITS.frame_bytes_max)
        loading.queue(Load(self._bundle))
        loading.send(fork)
        return child.pid

    def _greet(self, pid: int, ours: socket.socket) -> str:
        """Map the ids of the child's user namespace and let it go on; return why it refuses to, or nothing."""
        word = ours.recv(4096)
        if word == b"map":
            try:
                kernel.map_ids(pid, self._id_maps)
            except OSError:
                self._map_ids = False
                os.kill(pid, signal.SIGKILL)
                return "its user namespace got no ids, so it was given up; the next one goes without"
        elif word != b"go":
            return word.decode("utf-8", "replace") or "it ended before it was isolated"
        with contextlib.suppress(BrokenPipeError):
            ours.send(b"go")
        return ""

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
                kill_strays(pid, child.namespace)
                self._channel.send(Exited(child.sandbox, os.waitstatus_to_exitcode(status)))

    def end(self) -> NoReturn:
        """End with all Sandboxes and what they have started."""
        kill_descendants()
        os._exit(0)
