"""What counts as better, and when a run has waited long enough."""

import math

import pytest

from agents.ml.training.early_stopping import Best, EarlyStopping, EarlyStoppingConfig


@pytest.mark.parametrize(
    ("metric", "values", "best_epoch"),
    [
        ("val_loss", [0.5, 0.4, 0.45], 2),
        ("val_accuracy", [0.5, 0.4, 0.45], 1),
        ("val_loss", [0.12341, 0.12339, 0.1224], 3),
        ("val_loss", [1234.4, 1234.1, 1230.9], 1),
        ("val_loss", [math.nan, 0.4], 2),
    ],
    ids=["lower", "higher", "fourth digit", "large numbers", "no number"],
)
def test_the_best_epoch_is_the_first_of_its_three_digits(
    metric: str, values: list[float], best_epoch: int
) -> None:
    best = Best(metric)

    for epoch, value in enumerate(values, 1):
        best.update(value, epoch)

    assert best.epoch == best_epoch


def test_a_run_stops_after_as_many_epochs_without_a_better_one() -> None:
    stopping = EarlyStopping(EarlyStoppingConfig(metric="loss", patience=2))

    stops = [
        stopping.should_stop(value, epoch)
        for epoch, value in enumerate([1, 0.9, 0.9001, 0.8999], 1)
    ]

    assert stops == [False, False, False, True]
