"""The training tools as jobs that run no code of the model's, and therefore score it.

Each has its host run one of `distant`'s jobs, with a handout instead of the dataset, and scores
what that one puts out. So a model's code can neither write a score nor read the targets behind it.
It is answered with the scores alone that decide how it goes on, to three digits: each digit tells
of targets. What else it says of its own work is in the result, under the keys that
`self_reported` names.
"""

import math
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from agents.ml.config import StrictConfig, read_config
from agents.ml.early_stopping import Best, EarlyStopping, as_judged
from agents.ml.errors import CheckpointError, ScoringError
from agents.ml.training.claims import (
    EpochClaims,
    MeasureClaims,
    MemberClaims,
    RunClaims,
    claims,
)
from agents.ml.training.configs import (
    MAX_SEED,
    TrainerConfig,
    quick_dataset_params,
    read_quick_eval_config,
    read_trainer_config,
    scores_that_decide,
)
from agents.ml.training.curves import Curves
from agents.ml.training.examination import Exam, Examination
from agents.ml.training.experiment import (
    checkpoint_path,
    settled_name,
    write_history,
    write_result,
)
from agents.ml.training.full import full_result, identity_of, trainer_measure
from agents.ml.training.history import final_scores, with_scores
from agents.ml.training.measuring import measurement, stored_config
from agents.ml.training.progress import Channel
from agents.ml.training.quick import quick_measure, quick_result
from agents.ml.training.scorebook import Scorebook
from agents.ml.training.scoring import has_diverged

_DISTANT = "agents.ml.training.distant"
_DIVERGED = {"loss": math.nan}  # all that is told of such an epoch


class QuickPayload(StrictConfig):
    model_script_path: str
    model_class_name: str
    eval_config: dict[str, Any]
    exchange: str


class MemberConfig(StrictConfig):
    seed: int = Field(ge=0, le=MAX_SEED)
    learning_rate: float = Field(gt=0)


class PopulationPayload(QuickPayload):
    members: list[MemberConfig] = Field(min_length=1, max_length=1024)


class FullPayload(StrictConfig):
    model_script_path: str
    model_class_name: str
    trainer_config: dict[str, Any]
    experiment_name: str | None = None
    log_base_dir: str = "full_experiments"
    exchange: str
    scores: str


class CheckpointPayload(StrictConfig):
    experiment_dir: str
    split: Literal["train", "val", "test"] = "test"
    checkpoint: str = "best"
    metrics: list[str] | None = Field(default=None, min_length=1)
    device: str | None = None
    exchange: str
    scores: str


def evaluate_quickly(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """See `quick.pytorch_quick_evaluator`; `exchange` becomes a folder that the model sees too."""
    given = read_config(QuickPayload, payload)
    config = read_quick_eval_config(given.eval_config)
    params = quick_dataset_params(config)
    exam = Exam(config.dataset, params, config.num_classes, quick_measure(config))
    history: list[dict[str, Any]] = []
    session = Examination(channel, Path(given.exchange), exam)
    last = 0

    def answer(question: dict[str, Any]) -> dict[str, float]:
        nonlocal last
        said = claims(EpochClaims, question, of=given.model_class_name)
        said.pop("member")
        if said["epoch"] != last + 1 or said["epoch"] > config.epochs:  # see `train_fully`
            raise _out_of_turn(said["epoch"], given.model_class_name)
        last = said["epoch"]
        scores = session.score(of=given.model_class_name)
        if has_diverged(scores):
            return _DIVERGED
        history.append(with_scores(said, scores))
        return {}

    asked = given.model_dump(include={"model_script_path", "model_class_name"})
    asked["config"] = config.model_dump(mode="json")
    said = session.run(f"{_DISTANT}:train_quick", asked, answer)
    trained = claims(RunClaims, said, of=given.model_class_name)
    if trained["status"] == "completed" and len(history) != config.epochs:
        raise _ended_early(history, config.epochs, given.model_class_name)
    result = quick_result(config, trained, history, session.targets)
    return {**result, "self_reported": session.self_reported(RunClaims)}


def evaluate_population(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Evaluate one model once for each of `members`, {"seed", "learning_rate"}, at once if it pays.

    Returns:
        `members`, each as of `evaluate_quickly`, and whether it was trained `stacked`.
    """
    given = read_config(PopulationPayload, payload)
    config = read_quick_eval_config(given.eval_config)
    name = given.model_class_name
    params = quick_dataset_params(config)
    exam = Exam(config.dataset, params, config.num_classes, quick_measure(config))
    histories: list[list[dict[str, Any]]] = [[] for _ in given.members]
    lasts = [0 for _ in given.members]
    session = Examination(channel, Path(given.exchange), exam)

    def answer(question: dict[str, Any]) -> dict[str, float]:
        said = claims(EpochClaims, question, of=name)
        member = said.pop("member")
        if member >= len(histories) or not lasts[member] < said["epoch"] <= config.epochs:
            raise _out_of_turn(said["epoch"], name)
        lasts[member] = said["epoch"]
        scores = session.score(of=name)
        if has_diverged(scores):
            return _DIVERGED
        histories[member].append(with_scores(said, scores))
        return {}

    asked = given.model_dump(include={"model_script_path", "model_class_name", "members"})
    asked["config"] = config.model_dump(mode="json")
    said = session.run(f"{_DISTANT}:train_members", asked, answer).get("members")
    if not isinstance(said, list) or len(said) != len(histories):
        raise ScoringError("its process gave no account of its work", where=name)
    results = []
    for member, one, history in zip(given.members, said, histories, strict=True):
        trained = claims(MemberClaims, one, of=name)
        if trained["status"] == "completed" and len(history) != config.epochs:
            raise _ended_early(history, config.epochs, name)
        own = config.model_copy(update={"seed": member.seed})
        result = quick_result(own, trained, history, session.targets)
        results.append({**result, "self_reported": session.self_reported(MemberClaims)})
    return {"members": results}


def train_fully(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """See `full.pytorch_full_trainer`; `scores` is a folder that the model's job does not see."""
    given = read_config(FullPayload, payload)
    config = read_trainer_config(given.trainer_config)
    identity = identity_of(given.model_script_path, given.model_class_name, config)
    folder = Path(given.log_base_dir) / settled_name(given.experiment_name)
    with Scorebook(Path(given.scores), folder) as book:
        book.settle(identity)
        if book.result is None:
            book.close(_train(given, config, folder, book, channel))
        assert book.result is not None  # it was closed with one
        return book.result


def _train(
    given: FullPayload, config: TrainerConfig, folder: Path, book: Scorebook, channel: Channel
) -> dict[str, Any]:
    measure = trainer_measure(config)
    exam = Exam(config.dataset, config.dataset_params, config.num_classes, measure)
    session = Examination(channel, Path(given.exchange), exam)
    decisive = scores_that_decide(config)
    last = 0

    def answer(question: dict[str, Any]) -> dict[str, float]:
        nonlocal last
        said = claims(EpochClaims, question, of=given.model_class_name)
        said.pop("member")
        if not last < said["epoch"] <= config.epochs:  # an epoch asked for twice tells of targets
            raise _out_of_turn(said["epoch"], given.model_class_name)
        last = said["epoch"]
        scores = session.score(of=given.model_class_name)
        if has_diverged(scores):
            return _DIVERGED
        record = with_scores(said, scores)
        book.add(record)
        return {key: as_judged(record[f"val_{key}"]) for key in decisive}

    asked = {
        "model_script_path": given.model_script_path,
        "model_class_name": given.model_class_name,
        "config": config.model_dump(mode="json"),
        "experiment_name": folder.name,
        "log_base_dir": given.log_base_dir,
        "identity": book.identity,
    }
    said = session.run(f"{_DISTANT}:train_full", asked, answer)
    trained = claims(RunClaims, said, of=given.model_class_name)
    known = _judged(config, trained, book, folder, given.model_class_name)
    result = full_result({**trained, **known}, session.targets)
    result["self_reported"] = session.self_reported(RunClaims)
    write_history(folder, book.history)
    if config.tensorboard:  # while it ran, the model's process knew less
        curves = Curves(folder)
        curves.rewrite(book.history)
        curves.close()
    write_result(folder, result)
    return result


def evaluate_checkpoint(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """See `measuring.evaluate_checkpoint`; what was trained is known from `scores` alone.

    Raises:
        CheckpointError: it was not trained here.
    """
    given = read_config(CheckpointPayload, payload)
    folder = Path(given.experiment_dir)
    book = Scorebook(Path(given.scores), folder)
    if book.identity is None:  # its folder may say what it likes
        text = "was not trained here: this guild has no scores of it"
        raise CheckpointError(text, where=str(folder))
    config = stored_config(book.identity, given.device)
    path = _asked_for(given.checkpoint, config, book, folder)
    exam = Exam(
        config.dataset,
        config.dataset_params,
        config.num_classes,
        trainer_measure(config, given.metrics),
        scored=given.split,
        trains=False,
    )
    class_name = book.identity["model_class_name"]
    scored: list[dict[str, float]] = []
    session = Examination(channel, Path(given.exchange), exam)

    def answer(_question: dict[str, Any]) -> dict[str, float]:
        if scored:  # the split that is held out is looked at once
            raise ScoringError("asked to be scored twice", where=class_name)
        scored.append(session.score(of=class_name))
        return {}

    asked = {
        "identity": book.identity,
        "config": config.model_dump(mode="json"),
        "checkpoint_path": str(path),
    }
    said = session.run(f"{_DISTANT}:put_out_checkpoint", asked, answer)
    if not scored:
        raise ScoringError("ended before anything was scored", where=class_name)
    found = {
        "metrics": scored[0],
        "split": given.split,
        "checkpoint_path": str(path),
        **claims(MeasureClaims, said, of=class_name),
    }
    result = measurement(found, session.dataset, session.targets)
    return {**result, "self_reported": session.self_reported(MeasureClaims)}


def _judged(
    config: TrainerConfig,
    trained: dict[str, Any],
    book: Scorebook,
    folder: Path,
    class_name: str,
) -> dict[str, Any]:
    """Return what follows from the scores, as `account_of` tells it."""
    best = Best(config.watched_metric()) if config.save_best_model else None
    stopping = EarlyStopping(config.early_stopping) if config.early_stopping else None
    is_stopped, history = False, book.history
    for record in history:
        if stopping is not None:
            is_stopped = stopping.should_stop(record[stopping.best.metric], record["epoch"])
        if best is not None:
            best.update(record[best.metric], record["epoch"])
    is_completed = trained["status"] == "completed"
    if is_completed and len(history) != config.epochs and not is_stopped:
        raise _ended_early(history, config.epochs, class_name)
    best_epoch = best.epoch if best and best.value is not None else None
    best_path = book.best_checkpoint(best.metric) if best else None
    return {
        "history": history,
        "best_checkpoint_path": str(best_path) if best_path else None,
        "best_epoch": best_epoch,
        "best_metric": best.metric if best else None,
        "best_value": history[best_epoch - 1][best.metric] if best and best_epoch else None,
        "final_evaluation": final_scores(history, best_epoch) if is_completed else {},
        "epochs_run": len(history),
        "stopped_early": is_stopped,
        "experiment_name": folder.name,
        "experiment_dir": str(folder),
        "seed": config.seed,
    }


def _asked_for(which: str, config: TrainerConfig, book: Scorebook, folder: Path) -> Path:
    """Return the file of a checkpoint, which only the model's process opens."""
    if which != "best":
        return checkpoint_path(folder, which)
    path = book.best_checkpoint(config.watched_metric()) if config.save_best_model else None
    if path is None:
        raise CheckpointError("has no best checkpoint", where=str(folder))
    return path


def _out_of_turn(epoch: int, class_name: str) -> ScoringError:
    return ScoringError(f"epoch {epoch} was to be scored out of turn", where=class_name)


def _ended_early(history: list[dict[str, Any]], epochs: int, class_name: str) -> ScoringError:
    text = f"its process ended after {len(history)} of {epochs} epochs were scored"
    return ScoringError(text, where=class_name)
