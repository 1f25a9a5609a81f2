"""Forks workers from a process that has imported whatever they need.

Its imports take a worker longer than most of what it is started for.
`python -m tests.reliability.workers.fork_server` tells the path of a socket and serves it until its
standard input ends. A connection is a worker: it brings a `Launch` on a line, and then carries the
worker's process id, what the worker writes, and how it ended.
"""

import contextlib
import gc
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from tests.reliability.workers import worker
from tests.reliability.workers.orders import ENDED, Orders

WAITING = 128
SIGNALS = (signal.SIGCHLD, signal.SIGTERM)


class Launch(BaseModel):
    """A worker to start.

    Attributes:
        environment: variables beside those of the server. The loader of programs looks at some of
            them, so a worker with any starts as a program of its own.
    """

    orders: Orders
    environment: Mapping[str, str] = {}


class ForkServer:
    """Starts workers and tells how they ended."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp())
        self._connections: dict[int, socket.socket] = {}
        self._listening = socket.socket(socket.AF_UNIX)
        self._woken, self._wake = socket.socketpair()
        self._events = selectors.DefaultSelector()

    def serve(self) -> Orders | None:
        """What this process shall do as a worker; None once there will be no more of them."""
        path = self._folder / "socket"
        self._listening.bind(str(path))
        self._listening.listen(WAITING)
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:  # a signal without a handler would not wake it, or end it too early
            signal.signal(number, lambda *_: None)
        for source in (sys.stdin, self._listening, self._woken):
            self._events.register(source, selectors.EVENT_READ)
        gc.freeze()  # a collection in a worker would have every page copied
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()
        while True:
            ready = {key.fileobj for key, _ in self._events.select()}
            if sys.stdin in ready:
                self._end()
                return None
            if self._woken in ready:
                self._woken.recv(1024)
                self._tell_of_the_dead()
            if self._listening in ready and (orders := self._launch()):
                return orders

    def _launch(self) -> Orders | None:
        """The orders, in the new worker."""
        connection, _ = self._listening.accept()
        with connection.makefile("rb") as lines:
            launch = Launch.model_validate_json(lines.readline())
        pid = os.fork()
        if not pid:
            return self._become(launch, connection)
        self._connections[pid] = connection
        return None

    def _become(self, launch: Launch, connection: socket.socket) -> Orders:
        os.setpgid(0, 0)  # whatever it starts is told by that
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(connection.fileno(), 1)
        for ours in (self._events, self._listening, self._woken, self._wake, connection):
            ours.close()
        for other in self._connections.values():
            other.close()
        os.write(1, b"%d\n" % os.getpid())
        if launch.environment:
            program = (sys.executable, "-m", worker.__name__, launch.orders.model_dump_json())
            os.execve(sys.executable, program, os.environ | dict(launch.environment))
        return launch.orders

    def _tell_of_the_dead(self, options: int = os.WNOHANG) -> None:
        while self._connections:
            pid, status = os.waitpid(-1, options)
            if not pid:
                return
            with self._connections.pop(pid) as connection, contextlib.suppress(OSError):
                connection.sendall(f"{ENDED} {os.waitstatus_to_exitcode(status)}\n".encode())

    def _end(self) -> None:
        for pid in self._connections:
            os.kill(pid, signal.SIGKILL)
        self._tell_of_the_dead(options=0)
        shutil.rmtree(self._folder)


if __name__ == "__main__":
    told = ForkServer().serve()
    if told is not None:
        worker.main(told)
