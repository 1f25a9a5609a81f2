"""A job may ask its host, and the host's answer, its error or its silence are all survived."""

import asyncio
from typing import Any

import pytest

from agents.sandbox import JobProtocolError, JobRunner, JobTimeoutError
from tests.sandbox.conftest import Events

JOBS = "tests.sandbox.jobs"


class UnwillingError(Exception):
    pass


async def never(question: dict[str, Any]) -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


async def test_a_reply_is_what_the_host_returned(runner: JobRunner, events: Events) -> None:
    async def add(question: dict[str, Any]) -> dict[str, Any]:
        return {"sum": question["add"] + 10}

    result = await runner.run(f"{JOBS}:ask_twice", {}, on_event=events, on_question=add)

    assert result == {"sum": 21}
    assert events == [{"heard": {"sum": 11}}]


async def test_what_the_host_raises_ends_the_job_and_reaches_the_caller(runner: JobRunner) -> None:
    async def refuse(question: dict[str, Any]) -> dict[str, Any]:
        raise UnwillingError

    with pytest.raises(UnwillingError):
        await runner.run(f"{JOBS}:ask_twice", {}, on_question=refuse)


async def test_a_job_that_nobody_answers_can_be_stopped(runner: JobRunner) -> None:
    with pytest.raises(JobTimeoutError):
        await runner.run(f"{JOBS}:ask_twice", {}, on_question=never, timeout_s=0.2)


async def test_a_job_that_does_not_wait_for_its_reply_ends(runner: JobRunner) -> None:
    assert await runner.run(f"{JOBS}:ask_and_leave", {}, on_question=never) == {"left": True}


@pytest.mark.parametrize(("job", "on_question"), [("ask_twice", None), ("ask_two_at_once", never)])
async def test_a_question_where_none_is_expected_ends_the_job(
    runner: JobRunner, job: str, on_question: Any
) -> None:
    with pytest.raises(JobProtocolError, match="a question where none is expected"):
        await runner.run(f"{JOBS}:{job}", {}, on_question=on_question)
