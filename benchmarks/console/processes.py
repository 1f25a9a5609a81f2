"""The processes of a run: the guild, and the gateway with the console."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.measure import Round

PATIENCE_S = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process:
    """One that was started here, and what it has taken of the machine."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def cpu_s(self) -> float:
        """Processor time of all its threads, so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def memory_bytes(self) -> int:
        """What of its memory lies in RAM."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE

    async def line(self) -> str:
        """What it says next.

        Raises:
            RuntimeError: it has ended.
        """
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process ended with {await self._process.wait()}; see above")
        return line.decode().strip()

    async def ask(self, *words: object) -> Any:
        """Send it a line of JSON; gives what it answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        return json.loads(await self.line())


class Worker(Process):
    """The guild; see `benchmarks.console.worker`."""

    async def pace(self, messages: int, rate: float) -> Round:
        return Round(*await self.ask("pace", messages, rate))

    async def race(self, messages: int) -> Round:
        return Round(*await self.ask("race", messages))

    async def watched(self, *, is_watched: bool) -> None:
        await self.ask("watched", is_watched)


@asynccontextmanager
async def running_guild(url: str) -> AsyncIterator[Worker]:
    """The pipeline at work on the server at `url`."""
    async with _running(["benchmarks.console.worker", url]) as process:
        worker = Worker(process)
        await worker.line()
        yield worker


@asynccontextmanager
async def running_console(
    spec: Path, url: str, *options: str
) -> AsyncIterator[tuple[Process, str]]:
    """`guildbus console` as its users start it, with the address of its page."""
    command = ["guild.cli", "console", str(spec), "--bus", url, "--port", "0", *options]
    async with _running([*command, "--allow", "benchmarks", "--log-level", "error"]) as process:
        console = Process(process)
        yield console, await console.line()


@asynccontextmanager
async def _running(command: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
