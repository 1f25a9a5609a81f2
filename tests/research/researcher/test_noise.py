"""What measurements say, and what they do not."""

import math

import pytest

from agents.ml.selection.merit import merit
from agents.research.researcher.noise import accuracies_apart, difference, estimate


def test_a_single_measurement_is_not_believed() -> None:
    once = estimate([0.99])
    assert math.isinf(once.error)
    assert once.sure < estimate([0.7, 0.71, 0.69]).sure


def test_the_standard_error_is_that_of_the_mean() -> None:
    assert estimate([0.8, 0.9, 1.0]) == (pytest.approx(0.9), pytest.approx(0.1 / math.sqrt(3)), 3)


def test_pairs_by_fold_tell_what_separate_means_cannot() -> None:
    hard = {0: 0.9, 1: 0.5, 2: 0.7}
    better = {fold: score + 0.01 for fold, score in hard.items()}
    apart = difference(better, hard)
    assert apart is not None
    assert apart.mean == pytest.approx(0.01)
    assert apart.error < 1e-9
    assert difference(better, {7: 0.3}) is None


def test_of_equal_accuracy_the_smaller_loss_is_better_and_accuracy_goes_first() -> None:
    assert merit({"accuracy": 0.9, "loss": 0.2}) > merit({"accuracy": 0.9, "loss": 0.3})
    assert merit({"accuracy": 0.95, "loss": 0.5}) > merit({"accuracy": 0.9, "loss": 0.2})
    assert merit({"accuracy": 0.9, "loss": 1e6}) > 0


def test_accuracies_are_apart_by_their_numbers_of_samples() -> None:
    apart = accuracies_apart(0.8, 400, 0.7, 100)
    assert apart.mean == pytest.approx(0.1)
    assert apart.error == pytest.approx(math.sqrt(0.16 / 400 + 0.21 / 100), rel=0.02)


def test_no_miss_among_few_samples_is_no_certainty() -> None:
    assert accuracies_apart(1.0, 10, 0.9, 1000).error > 0.07
