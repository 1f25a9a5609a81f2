"""The lines of a run's history: what the trainer says of an epoch, and its scores."""

from collections.abc import Mapping, Sequence
from typing import Any

_AFTER_SCORES = ("lr", "seconds", "samples_per_s")


def with_scores(trained: Mapping[str, Any], scores: Mapping[str, float]) -> dict[str, Any]:
    """Return an epoch's line: its scores as `val_loss`, `val_accuracy`, ..."""
    before = {key: value for key, value in trained.items() if key not in _AFTER_SCORES}
    after = {key: trained[key] for key in _AFTER_SCORES}
    return {**before, **{f"val_{name}": value for name, value in scores.items()}, **after}


def scores_in(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores of a line, under their own names."""
    return {key[4:]: value for key, value in record.items() if key.startswith("val_")}


def final_scores(history: Sequence[Mapping[str, Any]], best_epoch: int | None) -> dict[str, float]:
    """Return the scores of the weights that are kept: the best, or the last."""
    return scores_in(history[(best_epoch or len(history)) - 1])
