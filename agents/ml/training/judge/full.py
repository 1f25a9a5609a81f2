"""A full training, judged."""

from pathlib import Path
from typing import Any

from agents.ml.config import read_config
from agents.ml.training.claims import RunClaims, claims
from agents.ml.training.configs import TrainerConfig, read_trainer_config, scores_that_decide
from agents.ml.training.curves import Curves
from agents.ml.training.early_stopping import Best, EarlyStopping, as_judged
from agents.ml.training.examination import Exam, Examination
from agents.ml.training.experiment import write_history, write_result
from agents.ml.training.full import full_result, identity_of, trainer_measure
from agents.ml.training.history import final_scores
from agents.ml.training.jobs import TrainPayload
from agents.ml.training.judge.turns import Turns
from agents.ml.training.names import settled_name
from agents.ml.training.progress import Channel
from agents.ml.training.scorebook import Scorebook
from agents.ml.training.scoring import DIVERGED


class FullPayload(TrainPayload):
    exchange: str
    scores: str


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
    turns = Turns(session, epochs=config.epochs, of=given.model_class_name)
    decisive = scores_that_decide(config)

    def answer(question: dict[str, Any]) -> dict[str, float]:
        record = turns.scored(question)
        if record is None:
            return DIVERGED
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
    said = session.run("train_full", asked, answer)
    trained = claims(RunClaims, said, of=given.model_class_name)
    known = _judged(config, trained, turns, book, folder)
    result = full_result({**trained, **known}, session.targets)
    result["self_reported"] = session.self_reported(RunClaims)
    write_history(folder, book.history)
    if config.tensorboard:  # while it ran, the model's process knew less
        curves = Curves(folder)
        curves.rewrite(book.history)
        curves.close()
    write_result(folder, result)
    return result


def _judged(
    config: TrainerConfig, trained: dict[str, Any], turns: Turns, book: Scorebook, folder: Path
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
    if is_completed and not is_stopped:
        turns.require_all(history)
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
