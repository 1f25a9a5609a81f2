import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from agents.sandbox import JobKilledError, JobRunner, JobTimeoutError, SandboxClosedError
from tests.sandbox.conftest import Events, exists, gone

JOBS = "tests.sandbox.jobs"
ROOT = Path(__file__).parents[2]


async def test_cancelling_leaves_no_process_of_the_tree(runner: JobRunner, events: Events) -> None:
    job = asyncio.create_task(runner.run(f"{JOBS}:leave_family", {}, on_event=events))
    pids = (await events.first())["pids"]

    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    assert not any(exists(f"/proc/{pid}") for pid in pids[2:])
    assert await gone(pids)


async def test_a_job_that_returns_leaves_no_daemon(runner: JobRunner, events: Events) -> None:
    await runner.run(f"{JOBS}:leave_family", {"return": True}, on_event=events)

    assert await gone(events[0]["pids"])


async def test_a_timeout_leaves_no_process_of_the_tree(runner: JobRunner, events: Events) -> None:
    with pytest.raises(JobTimeoutError, match="within 3 s"):
        await runner.run(f"{JOBS}:leave_family", {}, on_event=events, timeout_s=3)

    assert await gone(events[0]["pids"])


async def test_a_cancelled_job_may_save_its_work_first(
    runner: JobRunner, events: Events, tmp_path: Path
) -> None:
    job = asyncio.create_task(
        runner.run(f"{JOBS}:checkpoint_on_sigterm", {}, on_event=events, grace_s=20)
    )
    await events.first()

    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    assert (tmp_path / "ws" / "checkpoint").read_text() == "saved"


async def test_a_job_that_ignores_sigterm_is_killed_after_the_grace(
    runner: JobRunner, events: Events
) -> None:
    with pytest.raises(JobTimeoutError):
        await runner.run(f"{JOBS}:ignore_sigterm", {}, on_event=events, timeout_s=2)

    assert await gone(events[0]["pids"])


async def test_cancelling_twice_still_waits_for_the_end(runner: JobRunner, events: Events) -> None:
    job = asyncio.create_task(runner.run(f"{JOBS}:ignore_sigterm", {}, on_event=events))
    pids = (await events.first())["pids"]

    job.cancel()
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    assert await gone(pids)


async def test_cancelling_a_job_that_waits_for_its_turn_starts_nothing(tmp_path: Path) -> None:
    events = Events()
    async with JobRunner(workspace=tmp_path, preload=(), max_jobs=1, grace_s=0) as runner:
        first = asyncio.create_task(runner.run(f"{JOBS}:wait", {"wait_s": 60}, on_event=events))
        await events.first()
        second = asyncio.create_task(runner.run(f"{JOBS}:echo", {}, on_event=events))
        await asyncio.sleep(0)
        for job in (second, first):
            job.cancel()
            with pytest.raises(asyncio.CancelledError):
                await job

    assert len(events) == 1


async def test_closing_the_runner_ends_running_jobs_typed(tmp_path: Path) -> None:
    events = Events()
    async with JobRunner(workspace=tmp_path, preload=()) as runner:
        job = asyncio.create_task(runner.run(f"{JOBS}:leave_family", {}, on_event=events))
        pids = (await events.first())["pids"]
        server_pid = runner.server_pid
        assert server_pid is not None

    with pytest.raises(SandboxClosedError):
        await job
    assert await gone([*pids, server_pid])


async def test_when_the_zygote_dies_its_jobs_fail_and_the_next_run_works(
    runner: JobRunner, events: Events
) -> None:
    job = asyncio.create_task(runner.run(f"{JOBS}:leave_family", {}, on_event=events))
    pids = (await events.first())["pids"]
    server_pid = runner.server_pid
    assert server_pid is not None

    os.kill(server_pid, signal.SIGKILL)
    with pytest.raises(JobKilledError):
        await job

    assert await gone(pids)
    assert (await runner.run(f"{JOBS}:echo", {"again": True}))["echo"] == {"again": True}
    assert runner.server_pid != server_pid


async def test_an_idle_zygote_that_was_killed_costs_only_a_new_start(runner: JobRunner) -> None:
    await runner.run(f"{JOBS}:echo", {})
    assert runner.server_pid is not None

    os.kill(runner.server_pid, signal.SIGKILL)

    assert (await runner.run(f"{JOBS}:echo", {"again": True}))["echo"] == {"again": True}


async def test_a_host_killed_outright_leaves_no_process(tmp_path: Path) -> None:
    host = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.sandbox.host", str(tmp_path)),
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
    runner: JobRunner,
) -> None:
    home = (await runner.run(f"{JOBS}:see_home", {}))["home"]

    assert "guildbus-job-" in home
    assert not exists(home)
