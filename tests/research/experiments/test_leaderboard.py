import math
from pathlib import Path

import pytest

from agents.research.experiments import ExperimentStore, Trial
from agents.research.experiments.standing import leaderboard
from tests.research.experiments.samples import trial


def scored(width: int, *scores: float, metric: str = "accuracy") -> list[Trial]:
    return [
        trial(width, seed=seed).model_copy(update={"status": "done", "metrics": {metric: score}})
        for seed, score in enumerate(scores)
    ]


def test_a_configuration_stands_by_the_mean_of_its_seeds_not_by_the_luckiest() -> None:
    steady, lucky = scored(1, 0.90, 0.91, 0.92), scored(2, 0.70, 0.95, 0.80)

    first, second = leaderboard(steady + lucky, "accuracy")

    assert (first.rank, first.mean, first.seeds) == (1, pytest.approx(0.91), 3)
    assert first.standard_error == pytest.approx(0.01 / math.sqrt(3))
    assert (second.rank, second.best) == (2, 0.95)


def test_one_seed_has_no_standard_error_and_makes_no_claim_about_noise() -> None:
    _, second = leaderboard(scored(1, 0.9, 0.92) + scored(2, 0.8), "accuracy")

    assert second.standard_error is None
    assert second.is_within_noise is None


def test_what_differs_by_less_than_its_error_is_told_to_be_within_noise() -> None:
    first, near, far = leaderboard(
        scored(1, 0.90, 0.94) + scored(2, 0.89, 0.93) + scored(3, 0.85, 0.87), "accuracy"
    )

    assert (first.is_within_noise, near.is_within_noise, far.is_within_noise) == (True, True, False)


def test_the_lowest_loss_is_first_when_lower_is_better() -> None:
    trials = scored(1, 0.5, metric="loss") + scored(2, 0.3, 0.1, metric="loss")

    first, _ = leaderboard(trials, "loss", higher_is_better=False)

    assert (first.mean, first.best) == (0.2, 0.1)


def test_failures_and_numbers_that_are_not_finite_rank_nowhere_and_are_counted() -> None:
    failed = [trial(3).model_copy(update={"status": "failed", "cost_s": 2.0})]
    half = scored(2, 0.8, math.nan)

    first, last = leaderboard(failed + half, "accuracy")

    assert (first.mean, first.seeds, first.unscored) == (0.8, 1, 1)
    assert (last.rank, last.mean, last.unscored, last.cost_s) == (None, None, 1, 2.0)


def test_equal_means_stay_in_the_order_of_planning() -> None:
    standings = leaderboard(scored(2, 0.9) + scored(1, 0.9), "accuracy")

    assert [standing.trials[0] for standing in standings] == [trial(2).id, trial(1).id]


def test_tests_on_held_out_data_do_not_rank_unless_asked_for(tmp_path: Path) -> None:
    with ExperimentStore(tmp_path / "experiments.db") as store:
        tested = store.plan(trial(1, kind="test"))
        store.finish(tested.id, status="done", metrics={"accuracy": 0.99})

        assert store.leaderboard("digits", "accuracy") == []
        assert len(store.leaderboard("digits", "accuracy", kinds=["test"])) == 1
