"""A study as a researcher would leave it, made up but with something of everything in it."""

import math
from random import Random
from typing import Any

from agents.research.experiments import Budget, Study, Trial
from agents.research.report.study.content import StudyFindings
from tests.research.experiments.samples import NOW

HOSTILE = "<script>alert(1)</script> | `x` *y*"
_BASELINES = {"support_vectors": 0.9812, "extra_trees": 0.9705, "logistic_regression": 0.9466}
_CHANGES = (
    ("width", (16, 32, 64, 128), "a wider network, since training accuracy is still low"),
    ("depth", (1, 2, 3, 4), "one more layer beside the best so far"),
    ("dropout", (0.0, 0.1, 0.3), "less overfitting: validation loss rose after epoch 4"),
    ("lr", (0.0003, 0.001, 0.003), "the loss still fell at the end: a larger step"),
    ("schedule", ("none", "cosine", "one_cycle"), "a schedule, which the best two have"),
)


def study_findings(trials: int = 60, *, seed: int = 0, **changes: Any) -> StudyFindings:
    """`trials` of a search by two proposers, three baselines, three seeds of the best, a test."""
    random = Random(seed)
    clock = NOW
    tried: list[Trial] = []
    histories: dict[str, list[dict[str, Any]]] = {}

    def add(trial: Trial, score: float | None, *, error: str = "", seconds: float = 2.0) -> Trial:
        nonlocal clock
        clock += seconds / 2
        status = "done" if score is not None else "diverged" if "loss" in error else "failed"
        metrics = {} if score is None else {"accuracy": score, "params": 650.0 * len(tried) + 1e3}
        ended = trial.model_copy(
            update={
                "status": status, "metrics": metrics, "error": error, "cost_s": seconds,
                "created_at": clock - seconds, "ended_at": clock,
                "tokens": 420 if trial.proposer == "llm" else 0,
            }
        )  # fmt: skip
        tried.append(ended)
        if score is not None and trial.kind != "baseline":
            histories[trial.id] = _history(score)
        return ended

    for name, score in _BASELINES.items():
        for repeat in range(3):
            add(_baseline(name, repeat), score + random.gauss(0, 0.002), seconds=0.4)
    base: dict[str, Any] = {
        "name": "conv",
        "width": 16,
        "depth": 1,
        "dropout": 0.0,
        "lr": 0.001,
        "schedule": "none",
    }
    best = add(_network(base, "seed", None, "where all begins"), 0.90)
    parents = [best]
    while len(tried) < trials + 9:
        parent = random.choice(parents[-6:])
        key, options, why = random.choice(_CHANGES)
        decay = round(random.uniform(0.0, 0.1), 4)
        config = {**parent.config, key: random.choice(options), "weight_decay": decay}
        proposer = random.choice(("search", "search", "llm"))
        trial = _network(config, proposer, parent.id, why)
        luck = random.random()
        if luck < 0.09:
            odd = trial.model_copy(update={"note": HOSTILE})
            add(odd, None, error=f"RuntimeError: shapes cannot be multiplied: {HOSTILE}")
        elif luck < 0.12:
            add(trial, None, error="the loss was no finite number at step 12")
        else:
            before = parent.metrics["accuracy"]
            gain = random.gauss(0.0, 0.012) + (0.985 - before) * 0.18
            score = 0.1 if luck < 0.15 else min(0.995, before + gain)
            ended = add(trial, score, seconds=random.uniform(1, 4))
            if score > 0.8:
                parents.append(ended)
            best = max(best, ended, key=lambda each: each.metrics["accuracy"])
    for repeat in (1, 2):
        again = _network(best.config, best.proposer, best.parent, best.note, seed=repeat)
        add(again, best.metrics["accuracy"] - random.uniform(0, 0.006))
    test = _network(best.config, best.proposer, best.id, "the held-out test", kind="test")
    add(test, 0.9722, seconds=0.1)
    study = Study(
        name="digits-5m",
        dataset="digits",
        budget=Budget(seconds=300, tokens=50_000),
        asked={"dataset": "digits", "budget": "5m"},
        asked_type="research.study",
        spec="research",
        created_at=NOW,
        ended_at=clock,
    )
    values: dict[str, Any] = {
        "study": study,
        "trials": tried,
        "histories": histories,
        "test_samples": 360,
        "command": "guildbus research --dataset digits --budget 5m",
    }
    return StudyFindings(**(values | changes))


def _baseline(name: str, seed: int) -> Trial:
    return Trial.new(
        study="digits-5m", kind="baseline", config={"model": name}, seed=seed, proposer="baseline"
    )


def _network(
    config: dict[str, Any],
    proposer: str,
    parent: str | None,
    why: str,
    *,
    seed: int = 0,
    kind: Any = "quick",
) -> Trial:
    return Trial.new(
        study="digits-5m",
        kind=kind,
        config=config,
        code=_code(config),
        seed=seed,
        parent=parent,
        proposer=proposer,
        note=why,
    )


def _code(config: dict[str, Any]) -> str:
    layers = "".join(
        f"            nn.Linear({config['width']}, {config['width']}),\n            nn.ReLU(),\n"
        for _ in range(config["depth"])
    )
    return (
        "from torch import nn\n\n\nclass Conv(nn.Module):\n    def __init__(self):\n"
        f"        super().__init__()\n        self.layers = nn.Sequential(\n{layers}        )\n"
    )


def _history(score: float) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 2.2 * math.exp(-epoch / 4),
            "val_loss": 2.2 * math.exp(-epoch / 4) + 0.05 + 0.003 * epoch,
            "val_accuracy": score * (1 - 0.6 * math.exp(-epoch / 3)),
        }
        for epoch in range(1, 13)
    ]
