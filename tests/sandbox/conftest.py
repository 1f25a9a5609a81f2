import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agents.sandbox import JobRunner


class Events(list[dict[str, Any]]):
    """Collects a job's events; `first` waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived = asyncio.Event()

    def __call__(self, event: dict[str, Any]) -> None:
        self.append(event)
        self._arrived.set()

    async def first(self) -> dict[str, Any]:
        async with asyncio.timeout(30):
            await self._arrived.wait()
        return self[0]


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[JobRunner]:
    async with JobRunner(workspace=tmp_path / "ws", preload=(), grace_s=0.2) as runner:
        yield runner


async def gone(pids: list[int]) -> bool:
    """Wait until none of `pids` lives; False when one still does after a while."""
    for _ in range(2000):
        if not any(_lives(pid) for pid in pids):
            return True
        await asyncio.sleep(0.01)  # no event tells of the end of a process that is not our child
    return False


def exists(path: str) -> bool:
    return Path(path).exists()


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
