"""What a training left, measured on a split and judged; by default the held-out test."""

from pathlib import Path
from typing import Any

from agents.ml.config import read_config
from agents.ml.errors import CheckpointError, ScoringError
from agents.ml.training.claims import MeasureClaims, claims
from agents.ml.training.configs import TrainerConfig
from agents.ml.training.examination import Exam, Examination
from agents.ml.training.experiment import checkpoint_path
from agents.ml.training.full import trainer_measure
from agents.ml.training.jobs import EvaluateCheckpointPayload
from agents.ml.training.measuring import changed_data, measurement, stored_config
from agents.ml.training.progress import Channel
from agents.ml.training.scorebook import Scorebook


class CheckpointPayload(EvaluateCheckpointPayload):
    exchange: str
    scores: str


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
    said = session.run("put_out_checkpoint", asked, answer)
    if not scored:
        raise ScoringError("ended before anything was scored", where=class_name)
    found = {
        "metrics": scored[0],
        "split": given.split,
        "checkpoint_path": str(path),
        **claims(MeasureClaims, said, of=class_name),
    }
    result = measurement(found, session.dataset, session.targets)
    result["warnings"] = [*result["warnings"], *changed_data(book.identity)]
    return {**result, "self_reported": session.self_reported(MeasureClaims)}


def _asked_for(which: str, config: TrainerConfig, book: Scorebook, folder: Path) -> Path:
    """Return the file of a checkpoint, which only the model's process opens."""
    if which != "best":
        return checkpoint_path(folder, which)
    path = book.best_checkpoint(config.watched_metric()) if config.save_best_model else None
    if path is None:
        raise CheckpointError("has no best checkpoint", where=str(folder))
    return path
