import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.sandbox import JobKilledError, JobRunner, JobTimeoutError, SandboxClosedError
from agents.sandbox.fence import FenceName
from agents.sandbox.processes import descendants
from tests.sandbox.conftest import ROOT, Events, Family, a_runner, exists, gone

JOBS = "tests.sandbox.jobs"


async def test_cancelling_leaves_no_process_of_the_tree(
    any_runner: JobRunner, family: Family
) -> None:
    job = asyncio.create_task(any_runner.run(f"{JOBS}:leave_family", {}, on_event=family))
    pids = (await family.first())["pids"]

    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    assert not any(exists(f"/proc/{pid}") for pid in pids[2:])
    assert await gone(pids)


async def test_a_job_that_returns_leaves_no_daemon(
    any_runner: JobRunner, family: Family, tmp_path: Path
) -> None:
    def listen(event: dict[str, Any]) -> None:
        family(event)
        (tmp_path / "ws" / "seen").touch()

    await any_runner.run(f"{JOBS}:leave_family", {"return_when": "seen"}, on_event=listen)

    assert await gone(family[0]["pids"])


async def test_a_timeout_leaves_no_process_of_the_tree(
    any_runner: JobRunner, family: Family
) -> None:
    with pytest.raises(JobTimeoutError, match="within 1 s"):
        await any_runner.run(f"{JOBS}:leave_family", {}, on_event=family, timeout_s=1)

    assert await gone(family[0]["pids"])


async def test_a_cancelled_job_may_save_its_work_first(
    any_runner: JobRunner, family: Family, tmp_path: Path
) -> None:
    job = asyncio.create_task(
        any_runner.run(f"{JOBS}:checkpoint_on_sigterm", {}, on_event=family, grace_s=20)
    )
    await family.first()

    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    assert (tmp_path / "ws" / "checkpoint").read_text() == "saved"


async def test_a_job_that_ignores_sigterm_is_killed_after_the_grace(
    any_runner: JobRunner, family: Family
) -> None:
    with pytest.raises(JobTimeoutError):
        await any_runner.run(f"{JOBS}:ignore_sigterm", {}, on_event=family, timeout_s=1)

    assert await gone(family[0]["pids"])


async def test_cancelling_twice_still_waits_for_the_end(
    any_runner: JobRunner, family: Family
) -> None:
    job = asyncio.create_task(any_runner.run(f"{JOBS}:ignore_sigterm", {}, on_event=family))
    pids = (await family.first())["pids"]

    job.cancel()
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    assert await gone(pids)


async def test_cancelling_a_job_that_waits_for_its_turn_starts_nothing(tmp_path: Path) -> None:
    events = Events()
    async with a_runner(tmp_path, max_jobs=1, grace_s=0) as runner:
        first = asyncio.create_task(runner.run(f"{JOBS}:wait", {"wait_s": 60}, on_event=events))
        await events.first()
        second = asyncio.create_task(runner.run(f"{JOBS}:echo", {}, on_event=events))
        await asyncio.sleep(0)
        for job in (second, first):
            job.cancel()
            with pytest.raises(asyncio.CancelledError):
                await job

    assert len(events) == 1


async def test_closing_the_runner_ends_running_jobs_typed(tmp_path: Path, fence: FenceName) -> None:
    async with a_runner(tmp_path, fence) as runner:
        family = Family(runner)
        job = asyncio.create_task(runner.run(f"{JOBS}:leave_family", {}, on_event=family))
        pids = (await family.first())["pids"]
        server_pid = runner.server_pid
        assert server_pid is not None

    with pytest.raises(SandboxClosedError):
        await job
    assert await gone([*pids, server_pid])


async def test_when_the_zygote_dies_its_jobs_fail_and_the_next_run_works(
    any_runner: JobRunner, family: Family
) -> None:
    job = asyncio.create_task(any_runner.run(f"{JOBS}:leave_family", {}, on_event=family))
    pids = (await family.first())["pids"]
    server_pid = any_runner.server_pid
    assert server_pid is not None

    os.kill(server_pid, signal.SIGKILL)
    with pytest.raises(JobKilledError):
        await job

    assert await gone(pids)
    assert (await any_runner.run(f"{JOBS}:echo", {"again": True}))["echo"] == {"again": True}
    assert any_runner.server_pid != server_pid


async def test_an_idle_zygote_that_was_killed_costs_only_a_new_start(any_runner: JobRunner) -> None:
    await any_runner.run(f"{JOBS}:echo", {})
    assert any_runner.server_pid is not None
    everything = [any_runner.server_pid, *descendants(any_runner.server_pid)]

    os.kill(any_runner.server_pid, signal.SIGKILL)
    assert await gone(everything)

    assert (await any_runner.run(f"{JOBS}:echo", {"again": True}))["echo"] == {"again": True}


async def test_a_host_killed_outright_leaves_no_process(tmp_path: Path, fence: FenceName) -> None:
    host = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.sandbox.host", str(tmp_path), fence),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert host.stdout is not None
    pids = json.loads(await host.stdout.readline())
    assert len(pids) == 5

    host.kill()
    await host.wait()

    assert await gone(pids)


async def test_a_job_leaves_no_temporary_files(
    any_runner: JobRunner,
) -> None:
    home = (await any_runner.run(f"{JOBS}:see_home", {}))["home"]

    assert "guildbus-job-" in home
    assert not exists(home)
