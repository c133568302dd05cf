"""Several hosts on one machine: each a network, a PID and a mount namespace, joined by a bridge, with capped links.

It takes root, and `ip`, `tc`, `nsenter`, `unshare` and `setpriv` (iproute2 and util-linux). Nothing has a name in the
file system: the namespaces live as long as the process that made them, however that ends.

As a command, `python -m weftrun.testing.hosts 3 --rate 50 -- COMMAND` runs a command on the first of three hosts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

_TOOLS: Final = ("ip", "tc", "nsenter", "unshare", "setpriv")
_BURST: Final = "256kb"
_LATENCY: Final = "40ms"
_BIT: Final = 8


class HostsUnavailable(Exception):
    """This machine offers no namespaces to this user; the text says what is missing."""


def why_not() -> str | None:
    """Return why no hosts can be made here, or None."""
    if os.geteuid():
        return "hosts of namespaces take root"
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(missing)} of iproute2 and util-linux are not installed"
    tried = subprocess.run(["unshare", "--net", "--pid", "--fork", "true"], capture_output=True, text=True, check=False)
    return f"namespaces can't be made: {tried.stderr.strip()}" if tried.returncode else None


class Host:
    """One host.

    Attributes:
        address: its IPv4 address on the bridge.
    """

    def __init__(self, number: int, subnet: str) -> None:
        self.number = number
        self.address = f"{subnet}.{number + 1}"
        self._holder, self._init = _hold("--net", "--pid", "--fork", "--kill-child", "--mount-proc")

    @property
    def pid(self) -> int:
        """The process that stands for the host: with it, all on the host ends."""
        return self._init

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        output: IO[bytes] | int | None = None,
        folder: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command on the host; its standard output and error go to `output`, to nobody by default."""
        out = subprocess.DEVNULL if output is None else output
        return subprocess.Popen(
            self.enter(command), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd=folder
        )

    def enter(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs a command on the host."""
        return ["nsenter", "-t", str(self._init), "-n", "-p", "-m", "--", *command]

    def run(self, *command: str) -> None:
        """Run a short command on the host."""
        _run("nsenter", "-t", str(self._init), "-n", *command)

    def kill(self) -> None:
        """End the host with all that runs on it, at once. Idempotent."""
        self._holder.kill()
        self._holder.wait()


class Hosts:
    """Hosts on one bridge; use it with `with`.

    Args:
        count: how many, from 1 to 200.
        rate_mb_s: what each link carries in megabytes a second, each way; None for no cap.
        subnet: the first three numbers of the addresses.

    Raises:
        HostsUnavailable: this machine can't make them.
    """

    def __init__(self, count: int, *, rate_mb_s: float | None = None, subnet: str = "10.77.0") -> None:
        if reason := why_not():
            raise HostsUnavailable(reason)
        self._switch, self._bridge = _hold("--net", "--fork", "--kill-child")
        self.all: list[Host] = []
        try:
            self._on_switch("ip", "link", "add", "br0", "type", "bridge")
            self._on_switch("ip", "link", "set", "br0", "up")
            for number in range(count):
                self._add(number, subnet, rate_mb_s)
        except BaseException:
            self.close()
            raise

    def _add(self, number: int, subnet: str, rate_mb_s: float | None) -> None:
        host = Host(number, subnet)
        self.all.append(host)
        port = f"p{number}"
        self._on_switch("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        self._on_switch("ip", "link", "set", port, "master", "br0", "up")
        host.run("ip", "addr", "add", f"{host.address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        host.run("ip", "link", "set", "lo", "up")
        if rate_mb_s is not None:
            cap = ["root", "tbf", "rate", f"{int(rate_mb_s * _BIT * 1_000)}kbit", "burst", _BURST, "latency", _LATENCY]
            host.run("tc", "qdisc", "add", "dev", "eth0", *cap)
            self._on_switch("tc", "qdisc", "add", "dev", port, *cap)

    def __getitem__(self, number: int) -> Host:
        return self.all[number]

    def cut(self, number: int) -> None:
        """Take a host off the network, until `heal`."""
        self._on_switch("ip", "link", "set", f"p{number}", "down")

    def heal(self, number: int) -> None:
        """Bring a host back."""
        self._on_switch("ip", "link", "set", f"p{number}", "up")

    def _on_switch(self, *command: str) -> None:
        _run("nsenter", "-t", str(self._bridge), "-n", *command)

    def close(self) -> None:
        """End all hosts. Idempotent."""
        for host in self.all:
            host.kill()
        self._switch.kill()
        self._switch.wait()

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _hold(*namespaces: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a process that does nothing in namespaces of its own, and ends with this process.

    Returns what ends it, and the process that is in the namespaces.
    """
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "sh", "-c", "echo; exec sleep infinity"]
    holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    with holder.stdout as said:
        if not said.readline():
            raise HostsUnavailable(f"a namespace was not made: unshare ended with {holder.wait()}")
    return holder, int(Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0])


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostsUnavailable(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command on the first of some hosts; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m weftrun.testing.hosts", description="Several hosts on this machine."
    )
    parser.add_argument("count", type=int, help="how many hosts")
    parser.add_argument("--rate", type=float, metavar="MB_S", help="cap of each link, in megabytes a second")
    parser.add_argument("command", nargs="+", help="what to run on the first host")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with Hosts(chosen.count, rate_mb_s=chosen.rate) as hosts:
            return subprocess.run(hosts[0].enter(chosen.command), check=False).returncode
    except HostsUnavailable as error:
        sys.stderr.write(f"No hosts can be made: {error}.\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
