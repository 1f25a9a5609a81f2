"""One trial as a job: train a model on all folds but one, and predict that fold and the test.

It runs the model's code. So it gets no labels of what it predicts, and computes no score: another
job does, see `scoring`. Suffixes: N samples, C classes, T time.
"""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from agents.ml.data.batches import Batches, in_order
from agents.ml.data.dataset import ResidentSource, Split
from agents.ml.models.script import build_model
from agents.ml.optimizers.building import OptimizerConfig, build_optimizer
from agents.ml.reporting import Report
from agents.ml.selection.answers import NOBODY_KNOWS
from agents.ml.selection.augmentation import AugmentedSource
from agents.ml.selection.dealing import read_facts
from agents.ml.selection.scoring import TEST, VAL, write_predictions
from agents.ml.tokenizer.files import load_tokenizer
from agents.ml.training.compute import Compute
from agents.ml.training.loop import Trainer
from agents.ml.training.losses import build_loss
from agents.ml.training.randomness import seeded
from agents.ml.training.run import Outcome, Plan, Run
from agents.ml.training.schedulers import SchedulerConfig, build_schedule
from agents.ml.training.tasks import Prediction

_BATCH_SIZE = 1024
_WATCHED = 256  # training samples that a curve is drawn from
_CURVE_POINTS = 4


def run_trial(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Train, predict, and write `scoring.VAL` and `scoring.TEST` to `output`.

    Payload: `data` and `output` (folders), `script`, `class_name`, `training` (as
    `recipes.training_config`), `labels` with `NOBODY_KNOWS` for what is to be predicted, `seed`;
    for text also `tokenizer` (its folder) and `length` in tokens.

    Returns:
        `status` ("completed" or "diverged"), `params`, `steps`, `curve`, `cpu_s`.
    """
    started_s = time.process_time()
    data, output = Path(payload["data"]), Path(payload["output"])
    facts = read_facts(data)
    labels_N = torch.tensor(payload["labels"])
    inputs_N = _inputs(data, "", payload)
    learned = (labels_N != NOBODY_KNOWS).nonzero().flatten()
    with seeded(payload["seed"]):
        model = build_model(payload["script"], payload["class_name"])
        compute = Compute(torch.device("cpu"))
        run = _run(
            compute.place(model),
            compute,
            samples=ResidentSource(inputs_N, labels_N),
            learned=learned,
            payload=payload,
            classes=facts.classes,
        )
        outcome = Trainer(run, report).fit()
    if outcome.status == "completed":
        output.mkdir(parents=True, exist_ok=True)
        asked_N = inputs_N[labels_N == NOBODY_KNOWS]
        write_predictions(output / VAL, _predict(run.model, compute, asked_N))
        test_N = _inputs(data, "test_", payload)
        write_predictions(output / TEST, _predict(run.model, compute, test_N))
    return {
        "status": outcome.status,
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "steps": outcome.steps_run,
        "curve": _curve(outcome),
        "cpu_s": round(time.process_time() - started_s, 4),
    }


def _run(
    model: nn.Module,
    compute: Compute,
    *,
    samples: ResidentSource,
    learned: Tensor,
    payload: dict[str, Any],
    classes: int,
) -> Run:
    config = payload["training"]
    batch_size, epochs = config["batch_size"], config["epochs"]
    steps_total = Batches(len(learned), batch_size, seed=0).steps_per_epoch * epochs
    optimizer = build_optimizer(model, OptimizerConfig(**config["optimizer"]))
    schedule = config["scheduler"] and build_schedule(
        optimizer,
        SchedulerConfig(**_with_warm_up(config["scheduler"], steps_total)),
        steps_total=steps_total,
        epochs_total=epochs,
    )
    loss = build_loss(
        "CrossEntropyLoss", "classification", label_smoothing=config["label_smoothing"]
    )
    plan = Plan(
        steps_total=steps_total,
        steps_per_epoch=max(1, -(-steps_total // _CURVE_POINTS)),
        batch_size=batch_size,
        seed=payload["seed"],
        clip_norm=config["gradient_clip_norm"],
        best_metric=None,
    )
    augmented = AugmentedSource(
        samples.inputs_N, samples.targets_N, config["augmentation"], classes
    )
    watched = Split(samples, learned[:_WATCHED])
    return Run(
        model,
        Prediction(loss, classes, compute, names="classes"),
        Split(augmented, learned),
        watched,
        _TrainingLoss(watched),
        optimizer,
        plan,
        schedule=schedule or None,
    )


class _TrainingLoss:
    """Scores some of what was learned from, for a curve; nothing is chosen by it."""

    def __init__(self, watched: Split) -> None:
        _, self._labels_N = watched.batch(torch.arange(len(watched)))

    def score(self, record: dict[str, Any], outputs: Iterable[Tensor]) -> dict[str, float]:  # noqa: ARG002  the scorer's protocol
        scores_NC = torch.cat(list(outputs))
        return {"loss": float(functional.cross_entropy(scores_NC, self._labels_N))}


def _with_warm_up(scheduler: dict[str, Any], steps: int) -> dict[str, Any]:
    if scheduler["type"] != "WarmupCosineLR":
        return scheduler
    return scheduler | {"params": {"warmup_steps": steps // 20}}


def _inputs(data: Path, part: str, payload: dict[str, Any]) -> Tensor:
    """The samples (N, ...); of texts the first `length` tokens (N, T), with zeros in front."""
    if payload.get("tokenizer") is None:
        return torch.from_numpy(np.load(data / f"{part}inputs.npy"))
    texts = json.loads((data / f"{part}texts.json").read_text("utf-8"))
    return tokens_of(texts, load_tokenizer(Path(payload["tokenizer"])), payload["length"])


def tokens_of(texts: list[str], tokenizer: Tokenizer, length: int) -> Tensor:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokens_NT = torch.zeros((len(texts), length), dtype=torch.long)
    for row, encoding in enumerate(tokenizer.encode_batch(texts, add_special_tokens=False)):
        ids = encoding.ids[:length]
        if ids:
            tokens_NT[row, length - len(ids) :] = torch.tensor(ids)
    return tokens_NT


@torch.no_grad()
def _predict(model: nn.Module, compute: Compute, inputs_N: Tensor) -> Tensor:
    model.eval()
    scores = [
        compute.forward(model, inputs_N[positions]).log_softmax(dim=1)
        for positions in in_order(len(inputs_N), _BATCH_SIZE)
    ]
    return torch.cat(scores)


def _curve(outcome: Outcome) -> list[list[float]]:
    return [[record["step"], round(record["train_loss"], 5)] for record in outcome.history]
