"""A study's messages answered in this process, and every second of its processor counted."""

import asyncio
import importlib
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agents.research import tools
from agents.research.job_properties import JobsProps
from agents.research.jobs import Jobs, Runners
from agents.research.messages import AssembleModel, ManageTokenizer, TokenizerTrained
from agents.research.researcher.loop import next_asks
from agents.research.researcher.messages import DealData
from agents.research.researcher.state import Study
from agents.research.researcher.trials import ANSWERED
from agents.research.stepwise.work import Step
from agents.research.writing import models
from agents.research.writing.client import LanguageModel
from agents.research.writing.settings import WritingProps
from agents.sandbox import JobRunner, JobTimeoutError


class RunnerHere(JobRunner):
    """Runs jobs as plain calls, without a process of their own or a fence.

    What they may take is seconds of the processor.
    """

    async def run(
        self, job: str, payload: dict[str, Any], *, timeout_s: float = math.inf, **_: Any
    ) -> dict[str, Any]:
        module, _, name = job.partition(":")
        with at_most(timeout_s, job):
            result: dict[str, Any] = getattr(importlib.import_module(module), name)(
                payload, _nothing
            )
        return result


class Nobody:
    """Is shown how far the work has come."""

    def emit(self, message: BaseModel, /) -> None:
        pass


def run(study: Study) -> None:
    """Ask and answer in the current folder until nothing is asked any more.

    The study's clock is that of the processor. What fails is an error of its step, as an agent's
    would be.
    """
    runner = RunnerHere(workspace=Path())
    jobs = Jobs(Runners(runner, runner, runner), JobsProps(fence="none"))
    while asks := next_asks(study):
        ask = asks[0]
        started_s = time.process_time()
        step = Step(agent=ask.to, asked_at=0.0, ended_at=0.0)
        try:
            step.answer = asyncio.run(_answer(jobs, ask.message)).model_dump(mode="json")
        except Exception as error:  # noqa: BLE001  as an agent's would, it becomes the step's
            step.error = f"{type(error).__name__}: {error}"
        study.steps[ask.step] = step
        step.ended_at = time.process_time() - started_s
        if not isinstance(ask.message, DealData):
            study.elapsed_s += step.ended_at


async def _answer(jobs: Jobs, message: BaseModel) -> BaseModel:
    match message:
        case AssembleModel():
            nobody_writes = LanguageModel(WritingProps(), None, jobs.files, remedy="")
            return await models.assemble(jobs, nobody_writes, message, Nobody())
        case ManageTokenizer():
            done = await tools.manage_tokenizer(jobs, message, Nobody())
            return TokenizerTrained.model_validate(done.result)
        case _:
            return await ANSWERED[type(message)](jobs, message, Nobody())


@contextmanager
def at_most(seconds: float, job: str) -> Iterator[None]:
    """End what takes more of the processor, by a `JobTimeoutError` that names `job`."""

    def end(*_: Any) -> None:
        raise JobTimeoutError(job, seconds, output="")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds if math.isfinite(seconds) else 0.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def _nothing(_event: dict[str, Any]) -> None:
    pass
