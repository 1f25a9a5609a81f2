"""A quick evaluation, judged."""

from pathlib import Path
from typing import Any

from agents.ml.config import read_config
from agents.ml.training.claims import RunClaims, claims
from agents.ml.training.configs import (
    QuickEvalConfig,
    quick_dataset_params,
    read_quick_eval_config,
)
from agents.ml.training.examination import Exam, Examination
from agents.ml.training.jobs import QuickEvaluatePayload
from agents.ml.training.judge.turns import Turns
from agents.ml.training.progress import Channel
from agents.ml.training.quick import quick_measure, quick_result
from agents.ml.training.scoring import DIVERGED


class QuickPayload(QuickEvaluatePayload):
    exchange: str


def evaluate_quickly(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """See `quick.pytorch_quick_evaluator`; `exchange` becomes a folder that the model sees too."""
    given = read_config(QuickPayload, payload)
    config = read_quick_eval_config(given.eval_config)
    session = Examination(channel, Path(given.exchange), quick_exam(config))
    turns = Turns(session, epochs=config.epochs, of=given.model_class_name)
    history: list[dict[str, Any]] = []

    def answer(question: dict[str, Any]) -> dict[str, float]:
        record = turns.scored(question)
        if record is None:
            return DIVERGED
        history.append(record)
        return {}

    asked = given.model_dump(include={"model_script_path", "model_class_name"})
    asked["config"] = config.model_dump(mode="json")
    said = session.run("train_quick", asked, answer)
    trained = claims(RunClaims, said, of=given.model_class_name)
    if trained["status"] == "completed":
        turns.require_all(history)
    result = quick_result(config, trained, history, session.targets)
    return {**result, "self_reported": session.self_reported(RunClaims)}


def quick_exam(config: QuickEvalConfig) -> Exam:
    """Return what is examined: the validation split, by the config's loss and metrics."""
    params = quick_dataset_params(config)
    return Exam(config.dataset, params, config.num_classes, quick_measure(config))
