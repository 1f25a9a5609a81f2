"""How the messages of a study are answered: by which jobs, and what these may see.

Only `run_trial` runs a model's code. It sees neither the labels of what it predicts nor the files
they come from; its predictions are taken away before the next trial, and scored by another job.
Of the workspace it sees data and models, and it can change neither: what it learned from is what
another trial is scored on, so that no trial may leave a word for another.
"""

import json
import math
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.ml.atomic_files import write_text_atomically
from agents.ml.selection.answers import Answers
from agents.ml.selection.dealt import Dealt
from agents.research.errors import OutsideWorkspaceError, WorkOverLimitError
from agents.research.exchange import exchange_folder
from agents.research.experiments.measured import noting
from agents.research.job_properties import VAULTS
from agents.research.jobs import Audience, Jobs
from agents.research.researcher.finding import TestScore
from agents.research.researcher.messages import (
    BaselineFitted,
    BlendModels,
    DataDealt,
    DealData,
    FitBaseline,
    ModelsBlended,
    OpenTest,
    RunTrial,
    TestOpened,
    TrialRun,
)
from agents.research.results import read_result
from agents.sandbox import JobTimeoutError

_JOBS = "agents.ml.selection"
_PREDICTIONS = ("val.predictions", "test.predictions")
_RESULT = "result.json"


class _Claims(BaseModel):
    """What a trial's process says of it; a score that it names is ignored."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    status: Literal["completed", "diverged"]
    params: int = Field(ge=0, le=2**53)
    steps: int = Field(ge=0, le=2**53)
    curve: list[tuple[float, float]] = []
    cpu_s: float = Field(ge=0)


async def deal_data(jobs: Jobs, request: DealData, audience: Audience) -> DataDealt:
    payload = request.model_dump() | {"vault": _vault(jobs, request.data)}
    done = await jobs.run(
        f"{_JOBS}.dealing:deal",
        payload,
        audience,
        task="deal the data",
        is_trusted=True,
        writable=[payload["vault"]],
    )
    return DataDealt.model_validate({"facts": done.result})


async def run_trial(jobs: Jobs, request: RunTrial, audience: Audience) -> TrialRun:
    """Train, take the predictions away, and score them; a trial that was run is not run again."""
    vault = _vault(jobs, request.data)
    kept = jobs.workspace / _of_trial(jobs, vault, request.trial)
    identity = _identity(jobs, request)
    if (before := _read_result(kept, identity)) is not None:
        return TrialRun.model_validate(before)
    answers = Answers.read(jobs.workspace / vault)
    async with exchange_folder(jobs.workspace) as output:
        payload = request.model_dump(exclude={"fold", "timeout_s", "trial", "record"})
        payload |= {"labels": answers.without(request.fold), "output": output}
        with _told_of_budget(request.timeout_s):
            done = await jobs.run(
                f"{_JOBS}.trial:run_trial",
                payload,
                noting(jobs.workspace, request.record, audience),
                task=f"trial {request.trial}",
                timeout_s=_allowed(request.timeout_s),
                is_training=True,
                hidden=(*answers.hidden, str(jobs.workspace)),
                read_only=_shown(jobs, request),
                writable=[output],
            )
        told = read_result(_Claims, done.result, of=request.script)
        if told.status == "completed":
            _take_away(jobs.workspace / output, kept)
    result = {**told.model_dump(), "metrics": {}}
    if told.status == "completed":
        scored = await jobs.run(
            f"{_JOBS}.scoring:score_fold",
            {"data": request.data, "vault": vault, "output": str(kept), "fold": request.fold},
            audience,
            task=f"score trial {request.trial}",
            is_trusted=True,
            writable=[vault],
        )
        result |= {"status": "done", "metrics": scored.result}
    _write_result(kept, identity, result)
    return TrialRun.model_validate(result)


async def fit_baseline(jobs: Jobs, request: FitBaseline, audience: Audience) -> BaselineFitted:
    """Fit and score; a baseline that was fitted is not fitted again."""
    vault = _vault(jobs, request.data)
    kept = jobs.workspace / _of_trial(jobs, vault, request.trial)
    identity = _identity(jobs, request)
    result = _read_result(kept, identity)
    if result is None:
        payload = request.model_dump(exclude={"timeout_s", "trial"})
        with _told_of_budget(request.timeout_s):
            done = await jobs.run(
                f"{_JOBS}.baselines:fit_baseline",
                payload | {"vault": vault, "output": str(kept)},
                audience,
                task=f"fit {request.model}",
                timeout_s=_allowed(request.timeout_s),
                is_training=True,
                is_trusted=True,
                writable=[*jobs.registries, vault],
            )
        result = done.result
        _write_result(kept, identity, result)
    return BaselineFitted.model_validate(result)


async def blend_models(jobs: Jobs, request: BlendModels, audience: Audience) -> ModelsBlended:
    vault = _vault(jobs, request.data)
    folders = {
        name: [_of_trial(jobs, vault, trial) for trial in trials]
        for name, trials in request.candidates.items()
    }
    done = await jobs.run(
        f"{_JOBS}.blending:blend",
        {"data": request.data, "vault": vault, "candidates": folders},
        audience,
        task="choose an ensemble",
        is_trusted=True,
        writable=[vault],
    )
    return ModelsBlended.model_validate(done.result)


async def open_test(jobs: Jobs, request: OpenTest, audience: Audience) -> TestOpened:
    vault = _vault(jobs, request.data)
    contestants = {
        name: {
            "folders": [[_of_trial(jobs, vault, trial) for trial in group] for group in one.trials],
            "weights": one.weights,
            "sharpness": one.sharpness,
        }
        for name, one in request.contestants.items()
    }
    done = await jobs.run(
        f"{_JOBS}.blending:open_test",
        {"data": request.data, "vault": vault, "contestants": contestants},
        audience,
        task="open the held-out test",
        is_trusted=True,
        writable=[vault],
    )
    return opened(done.result)


def opened(result: dict[str, Any]) -> TestOpened:
    """The result of the job `blending.open_test` as a message."""
    return TestOpened(
        scores=tuple(
            TestScore(
                name=name,
                samples=result["samples"],
                confusion_matrix=found["confusion_matrix"],
                **found["metrics"],
            )
            for name, found in result["contestants"].items()
        )
    )


def _vault(jobs: Jobs, data: str) -> str:
    """The folder, hidden from models' code, with what belongs to the data of a study."""
    return os.path.normpath(f"{VAULTS}/{jobs.inside(data, key='data')}")


def _of_trial(jobs: Jobs, vault: str, trial: str) -> str:
    """The folder in it with what came of a trial."""
    place = os.path.normpath(jobs.inside(f"{vault}/{trial}", key="trial"))
    if not Path(place).is_relative_to(vault):
        raise OutsideWorkspaceError("trial", trial)
    return place


def _shown(jobs: Jobs, request: RunTrial) -> list[str]:
    """What a trial reads: the data, its code with what lies beside it, and a tokenizer."""
    script = Path(_absolute(jobs, request.script, "script"))
    code = script if script.parent == jobs.workspace else script.parent
    shown = [_absolute(jobs, request.data, "data"), str(code)]
    if request.tokenizer is not None:
        shown.append(_absolute(jobs, request.tokenizer, "tokenizer"))
    return shown


def _absolute(jobs: Jobs, path: str, key: str) -> str:
    return os.path.normpath(jobs.workspace / jobs.inside(path, key=key))


def _identity(jobs: Jobs, request: RunTrial | FitBaseline) -> str:
    """A hash of what decides a trial's outcome, its data and its code among it."""
    told = request.model_dump(mode="json", exclude={"timeout_s", "record"})
    facts = jobs.files.read(f"{request.data}/facts.json")
    dealt = Dealt.read(jobs.workspace / _vault(jobs, request.data))
    code = ""
    if isinstance(request, RunTrial):
        code = jobs.files.read(jobs.inside(request.script, key="script"))
    # Data that were dealt before there were notes have none, and their trials are known without it.
    decisive = [told, facts, code, *([dealt.content] if dealt is not None else [])]
    return sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]


def _take_away(output: Path, kept: Path) -> None:
    """Move a trial's predictions to where no other trial can change them."""
    kept.mkdir(parents=True, exist_ok=True)
    for name in _PREDICTIONS:
        if (output / name).is_file() and not (output / name).is_symlink():
            (output / name).replace(kept / name)


def _read_result(kept: Path, identity: str) -> dict[str, Any] | None:
    try:
        found = json.loads((kept / _RESULT).read_text("utf-8"))
    except (FileNotFoundError, ValueError):  # or a power cut left half of it
        return None
    return dict(found["result"]) if found["identity"] == identity else None


def _write_result(kept: Path, identity: str, result: dict[str, Any]) -> None:
    write_text_atomically(kept / _RESULT, json.dumps({"identity": identity, "result": result}))


def _allowed(timeout_s: float | None) -> float:
    return math.inf if timeout_s is None else timeout_s


@contextmanager
def _told_of_budget(timeout_s: float | None) -> Iterator[None]:
    """What the study leaves no more time for was stopped by its budget, and by no fault."""
    try:
        yield
    except WorkOverLimitError as error:
        cause = error.__cause__
        if (
            timeout_s is None
            or not isinstance(cause, JobTimeoutError)
            or cause.timeout_s < timeout_s
        ):
            raise
        told = f"stopped after {timeout_s:.1f} s: the study has no more time for it"
        raise WorkOverLimitError(told) from cause


ANSWERED: dict[type[BaseModel], Callable[[Jobs, Any, Audience], Coroutine[Any, Any, BaseModel]]] = {
    DealData: deal_data,
    RunTrial: run_trial,
    FitBaseline: fit_baseline,
    BlendModels: blend_models,
    OpenTest: open_test,
}
