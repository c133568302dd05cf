"""The zygote: imports the author's code once and forks Sandboxes from that.

It runs no Invocation and never speaks with a Sandbox after it is made. `main` is executed by name, by the engine.
When nothing else is to be done it makes the next child ahead, which waits, isolated, until a Sandbox is wanted; walls
that depend on the code, and its import, come after that.
Where the import left what no fork may have, it begins again without it (`afresh`), and every Sandbox imports by itself.
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
import time
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import msgspec

from weftrun.guest import isolation, kernel
from weftrun.guest.children import Births, Child
from weftrun.guest.code import load_code
from weftrun.guest.generators import Generators
from weftrun.guest.orphans import kill_descendants, kill_orphans, namespace_of
from weftrun.guest.remains import Remains, after_import, before_import
from weftrun.model.ids import StepId
from weftrun.model.messages import Exited, Fork, Forked, Load, Loaded, ToSandbox, ToZygote
from weftrun.model.outcomes import Failure
from weftrun.sdk.failure import failure_of
from weftrun.sdk.modules import written_since
from weftrun.sdk.program import interpreter_options
from weftrun.wire.channel import Channel, decoder_of, unix_socket
from weftrun.wire.lease_page import LeasePage
from weftrun.wire.level import Level
from weftrun.wire.program import guest_command, guest_environment, uncover

_RESERVE_MS: Final = 1
"""A child is made ahead after a quiet time of this length: once all that were asked for together are there."""


def main() -> NoReturn:
    """Run a zygote on the channel, under the parent and with the limits named by the arguments.

    The limits are the size of messages, and how many descriptors the author's code may have open; then comes the level.
    """
    channel_fd, parent, frame_bytes_max, open_files_max, number = (int(argument) for argument in sys.argv[1:6])
    level = Level(number)
    uncover()
    kernel.die_with_parent(signal.SIGKILL)
    if not level.is_walled and os.getppid() != parent:  # whoever is behind walls sees no parent, and ends with them
        os._exit(0)
    isolation.stay_alive_on_interrupt()
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files_max, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    # For an ordinary user it takes a user namespace, in which no program has the privileges that it should keep.
    own_pids = level.is_walled
    if not own_pids and (level is not Level.KEEP or os.geteuid() == 0) and isolation.pid_namespace_allowed():
        own_pids = True
        isolation.enter_pid_namespace()
        _become_first_process(channel_fd)
    zygote = ZygoteLoop(
        unix_socket(channel_fd),
        own_pids=own_pids,
        level=level,
        frame_bytes_max=frame_bytes_max,
    )
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


class _BeginAgain:
    """How this process began, kept so that it can begin again as if the author's code had never been imported."""

    def __init__(self, load: Load) -> None:
        """Look at the surroundings before the import, which may change them."""
        self._load = load
        self._environment = guest_environment(())
        self._folder = os.getcwd()
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._command = guest_command("weftrun.guest.afresh", options=interpreter_options())

    def now(
        self,
        channel: socket.socket,
        unforkable: tuple[str, ...],
        import_s: float,
        written: tuple[str, ...],
        settings: tuple[int, ...],
    ) -> NoReturn:
        """Execute `weftrun.guest.afresh` in this process, which keeps its pid, its namespaces and its channel."""
        told = os.memfd_create("weftrun-load")
        with open(told, "wb", closefd=False) as file:
            file.write(msgspec.msgpack.encode((self._load, unforkable, import_s, written)))
        for descriptor in (channel.fileno(), told):
            os.set_inheritable(descriptor, True)
        os.chdir(self._folder)
        os.umask(self._umask)
        arguments = map(str, (channel.fileno(), told, *settings))
        os.execve(self._command[0], [*self._command, *arguments], self._environment)


class ZygoteLoop:
    """Answers `Load` and `Fork`, and tells when a Sandbox has ended with all that it had started."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        own_pids: bool,
        level: Level,
        frame_bytes_max: int,
    ) -> None:
        """Speak with the engine over `sock`; `own_pids` says whether this is PID 1 of a pid namespace.

        A strict one never imports the author's code, which only its Sandboxes do, behind their walls: so it may fork.
        """
        self._level = level
        self._channel: Channel[ToZygote] = Channel(sock, ToZygote, frame_bytes_max=frame_bytes_max)
        self._own_pids = own_pids
        self._own_ipc = namespace_of(os.getpid())
        self._frame_bytes_max = frame_bytes_max
        self._births = Births(self._leave, own_pids=own_pids, level=level, frame_bytes_max=frame_bytes_max)
        self._importing: Load | None = None
        self._import_s = 0.0
        self._written: tuple[str, ...] = ()
        self._remains = Remains()
        self._generators = Generators()
        self._children: dict[int, Child] = {}
        self._reserve: Child | None = None
        self._reserve_due = False
        self._lease_page: LeasePage | None = None
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
        if self._lease_page is None or not self._children:
            return None
        left_s = self._lease_page.life_left_s()
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
        if self._level is Level.STRICT:
            self.stand_for(load, (), 0.0, ())
            return
        begin_again = _BeginAgain(load)
        failure = None
        before, began = before_import(), time.perf_counter()
        try:
            self._generators = load_code(load.bundle)
        except BaseException as error:  # noqa: BLE001 - the author's module runs here, and may raise anything
            failure = failure_of(error, origin=StepId(""), attempt=1, attempts=1, bytes_max=load.error_text_bytes_max)
        self._import_s = time.perf_counter() - began
        self._written = written_since(load.since)
        gc.collect()
        if failure is None:
            self._remains = after_import(before)
        if self._remains.unforkable:
            settings = (int(self._own_pids), int(self._level), self._frame_bytes_max)
            begin_again.now(self._channel.socket, self._remains.unforkable, self._import_s, self._written, settings)
        self._stand_ready(failure)

    def stand_for(self, load: Load, unforkable: tuple[str, ...], import_s: float, written: tuple[str, ...]) -> None:
        """Make Sandboxes that import by themselves, in place of a zygote that must not fork."""
        self._importing, self._import_s, self._written = load, import_s, written
        self._remains = Remains(unforkable)
        self._stand_ready(None)

    def _stand_ready(self, failure: Failure | None) -> None:
        self._watch_children()
        decoder_of(ToSandbox)
        gc.collect()
        gc.freeze()
        self._channel.send(Loaded(failure, self._remains.unforkable, self._import_s, self._written))

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
        if self._lease_page is None:
            self._lease_page = LeasePage(os.dup(descriptors[-1]))
        # A strict zygote has seen nothing of the author's: its forks are as clean as an interpreter of their own.
        execs = self._importing is not None and self._level is not Level.STRICT
        child, self._reserve = self._reserve, None
        try:
            if child is None:
                child = self._births.child(execs=execs, closing=descriptors)
            refusal = child.want(fork, descriptors, self._importing)
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
        if self._lease_page is not None:
            self._lease_page.close()
        self._remains.open_again()
        self._generators.draw_afresh()

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
                kill_orphans(pid, child.namespace if child.namespace != self._own_ipc else 0)
                child.forget()
                self._channel.send(Exited(child.sandbox, os.waitstatus_to_exitcode(status)))
            elif self._reserve is not None and self._reserve.pid == pid:
                self._reserve.forget()
                self._reserve = None

    def end(self) -> NoReturn:
        """End with all Sandboxes and what they have started."""
        kill_descendants()
        os._exit(0)
