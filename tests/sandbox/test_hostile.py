import sys
from pathlib import Path

import pytest

from agents.sandbox import (
    JobFailedError,
    JobKilledError,
    JobProtocolError,
    JobRunner,
    JobTimeoutError,
    Limits,
)
from agents.sandbox.limits import MIB
from tests.sandbox.conftest import Family, a_runner, gone

JOBS = "tests.sandbox.jobs"


async def test_a_secret_of_the_host_is_nowhere_to_be_seen(
    runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary_7391")

    seen = await runner.run(f"{JOBS}:see_environment", {})

    assert "OMP_NUM_THREADS" in seen["all"]
    assert "hf_canary_7391" not in seen["all"]


async def test_a_job_holds_no_descriptor_but_its_own(runner: JobRunner) -> None:
    seen = await runner.run(f"{JOBS}:see_descriptors", {})

    assert seen["stdin"] == ""
    assert seen["links"].pop("0") == "/dev/null"
    assert seen["links"]["1"] == seen["links"]["2"]
    assert seen["links"]["3"].startswith("socket:")
    assert {fd for fd, link in seen["links"].items() if link.startswith("socket:")} == {"3"}


async def test_a_file_in_the_workspace_cannot_pose_as_a_library(
    runner: JobRunner, tmp_path: Path
) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "colorsys.py").write_text("raise SystemExit('shadowed')")

    result = await runner.run(f"{JOBS}:shadowed", {})

    assert result["file"].startswith(sys.base_prefix)


async def test_a_memory_bomb_ends_typed(runner: JobRunner) -> None:
    with pytest.raises((JobFailedError, JobKilledError)) as caught:
        await runner.run(f"{JOBS}:take_memory", {}, limits=Limits(memory_bytes=256 * MIB))

    assert caught.value.limit == "memory"


async def test_a_tensor_past_the_limit_ends_typed(tmp_path: Path) -> None:
    async with a_runner(
        tmp_path, preload=("torch",), limits=Limits(memory_bytes=512 * MIB)
    ) as runner:
        with pytest.raises((JobFailedError, JobKilledError)) as caught:
            await runner.run(f"{JOBS}:take_tensor", {})

    assert caught.value.limit == "memory"


async def test_memory_shared_out_among_children_counts_together(runner: JobRunner) -> None:
    with pytest.raises(JobKilledError) as caught:
        await runner.run(
            f"{JOBS}:take_memory_in_children", {}, limits=Limits(memory_bytes=200 * MIB)
        )

    assert caught.value.limit == "memory"


async def test_a_processor_hog_ends_typed(runner: JobRunner) -> None:
    with pytest.raises(JobKilledError, match="SIGXCPU") as caught:
        await runner.run(f"{JOBS}:burn", {}, limits=Limits(cpu_s=1))

    assert caught.value.limit == "cpu"


async def test_too_many_processes_end_typed(runner: JobRunner) -> None:
    with pytest.raises(JobKilledError) as caught:
        await runner.run(f"{JOBS}:spawn_many", {}, limits=Limits(processes=10))

    assert caught.value.limit == "processes"


async def test_a_file_past_the_limit_cannot_be_written(runner: JobRunner, tmp_path: Path) -> None:
    with pytest.raises(JobFailedError, match="File too large"):
        await runner.run(f"{JOBS}:write_large_file", {}, limits=Limits(file_size_bytes=MIB))

    assert (tmp_path / "ws" / "large").stat().st_size <= MIB


async def test_a_crash_names_its_signal_and_blames_no_limit(runner: JobRunner) -> None:
    with pytest.raises(JobKilledError, match="SIGSEGV") as caught:
        await runner.run(f"{JOBS}:kill_self", {})

    assert caught.value.limit == ""


async def test_a_printed_result_is_not_believed(runner: JobRunner) -> None:
    assert await runner.run(f"{JOBS}:forge", {}) == {"accuracy": 0.1}


async def test_a_printed_result_without_a_real_one_is_no_result(runner: JobRunner) -> None:
    with pytest.raises(JobProtocolError, match="without a result") as caught:
        await runner.run(f"{JOBS}:forge_and_leave", {})

    assert "accuracy" in caught.value.output


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[1, 2]",
        '{"result": 1}',
        '{"event": {}, "result": {}}',
        '{"other": {}}',
        '{"event": ' + "[" * 100_000,
        '{"event": {"x": "' + "x" * 300_000 + '"}}',
        "x" * 9_000_000,
    ],
    ids=["text", "list", "number", "two", "unknown", "deep", "long event", "endless"],
)
async def test_nonsense_on_the_channel_ends_the_job(runner: JobRunner, line: str) -> None:
    with pytest.raises(JobProtocolError, match="sent what is no message"):
        await runner.run(f"{JOBS}:talk_nonsense", {"line": line})


async def test_endless_output_is_cut_in_the_middle(runner: JobRunner) -> None:
    with pytest.raises(JobFailedError, match="printed a lot") as caught:
        await runner.run(f"{JOBS}:print_much", {}, limits=Limits(output_bytes=4096))

    output = caught.value.output
    assert output.startswith("the beginning\n")
    assert output.endswith("the end\n")
    assert "bytes left out" in output
    assert len(output) < 4200


@pytest.mark.parametrize("fence", ["bubblewrap", "namespaces"], indirect=True)
async def test_a_job_behind_a_fence_cannot_stop_or_kill_its_warden(any_runner: JobRunner) -> None:
    result = await any_runner.run(f"{JOBS}:signal_the_warden", {})

    assert len(result["answers"]) == 2


@pytest.mark.parametrize("fence", ["none"], indirect=True)
async def test_a_job_that_stops_its_warden_still_goes(
    any_runner: JobRunner, family: Family
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agents.sandbox.conversation._SWEEP_S", 0.2)
        with pytest.raises(JobTimeoutError):
            await any_runner.run(f"{JOBS}:stop_the_warden", {}, on_event=family, timeout_s=1)

    assert await gone(family[0]["pids"])


@pytest.mark.parametrize("fence", ["none"], indirect=True)
async def test_a_job_that_kills_its_warden_goes_with_all_it_started(
    any_runner: JobRunner, family: Family
) -> None:
    with pytest.raises(JobKilledError, match="supervisor"):
        await any_runner.run(f"{JOBS}:kill_the_warden", {}, on_event=family)

    assert await gone(family[0]["pids"])
    assert (await any_runner.run(f"{JOBS}:echo", {"again": True}))["echo"] == {"again": True}
