import asyncio
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agents.sandbox import JobRunner, View
from agents.sandbox.fence.choice import candidates, problem_of
from agents.sandbox.fence.fence import FenceName
from agents.sandbox.processes import descendants

ROOT = Path(__file__).parents[2]
# The jobs of these tests lie beside them, and no fence would show that folder.
TESTS = View(read_only=(str(ROOT / "tests"),))


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


class Family(Events):
    """Collects the processes that the one job of `runner` reports, by our numbers for them."""

    def __init__(self, runner: JobRunner) -> None:
        super().__init__()
        self._runner = runner

    def __call__(self, event: dict[str, Any]) -> None:
        super().__call__({"pids": _seen_from_here(self._runner, event.get("pids", []))})


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def family(any_runner: JobRunner) -> Family:
    return Family(any_runner)


def a_runner(workspace: Path, fence: FenceName = "auto", **options: Any) -> JobRunner:
    """A runner of the jobs beside, bare of torch unless said."""
    options = {"preload": (), **options}
    view = None if fence == "none" else TESTS
    return JobRunner(workspace=workspace, fence=fence, view=view, **options)


@pytest.fixture(params=["bubblewrap", "namespaces", "none"])
def fence(request: pytest.FixtureRequest) -> FenceName:
    """Each fence in turn; those that this machine has not are skipped by name."""
    name: FenceName = request.param
    if name != "none" and (problem := _problem(name)):
        pytest.skip(f"no fence {name} here: {problem}")
    return name


@cache
def _problem(name: FenceName) -> str:
    found = [fence for fence in candidates() if fence.name == name]
    problems = [problem_of(fence) for fence in found] or ["not installed"]
    return "; ".join(problems) if all(problems) else ""


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[JobRunner]:
    """Behind the best fence of this machine."""
    async with a_runner(tmp_path / "ws", grace_s=0.2) as runner:
        yield runner


@pytest.fixture
async def any_runner(tmp_path: Path, fence: FenceName) -> AsyncIterator[JobRunner]:
    """Behind each fence in turn, and behind none."""
    async with a_runner(tmp_path / "ws", fence, grace_s=0.2) as runner:
        yield runner


def _seen_from_here(runner: JobRunner, pids: list[int]) -> list[int]:
    if runner.fence.is_none:
        return pids
    assert runner.server_pid is not None
    numbers = {pid: _numbers(pid) for pid in descendants(runner.server_pid)}
    deepest = max(map(len, numbers.values()))
    job = {inner[-1]: pid for pid, inner in numbers.items() if len(inner) == deepest}
    return [job[pid] for pid in pids]


def _numbers(pid: int) -> list[int]:
    """A process's numbers in each namespace that it is in, ours first."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []
    found = next(line for line in lines if line.startswith("NSpid:"))
    return [int(number) for number in found.split()[1:]]


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
