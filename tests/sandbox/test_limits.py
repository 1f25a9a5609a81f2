import errno
import time

import pytest

from agents.sandbox import JobKilledError, JobRunner, JobTimeoutError, Limits
from agents.sandbox.limits import MIB
from tests.sandbox.conftest import Events, Family, exists, gone

JOBS = "tests.sandbox.jobs"


async def test_the_grace_lies_within_the_time(any_runner: JobRunner, family: Family) -> None:
    started_s = time.monotonic()

    with pytest.raises(JobTimeoutError, match="within 1 s"):
        await any_runner.run(f"{JOBS}:ignore_sigterm", {}, on_event=family, timeout_s=1, grace_s=20)

    assert time.monotonic() - started_s < 10
    assert await gone(family[0]["pids"])


async def test_the_time_is_limited_where_nobody_says_how(runner: JobRunner) -> None:
    with pytest.raises(JobTimeoutError, match=r"within 0\.5 s"):
        await runner.run(f"{JOBS}:wait", {"wait_s": 60}, limits=Limits(time_s=0.5))


async def test_hundreds_of_processes_are_gone_at_once(
    any_runner: JobRunner, events: Events
) -> None:
    limits = Limits(processes=1000)

    await any_runner.run(f"{JOBS}:leave_sleepers", {"count": 400}, on_event=events, limits=limits)

    # Measured against their making, as the machine may have much else to do.
    assert time.monotonic() - events[0]["at"] < 3 * events[0]["took_s"] + 2


async def test_memory_that_is_reserved_and_not_used_does_not_count(runner: JobRunner) -> None:
    result = await runner.run(
        f"{JOBS}:reserve_memory", {"size": 300 * MIB}, limits=Limits(memory_bytes=256 * MIB)
    )

    assert result["reserved"] == 300 * MIB


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "~"])
@pytest.mark.parametrize(("files", "size"), [(1, 2 * MIB), (100, 1)], ids=["bytes", "files"])
async def test_temporary_files_have_a_limit(
    runner: JobRunner, folder: str, files: int, size: int
) -> None:
    limits = Limits(tmp_bytes=MIB, tmp_files=50)
    folder = "/tmp/guildbus-job-home" if folder == "~" else folder

    result = await runner.run(
        f"{JOBS}:fill_tmp", {"folder": folder, "files": files, "size": size}, limits=limits
    )

    assert result["errno"] == errno.ENOSPC
    assert not exists("/tmp/guildbus-job-home")


async def test_descriptors_have_a_limit(runner: JobRunner) -> None:
    result = await runner.run(f"{JOBS}:open_many", {}, limits=Limits(open_files=100))

    assert result["errno"] == errno.EMFILE
    assert result["opened"] < 100


async def test_memory_counts_while_it_is_used(runner: JobRunner) -> None:
    with pytest.raises(JobKilledError) as caught:
        await runner.run(
            f"{JOBS}:take_memory_in_children", {}, limits=Limits(memory_bytes=200 * MIB)
        )

    assert caught.value.limit == "memory"


@pytest.mark.parametrize(("name", "value"), [("time_s", 0), ("memory_bytes", -1), ("processes", 0)])
def test_a_limit_that_is_none_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"limit {name} must be at least"):
        Limits(**{name: value})
