"""The worker processes, as whoever torments them sees them."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.reliability.workers.orders import HELD, INCIDENT, LEAVING, READY, Orders

REPOSITORY = Path(__file__).parents[3]
PATIENCE_S = 60.0
LINE_LIMIT = 1 << 16


class Worker:
    """One process; `heard` are the lines that it has written."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.heard: list[str] = []
        self._process = process
        self._news = asyncio.Condition()
        self._has_ended = False
        self._listening = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

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
            code = await self._process.wait()
            await self._listening
        return code

    def _send(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            self._process.send_signal(number)

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            async with self._news:
                self.heard.append(line.decode().rstrip())
                self._news.notify_all()
        async with self._news:
            self._has_ended = True
            self._news.notify_all()


class Workers:
    """The worker processes of one guild; they end with the block at the latest."""

    def __init__(self, orders: Orders) -> None:
        self.all: list[Worker] = []
        self._orders = orders

    async def __aenter__(self) -> Self:
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
        """Processes that still name this guild on their command lines, children of anybody."""
        name = self._orders.guild_id.encode()
        found = [int(path.parent.name) for path in _command_lines() if name in _read(path)]
        return sorted(found)

    async def _launch(self, orders: Orders, environment: Mapping[str, str]) -> Worker:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.reliability.workers.worker", orders.model_dump_json()),
            cwd=REPOSITORY,
            env=os.environ | dict(environment),
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
        )
        worker = Worker(process)
        self.all.append(worker)
        return worker


def _command_lines() -> list[Path]:
    return list(Path("/proc").glob("[0-9]*/cmdline"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended since
        return b""
