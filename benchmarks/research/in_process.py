"""A study's messages answered in this process, and every second of its processor counted."""

import asyncio
import importlib
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agents.ml.assembler.jobs import assemble
from agents.research.jobs import Done
from agents.research.messages import (
    AssembleModel,
    ManageTokenizer,
    ModelAssembled,
    TokenizerTrained,
)
from agents.research.researcher.loop import next_asks
from agents.research.researcher.messages import DealData
from agents.research.researcher.state import Study
from agents.research.researcher.trials import ANSWERED
from agents.research.stepwise.work import Step
from agents.research.text_jobs import manage_tokenizer


class JobsHere:
    """Runs jobs as plain calls in the current folder."""

    scores = ".guildbus/scores"

    def __init__(self) -> None:
        self.workspace = Path.cwd()

    def inside(self, path: str, *, key: str) -> str:
        return path

    async def run(self, job: str, payload: dict[str, Any], audience: Any, **_: Any) -> Done:
        module, _, name = job.partition(":")
        return Done(getattr(importlib.import_module(module), name)(payload, nothing), 0.0)


def run(study: Study) -> None:
    """Ask and answer until nothing is asked any more, on the clock of the processor."""
    jobs = JobsHere()
    while asks := next_asks(study):
        ask = asks[0]
        started_s = time.process_time()
        step = Step(agent=ask.to, asked_at=0.0, ended_at=0.0)
        try:
            step.answer = asyncio.run(answer(jobs, ask.message)).model_dump(mode="json")
        except Exception as error:  # noqa: BLE001  as an agent's would, it becomes the step's
            step.error = f"{type(error).__name__}: {error}"
        study.steps[ask.step] = step
        step.ended_at = time.process_time() - started_s
        if not isinstance(ask.message, DealData):
            study.elapsed_s += step.ended_at


async def answer(jobs: Any, message: BaseModel) -> BaseModel:
    payload = message.model_dump()
    match message:
        case AssembleModel():
            made = assemble(payload, nothing)
            return ModelAssembled(
                model_name=made["class_name"],
                script_path=made["path"],
                generated_by="compiler",
                attempts=1,
                checks=tuple(made["checks"]),
                total_params=made["total_params"],
            )
        case ManageTokenizer():
            result = manage_tokenizer(payload | {"registry": ".guildbus/tokenizers"}, nothing)
            return TokenizerTrained.model_validate(result)
        case _:
            return await ANSWERED[type(message)](jobs, message, None)


def nothing(_event: dict[str, Any]) -> None:
    pass
