import asyncio
from pathlib import Path

import pytest

from agents.sandbox import (
    JobFailedError,
    JobKilledError,
    JobProtocolError,
    JobRunner,
    Limits,
    SandboxClosedError,
    SandboxError,
)
from tests.sandbox.conftest import Events, a_runner

JOBS = "tests.sandbox.jobs"


async def test_result_and_events_arrive_in_order(runner: JobRunner, events: Events) -> None:
    result = await runner.run(f"{JOBS}:echo", {"text": "grüße\n", "n": 1.5}, on_event=events)

    assert result["echo"] == {"text": "grüße\n", "n": 1.5}
    assert events == [{"step": 1}, {"step": 2}]


async def test_a_job_works_in_the_workspace(runner: JobRunner, tmp_path: Path) -> None:
    result = await runner.run(f"{JOBS}:echo", {})

    assert result["cwd"] == str(tmp_path / "ws")


async def test_an_async_listener_is_awaited(runner: JobRunner) -> None:
    heard = []

    async def listen(event: dict[str, object]) -> None:
        await asyncio.sleep(0)
        heard.append(event)

    await runner.run(f"{JOBS}:echo", {}, on_event=listen)

    assert heard == [{"step": 1}, {"step": 2}]


async def test_what_a_job_raises_keeps_its_name_place_and_traceback(runner: JobRunner) -> None:
    with pytest.raises(JobFailedError, match="LayerMisfitError: expects 3 channels") as caught:
        await runner.run(f"{JOBS}:fail", {})

    error = caught.value
    assert error.error_type == "LayerMisfitError"
    assert "LibraryError" in error.kinds
    assert error.where == "layers[4]"
    assert "in fail" in error.traceback_text
    assert error.output == "before the failure\n"


async def test_a_job_that_exits_by_itself_failed(runner: JobRunner) -> None:
    with pytest.raises(JobFailedError, match=r"sys\.exit") as caught:
        await runner.run(f"{JOBS}:give_up", {})

    assert caught.value.error_type == "SystemExit"


@pytest.mark.parametrize(
    ("job", "error_type"),
    [("tests.sandbox.nowhere:job", "ModuleNotFoundError"), (f"{JOBS}:nothing", "AttributeError")],
)
async def test_a_job_that_does_not_exist_is_named(
    runner: JobRunner, job: str, error_type: str
) -> None:
    with pytest.raises(JobFailedError) as caught:
        await runner.run(job, {})

    assert caught.value.error_type == error_type


async def test_a_reference_that_is_none_is_refused_before_anything_starts(
    runner: JobRunner,
) -> None:
    with pytest.raises(ValueError, match=r"package\.module:function"):
        await runner.run("os.system('id')", {})

    assert runner.server_pid is None


async def test_a_payload_that_is_not_json_is_refused(runner: JobRunner) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        await runner.run(f"{JOBS}:echo", {"path": object()})


@pytest.mark.parametrize(("job", "text"), [("return_a_list", "list"), ("return_nan", "NaN")])
async def test_a_result_that_is_not_a_json_object_fails(
    runner: JobRunner, job: str, text: str
) -> None:
    with pytest.raises(JobFailedError, match=text):
        await runner.run(f"{JOBS}:{job}", {})


async def test_a_result_past_the_limit_fails_by_size(runner: JobRunner) -> None:
    limits = Limits(result_bytes=1000)

    with pytest.raises(JobFailedError, match="the limit is 1,000"):
        await runner.run(f"{JOBS}:return_much", {"size": 1000}, limits=limits)


async def test_a_large_result_within_the_limit_arrives_whole(runner: JobRunner) -> None:
    result = await runner.run(f"{JOBS}:return_much", {"size": 6_000_000})

    assert len(result["much"]) == 6_000_000


async def test_a_flood_of_events_arrives_and_leaves_the_loop_responsive(
    runner: JobRunner, events: Events
) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count_turns())
    await runner.run(f"{JOBS}:report_much", {"count": 20_000}, on_event=events)
    counting.cancel()

    assert [event["step"] for event in events] == list(range(20_000))
    assert turns >= 20_000


async def test_the_loop_turns_while_a_job_burns_the_processor(runner: JobRunner) -> None:
    job = asyncio.create_task(runner.run(f"{JOBS}:burn", {}, limits=Limits(cpu_s=1)))
    turns = 0
    while not job.done():
        await asyncio.sleep(0.005)
        turns += 1

    assert isinstance(job.exception(), JobKilledError)
    assert turns > 20


async def test_a_listener_that_raises_stops_the_job(runner: JobRunner, events: Events) -> None:
    def refuse(event: dict[str, object]) -> None:
        raise LookupError("not here")

    with pytest.raises(LookupError, match="not here"):
        await runner.run(f"{JOBS}:wait", {"wait_s": 60}, on_event=refuse)


async def test_jobs_run_at_the_same_time_up_to_the_limit(tmp_path: Path) -> None:
    at_once = most = 0

    def begin(event: dict[str, object]) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)

    async def one(runner: JobRunner) -> None:
        nonlocal at_once
        await runner.run(f"{JOBS}:wait", {"wait_s": 0.3}, on_event=begin)
        at_once -= 1

    async with a_runner(tmp_path, max_jobs=2) as runner:
        await asyncio.gather(*(one(runner) for _ in range(4)))

    assert most == 2


async def test_a_job_with_turns_of_its_own_waits_for_no_other(tmp_path: Path) -> None:
    events = Events()
    async with a_runner(tmp_path, max_jobs=1, grace_s=0) as runner:
        waiting = runner.run(f"{JOBS}:wait", {"wait_s": 60}, on_event=events)
        first = asyncio.create_task(waiting)
        await events.first()

        assert await runner.run(f"{JOBS}:echo", {"a": 1}, turns=asyncio.Semaphore(1))

        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_runner_that_is_not_open_refuses(tmp_path: Path) -> None:
    runner = JobRunner(workspace=tmp_path, preload=())

    with pytest.raises(SandboxClosedError, match="not open"):
        await runner.run(f"{JOBS}:echo", {})


async def test_opening_and_closing_starts_no_process(tmp_path: Path) -> None:
    async with a_runner(tmp_path / "ws") as runner:
        assert runner.server_pid is None

    assert not (tmp_path / "ws").exists()


async def test_a_module_that_cannot_be_preloaded_is_named(tmp_path: Path) -> None:
    async with a_runner(tmp_path, preload=("no_such_module",)) as runner:
        with pytest.raises(SandboxError, match="No module named 'no_such_module'"):
            await runner.run(f"{JOBS}:echo", {})


async def test_torch_is_warm_and_has_the_threads_it_was_given(tmp_path: Path) -> None:
    async with a_runner(tmp_path, preload=("torch",)) as runner:
        result = await runner.run(f"{JOBS}:see_threads", {}, limits=Limits(threads=2))

    assert result == {"threads": 2, "omp": "2"}


async def test_a_module_that_ends_its_process_at_import_gives_no_result(runner: JobRunner) -> None:
    with pytest.raises(JobProtocolError, match="exit code 0 without a result"):
        await runner.run("tests.sandbox.leaves_at_import:job", {})
