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
_BASE: dict[str, Any] = {
    "name": "conv",
    "width": 16,
    "depth": 1,
    "dropout": 0.0,
    "lr": 0.001,
    "schedule": "none",
}


def study_findings(trials: int = 60, *, seed: int = 0, **changes: Any) -> StudyFindings:
    """`trials` of a search by two proposers, three baselines, three seeds of the best, a test."""
    random, tried = Random(seed), _Tried()
    for name, score in _BASELINES.items():
        for repeat in range(3):
            tried.add(_baseline(name, repeat), score + random.gauss(0, 0.002), seconds=0.4)
    best = _searched(tried, trials, random)
    for repeat in (1, 2):
        again = _network(best.config, best.proposer, best.parent, best.note, seed=repeat)
        tried.add(again, best.metrics["accuracy"] - random.uniform(0, 0.006))
    test = _network(best.config, best.proposer, best.id, "the held-out test", kind="test")
    tried.add(test, 0.9722, seconds=0.1)
    values: dict[str, Any] = {
        "study": _study(ended_at=tried.clock),
        "trials": tried.trials,
        "histories": tried.histories,
        "test_samples": 360,
        "command": "guildbus research --dataset digits --budget 5m",
    }
    return StudyFindings(**(values | changes))


class _Tried:
    """Trials that end one after the other."""

    def __init__(self) -> None:
        self.clock = NOW
        self.trials: list[Trial] = []
        self.histories: dict[str, list[dict[str, Any]]] = {}

    def add(
        self, trial: Trial, score: float | None, *, error: str = "", seconds: float = 2.0
    ) -> Trial:
        self.clock += seconds / 2
        status = "done" if score is not None else "diverged" if "loss" in error else "failed"
        params = 650.0 * len(self.trials) + 1e3
        ended = trial.model_copy(
            update={
                "status": status,
                "metrics": {} if score is None else {"accuracy": score, "params": params},
                "error": error,
                "cost_s": seconds,
                "created_at": self.clock - seconds,
                "ended_at": self.clock,
                "tokens": 420 if trial.proposer == "llm" else 0,
            }
        )
        self.trials.append(ended)
        if score is not None and trial.kind != "baseline":
            self.histories[trial.id] = _history(score)
        return ended


def _searched(tried: _Tried, trials: int, random: Random) -> Trial:
    """Try changes of what was good, and return the best; some fail, diverge or learn nothing."""
    best = tried.add(_network(_BASE, "seed", None, "where all begins"), 0.90)
    parents, until = [best], len(tried.trials) + trials - 1
    while len(tried.trials) < until:
        parent = random.choice(parents[-6:])
        trial, luck = _changed(parent, random), random.random()
        if luck < 0.09:
            odd = trial.model_copy(update={"note": HOSTILE})
            tried.add(odd, None, error=f"RuntimeError: shapes cannot be multiplied: {HOSTILE}")
            continue
        if luck < 0.12:
            tried.add(trial, None, error="the loss was no finite number at step 12")
            continue
        before = parent.metrics["accuracy"]
        gain = random.gauss(0.0, 0.012) + (0.985 - before) * 0.18
        score = 0.1 if luck < 0.15 else min(0.995, before + gain)
        ended = tried.add(trial, score, seconds=random.uniform(1, 4))
        if score > 0.8:
            parents.append(ended)
        best = max(best, ended, key=lambda each: each.metrics["accuracy"])
    return best


def _changed(parent: Trial, random: Random) -> Trial:
    key, options, why = random.choice(_CHANGES)
    decay = round(random.uniform(0.0, 0.1), 4)
    config = {**parent.config, key: random.choice(options), "weight_decay": decay}
    return _network(config, random.choice(("search", "search", "llm")), parent.id, why)


def _study(*, ended_at: float) -> Study:
    return Study(
        name="digits-5m",
        dataset="digits",
        budget=Budget(seconds=300, tokens=50_000),
        asked={"dataset": "digits", "budget": "5m"},
        asked_type="research.study",
        spec="research",
        created_at=NOW,
        ended_at=ended_at,
    )


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
