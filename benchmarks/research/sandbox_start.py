"""`python -m benchmarks.research.sandbox_start`: what a fence costs when something starts.

Medians of one run in which the fences take turns, as ratios to the same without a fence.
"""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from agents.sandbox import JobFailedError, JobRunner, View
from agents.sandbox.environment import clean_environment
from agents.sandbox.fence import Fence
from agents.sandbox.fence.choice import candidates, problem_of
from agents.sandbox.fence.fence import NoFence
from agents.sandbox.fence.layout import scene_of

_ROUNDS = 30
_PROGRAM = (sys.executable, "-I", "-S", "-c", "pass")
_JOB = "benchmarks.none:none"  # fails at once, as it does not exist


def program_s(fence: Fence, workspace: Path) -> float:
    """Time for a Python that does nothing, behind a fence that is put up for it alone."""
    command = fence.wrap(_PROGRAM, scene_of(workspace, View()))
    started_s = time.perf_counter()
    subprocess.run(command, env=clean_environment(workspace), check=True)
    return time.perf_counter() - started_s


async def job_s(runner: JobRunner) -> float:
    """Time for a job in a room of its own, forked from the warm process behind the fence."""
    started_s = time.perf_counter()
    with contextlib.suppress(JobFailedError):
        await runner.run(_JOB, {})
    return time.perf_counter() - started_s


async def measure(workspace: Path) -> None:
    fences = [NoFence(), *(fence for fence in candidates() if not problem_of(fence))]
    wrapping = [fence for fence in fences if fence.is_none or fence.is_built]
    programs: dict[str, list[float]] = {}
    jobs: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        runners = {}
        for name in dict.fromkeys(fence.name for fence in fences):
            runner = JobRunner(workspace=workspace, fence=name, preload=("torch",))
            runners[name] = await stack.enter_async_context(runner)
            await job_s(runner)  # imports torch
        for _ in range(_ROUNDS):
            for fence in wrapping:
                programs.setdefault(str(fence), []).append(program_s(fence, workspace))
            for name, runner in runners.items():
                jobs.setdefault(name, []).append(await job_s(runner))
    show("a program", programs)
    show("a warm job", jobs)


def show(what: str, times_s: dict[str, list[float]]) -> None:
    medians = {fence: statistics.median(times) for fence, times in times_s.items()}
    bare = next(iter(medians.values()))
    for fence, median in medians.items():
        print(f"{what:<11} {median * 1000:8.1f} ms {median / bare:6.2f}x  {fence}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder).resolve()
        if os.geteuid() == 0:
            os.chown(workspace, 65_534, 65_534)  # root's may not be a job's
        asyncio.run(measure(workspace))


if __name__ == "__main__":
    main()
