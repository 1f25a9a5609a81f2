"""What the tools evaluate and train becomes trials of the study `tools`, whoever asked for it.

A message that is delivered twice is one trial: its id follows from what was asked. What cannot be
recorded is not lost for it: the tool answers as always, with a warning that says why.
"""

import math
import time
from asyncio import to_thread
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from agents.research.errors import ResearchError, WorkInterruptedError, WorkRefusedError
from agents.research.experiments.errors import StoreError
from agents.research.experiments.measured import forget_measured, noting, read_measured
from agents.research.experiments.store import ExperimentStore, store_path
from agents.research.experiments.trial import Kind, Status, Trial
from agents.research.jobs import Audience, Done
from agents.research.messages import (
    EvaluateCheckpoint,
    EvaluateQuickly,
    TrainFully,
    TrainLanguageModel,
)
from agents.research.workspace.files import MIB, WorkspaceFiles

STUDY = "tools"
DATA = "data_sha256"  # of what was asked, beside its own keys
Training = TrainFully | TrainLanguageModel
Request = EvaluateQuickly | Training | EvaluateCheckpoint

_MOST_SOURCE_BYTES = MIB
_MOST_READ_BYTES = 64 * MIB
_ABOUT_THE_RUN = ("params", "chance_level", "samples")
_STATUSES: dict[str, Status] = {"completed": "done", "diverged": "diverged"}


class _Outcome(NamedTuple):
    status: Status
    cost_s: float
    metrics: dict[str, float] = {}  # noqa: RUF012  never changed
    error: str = ""
    artifacts: str = ""
    history: tuple[dict[str, Any], ...] = ()


async def recorded(
    workspace: Path,
    request: Request,
    audience: Audience,
    work: Callable[[Audience], Awaitable[Done]],
) -> Done:
    """Do the `work` that `request` asks for, and keep what comes of it, a failure too.

    What it measures is written down as it goes on, and handed on to the audience.
    """
    warnings: list[str] = []
    trial = await to_thread(_begin, workspace, request, warnings)
    started_s = time.monotonic()
    try:
        done = await work(noting(workspace, trial.id if trial is not None else "", audience))
    except BaseException as error:
        outcome = _failure(error, time.monotonic() - started_s)
        await to_thread(_end, workspace, trial, outcome, warnings)
        for warning in warnings:
            error.add_note(warning)
        raise
    outcome = _outcome(workspace, done.result, time.monotonic() - started_s)
    await to_thread(_end, workspace, trial, outcome, warnings)
    if not warnings:
        return done
    told = [*done.result.get("warnings", ()), *warnings]
    return done._replace(result={**done.result, "warnings": told})


def _begin(workspace: Path, request: Request, warnings: list[str]) -> Trial | None:
    with _told(warnings), ExperimentStore(store_path(workspace)) as store:
        store.interrupt(STUDY, "the process that worked on it has ended", abandoned_only=True)
        match request:
            case EvaluateCheckpoint():
                asked = _measurement(workspace, request, store)
            case TrainLanguageModel():
                asked = _language_model(request, store)
            case _:
                asked = _attempt(workspace, request, store)
        return store.start(store.plan(asked).id, artifacts=asked.artifacts)
    return None


def _end(workspace: Path, trial: Trial | None, outcome: _Outcome, warnings: list[str]) -> None:
    if trial is not None:
        with _told(warnings), ExperimentStore(store_path(workspace)) as store:
            history = outcome.history or read_measured(workspace, trial.id)
            store.finish(trial.id, **outcome._asdict() | {"history": history})
            if outcome.status != "interrupted":  # it may go on, and so does its curve
                forget_measured(workspace, trial.id)


@contextmanager
def _told(warnings: list[str]) -> Iterator[None]:
    try:
        yield
    except (StoreError, ValueError) as error:  # ValueError: a config that JSON cannot say
        warnings.append(f"not recorded as an experiment: {error}")


def _attempt(
    workspace: Path, request: EvaluateQuickly | TrainFully, store: ExperimentStore
) -> Trial:
    """A model to be trained."""
    kind: Kind = "quick"
    config, folder = {}, ""
    match request:
        case EvaluateQuickly():
            config = request.eval_config
        case TrainFully():
            kind, config, folder = "full", request.trainer_config, _folder(request)
    asked = {"model_class_name": request.model_class_name, **config}
    begun = store.latest(STUDY, artifacts=folder) if folder else None
    # What an earlier version has begun there, which did not note its data, goes on as the same.
    is_older = begun is not None and begun.config | {"seed": begun.seed} == {"seed": 0} | asked
    return _planned(
        store,
        kind,
        asked if is_older else asked | _data(workspace, config),
        code=_source(workspace, request.model_script_path),
        note=f"{request.model_class_name} of {request.model_script_path}",
        folder=folder,
    )


def _language_model(request: TrainLanguageModel, store: ExperimentStore) -> Trial:
    """A language model to be trained; its code is the guild's own."""
    served = {"serve_as": request.serve_as} if request.serve_as is not None else {}
    return _planned(
        store,
        "full",
        {"model": request.output_dir, **served, **request.config},
        note=f"language model in {request.output_dir}",
        folder=_folder(request),
    )


def _planned(
    store: ExperimentStore,
    kind: Kind,
    config: dict[str, Any],
    *,
    note: str,
    folder: str,
    code: str = "",
) -> Trial:
    """A trial that descends from the one before it of the same note."""
    before = store.latest(STUDY, note=note)
    planned = Trial.new(
        study=STUDY,
        kind=kind,
        config={key: value for key, value in config.items() if key != "seed"},
        code=code,
        seed=config.get("seed", 0),
        parent=before.id if before is not None else None,
        note=note,
    )
    return planned.model_copy(update={"artifacts": folder})


def _folder(request: Training) -> str:
    """Where it keeps its checkpoints; "" where that is not settled yet."""
    return f"{request.log_base_dir}/{request.experiment_name}" if request.experiment_name else ""


def _measurement(workspace: Path, request: EvaluateCheckpoint, store: ExperimentStore) -> Trial:
    """What a training left, to be measured; it descends from the training."""
    folder = _inside(workspace, request.experiment_dir)
    trained = store.latest(STUDY, artifacts=folder)
    known = {"of": trained.id, **trained.config} if trained is not None else {}
    planned = Trial.new(
        study=STUDY,
        kind="test",
        config={**known, **request.model_dump(exclude={"device"}), "experiment_dir": folder},
        code=trained.code if trained is not None else "",
        seed=trained.seed if trained is not None else 0,
        parent=trained.id if trained is not None else None,
        note=f"{request.checkpoint} checkpoint on the {request.split} set",
    )
    return planned.model_copy(update={"artifacts": folder})


def _data(workspace: Path, config: dict[str, Any]) -> dict[str, str]:
    """A digest of the files of the workspace that a dataset is; without one, changed are the same.

    Folders are not read, nor files that are too large or lie elsewhere.
    """
    params = config.get("dataset_params")
    given = params.get("data_path", params.get("script_path")) if isinstance(params, dict) else None
    paths: list[Any] = given if isinstance(given, list) else [given]
    if not all(isinstance(path, str) for path in paths):
        return {}
    try:
        files = WorkspaceFiles(workspace, max_bytes=_MOST_READ_BYTES)
        contents = [sha256(files.read_bytes(path)).digest() for path in paths]
    except WorkRefusedError:
        return {}
    return {DATA: sha256(b"".join(contents)).hexdigest()}


def _source(workspace: Path, script: str) -> str:
    """The script's text; "" where none can be read, which the tool itself will tell."""
    try:
        content = WorkspaceFiles(workspace, max_bytes=_MOST_READ_BYTES).read_bytes(script)
    except WorkRefusedError:
        return ""
    if len(content) > _MOST_SOURCE_BYTES:
        return f"# {len(content):,} bytes, too many to keep; SHA-256 {sha256(content).hexdigest()}"
    return content.decode("utf-8", "replace")


def _outcome(workspace: Path, result: dict[str, Any], seconds: float) -> _Outcome:
    scores = result.get("metrics", result.get("final_evaluation", {}))
    facts = {name: result.get(name) for name in _ABOUT_THE_RUN}
    status = _STATUSES[result.get("status", "completed")]
    return _Outcome(
        status=status,
        cost_s=result.get("seconds", seconds),
        metrics={
            name: math.nan if value is None else float(value)
            for name, value in {**scores, **facts}.items()
            if isinstance(value, int | float) or name in scores
        },
        error=f"the loss was no finite number at step {result['diverged_at_step']}"
        if status == "diverged"
        else "",
        artifacts=_inside(workspace, result.get("experiment_dir", "")),
        history=tuple(result.get("history", ())),
    )


def _failure(error: BaseException, seconds: float) -> _Outcome:
    is_final = isinstance(error, ResearchError) and not isinstance(error, WorkInterruptedError)
    text = str(error) or type(error).__name__
    return _Outcome("failed" if is_final else "interrupted", seconds, error=text)


def _inside(workspace: Path, folder: str) -> str:
    path = Path(folder)
    inside = path.is_absolute() and path.is_relative_to(workspace)
    return str(path.relative_to(workspace)) if inside else folder
