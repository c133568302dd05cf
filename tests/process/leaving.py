"""What imports leave: each piece of code is run in a process of its own, and what is found of it is printed."""

from __future__ import annotations

import gc
import json
import os
import sys

from weftrun.guest.remains import after_import, before_import

HARMLESS = {
    "nothing": "x = 1",
    "a socket that was closed": "import socket; socket.create_server(('127.0.0.1', 0)).close()",
    "a socket nobody refers to": "import socket; s = [socket.socket()]; s.append(s); del s",
    "a process that was waited for": "import subprocess; subprocess.run(['true'])",
    "a thread that has ended": "import threading; t = threading.Thread(target=int); t.start(); t.join()",
    "a pool that has not begun": "from concurrent.futures import ThreadPoolExecutor; p = ThreadPoolExecutor()",
    "an asyncio.run": "import asyncio\nasync def f(): pass\nasyncio.run(f())",
    "a log file": "import logging; logging.basicConfig(filename='log')",
    "a file that is written": "f = open('file', 'w')",
    "a file that is read": "f = open('/etc/passwd')",
    "devices without a memory": "f = open('/dev/null', 'w'); g = open('/dev/urandom', 'rb')",
    "an SSL context": "import ssl; c = ssl.create_default_context()",
    "a database in memory": "import sqlite3; c = sqlite3.connect(':memory:')",
    "a file mapped for reading": (
        "import numpy as n; n.arange(9).tofile('a'); m = n.memmap('a', 'i8', 'r'); b = m @ m"
    ),
    "threads of OpenBLAS": "import numpy as n; a = n.ones((500, 500)) @ n.ones((500, 500))",
    "threads of two OpenBLAS": "import scipy.linalg as s, numpy as n; s.solve(n.eye(500) + 1, n.ones(500))",
    "threads of jemalloc": "import pyarrow",
}

HARMFUL = {
    "a thread (Timer)": "import threading; t = threading.Timer(900, int); t.name = 'Timer'; t.daemon = True; t.start()",
    "a thread (of a native library)": "import faulthandler; faulthandler.dump_traceback_later(900)",
    "a thread (pool_0)": (
        "from concurrent.futures import ThreadPoolExecutor as T; t = T(thread_name_prefix='pool'); "
        "t.submit(int).result()"
    ),
    "a thread (listener)": (
        "import logging.handlers as h, queue; q = h.QueueListener(queue.Queue()); q.start(); "
        "q._thread.name = 'listener'"
    ),
    "a socket that listens at 127.0.0.1:": "import socket; s = socket.create_server(('127.0.0.1', 0))",
    "a socket connected to 127.0.0.1:": (
        "import socket; a = socket.create_server(('127.0.0.1', 0)); s = socket.create_connection(a.getsockname())"
    ),
    "a socket connected to 127.0.0.1:9": (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.connect(('127.0.0.1', 9))"
    ),
    "a socket": "import socket; s = socket.socket(type=socket.SOCK_DGRAM)",
    "a socket connected to another of this host": "import socket; s = socket.socketpair()",
    "a socket connected to @weftrun-": (
        "import socket, os; a = socket.socket(socket.AF_UNIX); a.bind(f'\\0weftrun-{os.getpid()}'); a.listen(); "
        "s = socket.socket(socket.AF_UNIX); s.connect(a.getsockname()); a.close()"
    ),
    "a pipe": "import os; p = os.pipe()",
    "an event loop or selector (epoll)": "import asyncio; loop = asyncio.new_event_loop()",
    "an eventfd": "import os; e = os.eventfd(0)",
    "a handle of a process (pidfd)": "import os; p = os.pidfd_open(os.getpid())",
    "a watch on files (inotify)": "import inotify_simple; i = inotify_simple.INotify()",
    "shared memory (/memfd:mine)": "import os; m = os.memfd_create('mine')",
    "shared memory (mmap)": "import mmap; m = mmap.mmap(-1, 100)",
    "shared memory (/dev/shm/": "import multiprocessing as m; lock = m.Lock(); v = m.Value('i')",
    "a process that it started": "import subprocess; p = subprocess.Popen(['sleep', '900'])",
    "a file that is read and written (": "import sqlite3; c = sqlite3.connect('db'); c.execute('create table t(a)')",
    "a file that is read and written (/": "import tempfile; f = tempfile.TemporaryFile()",
    "a lock on a file (": "import fcntl; f = open('lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX)",
    "a temporary folder (": "import tempfile; t = tempfile.TemporaryDirectory()",
    "a timer (setitimer)": "import signal; signal.setitimer(signal.ITIMER_REAL, 900)",
    "a device (/dev/ptmx": "f = open('/dev/ptmx', 'rb')",
}


def left_by(code: str) -> list[str]:
    """Return what a piece of code leaves in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        before = before_import()
        names: dict[str, object] = {}
        exec(code, names)
        gc.collect()
        os.write(writer, json.dumps(after_import(before).unforkable).encode())
        if "p" in names and hasattr(names["p"], "kill"):
            names["p"].kill()
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        told = file.read()
    os.waitpid(child, 0)
    return json.loads(told) if told else ["it failed"]


if __name__ == "__main__":
    print(json.dumps({name: left_by(code) for name, code in {**HARMLESS, **HARMFUL}.items()}))
    sys.stdout.flush()
