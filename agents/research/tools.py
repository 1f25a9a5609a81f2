"""The research tools, one function each: what the messages of agents and plain calls share."""

import posixpath
from asyncio import to_thread
from collections.abc import Mapping
from functools import partial
from typing import TypeVar

from agents.ml.training.names import new_name
from agents.research.experiments.recording import recorded
from agents.research.jobs import Audience, Done, Jobs
from agents.research.messages import (
    AssembleModel,
    EvaluateCheckpoint,
    EvaluateQuickly,
    ManageTokenizer,
    ModelSummarised,
    SummariseModel,
    TrainFully,
    TrainLanguageModel,
)
from agents.research.results import read_result
from agents.research.scoring import run_scored

T = TypeVar("T", TrainFully, TrainLanguageModel)

_TRAINING = "agents.research.training_jobs"


async def assemble(jobs: Jobs, request: AssembleModel, audience: Audience) -> Done:
    """Compile the model config; the result is that of `agents.ml.assembler.jobs.assemble`."""
    jobs.inside(request.output_script_path, key="output_script_path")
    return await jobs.run(
        "agents.ml.assembler.jobs:assemble",
        request.model_dump(),
        audience,
        task=assembling(request),
    )


def assembling(request: AssembleModel) -> str:
    """What this is called while it goes on, whoever writes the code."""
    return f"assemble {request.config.get('model_name', 'a model')}"


async def summarise(jobs: Jobs, request: SummariseModel, audience: Audience) -> Done:
    """The result is that of `agents.ml.models.summary.pytorch_model_summary`."""
    jobs.inside(request.model_script_path, key="model_script_path")
    task = f"summarise {request.model_class_name}"
    done = await jobs.run(
        "agents.ml.models.summary:summarise", request.model_dump(), audience, task=task
    )
    told = {key: done.result[key] for key in ModelSummarised.model_fields if key in done.result}
    read_result(ModelSummarised, told, of=request.model_script_path)
    return done


async def evaluate_quickly(jobs: Jobs, request: EvaluateQuickly, audience: Audience) -> Done:
    """The result is that of `agents.ml.training.judge.evaluate_quickly`."""
    jobs.inside(request.model_script_path, key="model_script_path")
    task = f"evaluate {request.model_class_name}"
    return await _try("quick_evaluate", jobs, request, {}, audience, task)


async def train(jobs: Jobs, request: TrainFully, audience: Audience) -> Done:
    """The result is that of `agents.ml.training.judge.train_fully`."""
    jobs.inside(request.model_script_path, key="model_script_path")
    _check_folder(jobs, request)
    task = f"train {request.model_class_name}"
    return await _try("train", jobs, _named(request), {"scores": jobs.scores}, audience, task)


async def train_language_model(jobs: Jobs, request: TrainLanguageModel, audience: Audience) -> Done:
    """The result is that of `agents.ml.training.language.train_language_model`.

    The link that is asked for is made once the model is there; not if the training diverged.
    """
    _check_folder(jobs, request)
    jobs.inside(request.output_dir, key="output_dir")
    link = request.serve_as and jobs.inside(request.serve_as, key="serve_as")
    named = _named(request)
    work = partial(
        jobs.run,
        "agents.ml.training.jobs:train_language_model",
        named.model_dump(exclude={"serve_as"}),
        task="train the language model",
        is_training=True,
    )
    done = await recorded(jobs.workspace, named, audience, work)
    if link and done.result["model_path"] is not None:
        await to_thread(jobs.files.link, link, done.result["model_path"])
    return done


def _check_folder(jobs: Jobs, request: TrainFully | TrainLanguageModel) -> None:
    jobs.inside(request.log_base_dir, key="log_base_dir")
    if request.experiment_name is not None:
        folder = posixpath.join(request.log_base_dir, request.experiment_name)
        jobs.inside(folder, key="experiment_name")


def _named(request: T) -> T:
    """Give a training a name before it begins: what is cut short is found again by its folder."""
    if request.experiment_name is not None:
        return request
    return request.model_copy(update={"experiment_name": new_name()})


async def _try(  # noqa: PLR0917  one line for each of the two
    job: str,
    jobs: Jobs,
    request: EvaluateQuickly | TrainFully,
    places: Mapping[str, str],
    audience: Audience,
    task: str,
) -> Done:
    """Run a job of `training_jobs`, and keep what comes of it among the experiments."""
    registries = {"registry": jobs.tokenizers, "optimizers": jobs.optimizers}
    payload = {**request.model_dump(), **registries, **places}
    work = partial(run_scored, jobs, f"{_TRAINING}:{job}", payload, task=task)
    return await recorded(jobs.workspace, request, audience, work)


async def measure(jobs: Jobs, request: EvaluateCheckpoint, audience: Audience) -> Done:
    """The result is that of `agents.ml.training.measuring.evaluate_checkpoint`."""
    jobs.inside(request.experiment_dir, key="experiment_dir")
    payload = request.model_dump() | {"scores": jobs.scores}
    task = f"measure on the {request.split} set"
    job = f"{_TRAINING}:evaluate_checkpoint"
    work = partial(run_scored, jobs, job, payload, task=task)
    return await recorded(jobs.workspace, request, audience, work)


async def manage_tokenizer(jobs: Jobs, request: ManageTokenizer, audience: Audience) -> Done:
    """The result is that of `agents.research.text_jobs.manage_tokenizer`."""
    files = (request.config or {}).get("data_files")
    for path in files if isinstance(files, list) else ():
        jobs.inside(str(path), key="config.data_files")
    if request.tokenizer_path is not None:
        jobs.inside(request.tokenizer_path, key="tokenizer_path")
    payload = {**request.model_dump(), "registry": jobs.tokenizers}
    task = f"{request.action} tokenizer {request.tokenizer_name}"
    return await jobs.run(
        "agents.research.text_jobs:manage_tokenizer", payload, audience, task=task
    )
