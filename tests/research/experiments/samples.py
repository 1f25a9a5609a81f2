"""Trials for tests."""

from typing import Any

from agents.research.experiments import ExperimentStore, Kind, Trial

NOW = 1_700_000_000.0
CODE = "class Net(nn.Module):\n    width = 16\n"


def trial(
    width: int = 16,
    *,
    seed: int = 0,
    study: str = "digits",
    kind: Kind = "quick",
    parent: str | None = None,
    **others: Any,
) -> Trial:
    return Trial.new(
        study=study,
        kind=kind,
        config={"width": width, "optimizer": {"type": "Adam", "params": {"lr": 0.001}}},
        code=others.pop("code", CODE),
        seed=seed,
        parent=parent,
        created_at=NOW,
        **others,
    )


def done(store: ExperimentStore, tried: Trial, accuracy: float, **others: Any) -> Trial:
    """Plan, start and finish a trial that reached `accuracy`."""
    kept = store.plan(tried)
    store.start(kept.id)
    return store.finish(kept.id, status="done", metrics={"accuracy": accuracy}, **others)
