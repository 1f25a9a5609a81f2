"""The worker processes, as whoever torments them sees them."""

import asyncio
import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

from tests.reliability.workers.fork_server import Launch
from tests.reliability.workers.orders import ENDED, HELD, INCIDENT, LEAVING, READY, Orders

REPOSITORY = Path(__file__).parents[3]
FORK_SERVER = "tests.reliability.workers.fork_server"
PATIENCE_S = 60.0
LINE_LIMIT = 1 << 16


class Worker:
    """One process; `heard` are the lines that it has written."""

    def __init__(
        self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid = pid
        self.heard: list[str] = []
        self.exit_code: int | None = None  # while it runs
        self._reader = reader
        self._writer = writer
        self._news = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen())

    @property
    def _has_ended(self) -> bool:
        return self.exit_code is not None

    @property
    def incidents(self) -> list[str]:
        """The events that it has told of, in order."""
        return [line.split()[1] for line in self.heard if line.startswith(INCIDENT)]

    async def ready(self) -> None:
        """Return once it is subscribed, and knows SIGTERM."""
        await self.until(lambda: READY in self.heard)

    async def held(self) -> None:
        """Return once it is held at the hold point that its orders name."""
        await self.until(lambda: HELD in self.heard)

    async def leaving(self) -> None:
        """Return once it has noticed that it shall end."""
        await self.until(lambda: LEAVING in self.heard)

    async def told_of(self, event: str) -> None:
        """Return once it has told of this incident."""
        await self.until(lambda: event in self.incidents)

    async def until(self, holds: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """Return once `holds()` of what it has told.

        Raises:
            ChildProcessError: it has ended, and so never will.
            TimeoutError: it never did.
        """
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: holds() or self._has_ended)
        if not holds():
            raise ChildProcessError(f"a worker ended with status {await self.gone()} too early")

    async def kill(self) -> None:
        """End it as a crash would."""
        self._send(signal.SIGKILL)
        await self.gone()

    def stop(self) -> None:
        """Let nothing of it run until `go_on`."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    async def gone(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit code, once it has ended.

        Raises:
            TimeoutError: it did not end.
        """
        async with asyncio.timeout(timeout_s):
            await asyncio.shield(self._listening)
        assert self.exit_code is not None
        return self.exit_code

    def _send(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            with suppress(ProcessLookupError):  # that has not been told yet
                os.kill(self.pid, number)

    async def _listen(self) -> None:
        while self.exit_code is None:
            line = (await self._reader.readline()).decode().rstrip()
            async with self._news:
                if line.startswith(ENDED):
                    self.exit_code = int(line.split()[1])
                else:
                    assert line, "whoever started the workers is gone"
                    self.heard.append(line)
                self._news.notify_all()
        self._writer.close()
        await self._writer.wait_closed()


class Workers:
    """The worker processes of one guild; they end with the block at the latest."""

    def __init__(self, orders: Orders) -> None:
        self.all: list[Worker] = []
        self._orders = orders

    async def __aenter__(self) -> Self:
        self._socket = await asyncio.to_thread(_fork_server)
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.all:
            await worker.kill()

    async def start(
        self,
        count: int = 1,
        *,
        wait: bool = True,
        environment: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> list[Worker]:
        """More workers, once they are subscribed if told to `wait`; `changes` to their orders."""
        orders = self._orders.model_copy(update=changes)
        started = [await self._launch(orders, environment or {}) for _ in range(count)]
        if wait:
            await asyncio.gather(*[worker.ready() for worker in started])
        return started

    async def start_one(self, **changes: Any) -> Worker:
        (worker,) = await self.start(**changes)
        return worker

    async def terminate(self) -> list[int]:
        """Exit codes of the workers that were still running, after a SIGTERM."""
        working = [worker for worker in self.all if worker.exit_code is None]
        for worker in working:
            worker.go_on()
            await worker.ready()
            worker.terminate()
        return list(await asyncio.gather(*[worker.gone() for worker in working]))

    def left_behind(self) -> list[int]:
        """Processes that are workers of this guild, or were started by one, and have not ended."""
        groups = {worker.pid for worker in self.all}
        return sorted(pid for pid, group in _groups().items() if group in groups)

    async def _launch(self, orders: Orders, environment: Mapping[str, str]) -> Worker:
        reader, writer = await asyncio.open_unix_connection(self._socket, limit=LINE_LIMIT)
        launch = Launch(orders=orders, environment=environment)
        writer.write(f"{launch.model_dump_json()}\n".encode())
        worker = Worker(int(await reader.readline()), reader, writer)
        self.all.append(worker)
        return worker


@cache
def _fork_server() -> str:
    """The socket of the one that this process has, from its first worker until it ends."""
    server = subprocess.Popen(
        (sys.executable, "-m", FORK_SERVER),
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C is for whoever looks after the workers
        text=True,
    )
    atexit.register(server.communicate)
    assert server.stdout is not None
    return server.stdout.readline().rstrip()


def _groups() -> dict[int, int]:
    """The process group of every process that has not ended."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended since
            state, _, group, *_ = file.read_text(encoding="utf-8").rpartition(")")[2].split()
            if state != "Z":
                found[int(file.parent.name)] = int(group)
    return found
