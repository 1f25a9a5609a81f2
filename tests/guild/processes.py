"""Guilds in processes of their own, to be killed."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator

TIMEOUT_S = 60.0


@contextlib.asynccontextmanager
async def running_module(
    module: str, *words: str, **environ: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that runs `module`, has said that it is ready, and ends when its input closes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environ},
    )
    try:
        await line(process, "ready")
        yield process
    finally:
        if process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
        await process.communicate()


async def line(process: asyncio.subprocess.Process, wanted: str) -> None:
    """Return once the process has written a line with `wanted` in it."""
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        while wanted not in (read := (await process.stdout.readline()).decode()):
            assert read, "the process ended"
