"""A process becomes a Sandbox: its own session and namespaces, then, once it is wanted, its streams and the serve loop.

Entered by a fresh fork of the zygote, or by `main` in a fresh interpreter where the zygote must not fork. All that
needs no request is done before there is one, for a zygote keeps one such process in reserve.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
from typing import Final, NamedTuple, NoReturn

from weftrun.guest import isolation, kernel, strict
from weftrun.guest.code import load_code
from weftrun.guest.serve import Server
from weftrun.guest.text import TextPipe, route_streams
from weftrun.guest.warmup import warm_up
from weftrun.model.ids import StepId
from weftrun.model.messages import Fork, Load, Ready, ToSandbox, ToZygote
from weftrun.model.outcomes import Failure, Reason
from weftrun.sdk.failure import failure_of
from weftrun.wire.channel import Channel, unix_socket
from weftrun.wire.lease_page import LeasePage
from weftrun.wire.level import Level
from weftrun.wire.page import STACK_SIGNAL, Page, stack_at
from weftrun.wire.program import uncover

_WALLS: Final = {Level.STRICT: ("landlock", "seccomp"), Level.BWRAP: ("bwrap",), Level.OCI: ("oci",)}
"""What people are told of, beside namespaces."""
REFUSED: Final = 71
"""Exit code of a Sandbox that was refused; its parent has been told why."""

_NO_NETWORK: Final = (
    b"network=False can't be held: this host lets us make no network namespace; "
    b"leave network=False away, or run where user namespaces are allowed"
)
_NO_NETWORK_KEPT: Final = (
    b'network=False and privileges="keep" can\'t both be held for an ordinary user: a network of its own takes a user '
    b"namespace, in which no program has the privileges it should keep; leave one of them away, or run as root"
)


class SandboxRequest(NamedTuple):
    """The request for a Sandbox, with its channel, page, pipe and hold; `load` is code that is still to be imported."""

    fork: Fork
    channel: int
    page: int
    pipe: int
    lease_page: int
    load: Load | None


def main() -> NoReturn:
    """Become a Sandbox in a fresh interpreter, whose author's code is imported last."""
    parent, own_pids, map_ids, level, frame_bytes_max = (int(argument) for argument in sys.argv[1:6])
    uncover()
    become_sandbox(
        unix_socket(parent),
        own_pids=bool(own_pids),
        map_ids=bool(map_ids),
        level=Level(level),
        frame_bytes_max=frame_bytes_max,
    )


def become_sandbox(
    parent: socket.socket,
    *,
    own_pids: bool,
    map_ids: bool,
    level: Level,
    frame_bytes_max: int,
    ahead: bool = False,
) -> NoReturn:
    """Isolate this process, wait until a Sandbox is wanted, and serve until told to stop.

    The zygote at the other end of `parent` maps the ids of the new user namespace before it says anything: no file
    may be opened before. `ahead` says that nobody wants the Sandbox yet; a strict one has imported nothing yet.
    """
    zygote = os.getppid()
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != zygote:
        os._exit(0)
    os.setsid()
    flags = isolation.enter_namespaces(user=map_ids)
    if level is not Level.KEEP:
        kernel.no_new_privileges()
    parent.send(b"map" if flags & kernel.CLONE_NEWUSER else b"go")
    _settle()
    if ahead:
        warm_up()
    with parent:
        wanted = _wait(Channel(parent, ToZygote, frame_bytes_max=frame_bytes_max))
        if not wanted.fork.network:
            flags |= _without_network(parent, _NO_NETWORK_KEPT if level is Level.KEEP else _NO_NETWORK)
    _serve(wanted, (("pid",) if own_pids else ()) + isolation.names(flags), level)


def _wait(told: Channel[ToZygote]) -> SandboxRequest:
    """Wait for the request; end with the zygote."""
    load: Load | None = None
    while True:
        for message, descriptors in told.receive() or os._exit(0):
            if isinstance(message, Fork):
                channel, page, pipe, lease_page = descriptors
                return SandboxRequest(message, channel, page, pipe, lease_page, load)
            load = message


def _without_network(parent: socket.socket, refusal: bytes) -> int:
    """Enter an empty network, or tell the parent why this Sandbox is refused and end."""
    flag = isolation.leave_network()
    parent.send(b"go" if flag else refusal)
    if not flag:
        os._exit(REFUSED)
    return flag


def _serve(wanted: SandboxRequest, names: tuple[str, ...], level: Level) -> NoReturn:
    fork, load = wanted.fork, wanted.load
    failure = None
    if level is Level.STRICT and load is not None:
        failure = _be_strict(fork, load)
    elif level.is_walled:
        failure = _be_walled(level)
    if failure is None and load is not None:
        failure = _import(load)
    names += _WALLS.get(level, ())
    page = Page(wanted.page, fork.text_bytes_max, writable=True)
    _say_where_when_asked(wanted.page, fork.text_bytes_max)
    channel: Channel[ToSandbox] = Channel(unix_socket(wanted.channel), ToSandbox, frame_bytes_max=fork.frame_bytes_max)
    pipe = TextPipe(wanted.pipe)
    pipe.take_streams()
    server = Server(fork, channel, page, route_streams(page), pipe, LeasePage(wanted.lease_page))
    channel.send(Ready(names, failure))
    if failure is not None:
        os._exit(REFUSED)
    server.run()


def _be_strict(fork: Fork, load: Load) -> Failure | None:
    """Give up all that is not needed; return why that can't be held."""
    why = strict.why_not()
    try:
        if not why:
            strict.enter(load.bundle.path, network=fork.network, store_folder=fork.store_folder)
    except OSError as error:
        why = str(error)
    text = f'protect="strict" can\'t be held here: {why}; leave it away, or run where `weftrun doctor` says it holds'
    return Failure(Reason.UNLOADABLE, "SandboxRefused", text) if why else None


def _be_walled(level: Level) -> Failure | None:
    """Take a /tmp of one's own and hard limits, give up what one might get more by; return why that can't be held."""
    try:
        isolation.own_temporary_files()
        strict.limit()
        kernel.drop_capabilities()
        strict.keep_to_namespaces()
    except OSError as error:
        name = level.name.lower()
        text = f'runtime="{name}" can\'t be held here: {error}; `weftrun doctor` says what this host offers'
        return Failure(Reason.UNLOADABLE, "SandboxRefused", text)
    return None


def _import(load: Load) -> Failure | None:
    """Import the author's code here; what it prints is nobody's, as in a zygote. Return what it raised."""
    try:
        load_code(load.bundle).draw_afresh()
    except BaseException as error:  # noqa: BLE001 - the author's module runs here, and may raise anything
        return failure_of(error, origin=StepId(""), attempt=1, attempts=1, bytes_max=load.error_text_bytes_max)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _settle()
    return None


def _settle() -> None:
    """Be what every Sandbox is, whatever the author's import has set."""
    isolation.stay_alive_on_interrupt()
    sys.breakpointhook = _no_breakpoint


def _say_where_when_asked(page: int, text_bytes_max: int) -> None:
    """Let the stack be written into the page, whose descriptor is kept, when the engine asks before it ends us."""
    os.lseek(page, stack_at(text_bytes_max), os.SEEK_SET)
    faulthandler.register(STACK_SIGNAL, file=page, all_threads=False)


def _no_breakpoint(*_arguments: object, **_keywords: object) -> None:
    raise RuntimeError(
        "breakpoint() has no terminal inside a Sandbox. Run the workflow with --inline: "
        "its Functions then run in your own process, where the debugger works."
    )
