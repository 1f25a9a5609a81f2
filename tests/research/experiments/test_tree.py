import pytest

from agents.research.experiments import Trial
from agents.research.experiments.progress import credits_of, progress
from agents.research.experiments.tree import flat, grow
from tests.research.experiments.samples import NOW, trial


def scored(
    width: int,
    accuracy: float | None,
    *,
    parent: Trial | None = None,
    at: float = 0.0,
    **of: object,
) -> Trial:
    planned = trial(width, parent=parent.id if parent else None, **of)  # type: ignore[arg-type]
    if accuracy is None:
        return planned.model_copy(update={"status": "failed", "ended_at": NOW + at, "cost_s": 1.0})
    return planned.model_copy(
        update={
            "status": "done",
            "metrics": {"accuracy": accuracy},
            "ended_at": NOW + at,
            "cost_s": 1.0,
        }
    )


def shape(trials: list[Trial], **how: bool) -> list[tuple[int, int, float | None]]:
    return [
        (depth, branch.trial.config["width"], branch.gain and round(branch.gain, 6))
        for depth, branch in flat(grow(trials, "accuracy", **how))
    ]


def test_each_configuration_hangs_below_the_one_it_changes_with_its_gain() -> None:
    root = scored(1, 0.5)
    middle = scored(2, 0.7, parent=root)
    trials = [root, middle, scored(3, 0.6, parent=root), scored(4, 0.65, parent=middle)]

    assert shape(trials) == [(0, 1, None), (1, 2, 0.2), (2, 4, -0.05), (1, 3, 0.1)]


def test_another_seed_of_a_configuration_is_no_branch_of_its_own() -> None:
    root = scored(1, 0.5)
    again = scored(1, 0.7, seed=1, parent=root)
    child = scored(2, 0.9, parent=again)

    assert shape([root, again, child]) == [(0, 1, None), (1, 2, 0.3)]


def test_a_failure_has_no_gain_and_keeps_its_children() -> None:
    root = scored(1, None)
    child = scored(2, 0.9, parent=root)

    assert shape([root, child]) == [(0, 1, None), (1, 2, None)]


def test_a_lower_loss_is_a_gain_when_lower_is_better() -> None:
    root = scored(1, 0.5)

    (_, (_, _, gain)) = shape([root, scored(2, 0.3, parent=root)], higher_is_better=False)

    assert gain == 0.2


def test_a_parent_that_is_not_among_the_trials_makes_a_root() -> None:
    assert shape([scored(2, 0.5, parent=scored(1, 0.5))]) == [(0, 2, None)]


def test_a_chain_of_thousands_is_no_deeper_than_python_goes() -> None:
    trials = [scored(1, 0.5)]
    for width in range(2, 3000):
        trials.append(scored(width, 0.5, parent=trials[-1]))

    assert shape(trials)[-1][:2] == (2998, 2999)


def test_progress_follows_the_ends_of_trials_and_keeps_the_best_so_far() -> None:
    trials = [scored(1, 0.5, at=30), scored(2, 0.7, at=10), scored(3, None, at=15)]
    trials += [scored(4, 0.6, at=20), scored(5, 0.8, at=40)]

    points = progress(trials, "accuracy")

    assert [(p.number, p.elapsed_s, p.best, p.is_best) for p in points] == [
        (2, 10, 0.7, True),
        (4, 20, 0.7, False),
        (1, 30, 0.7, False),
        (5, 40, 0.8, True),
    ]


def test_a_proposer_has_the_credit_for_what_was_better_than_all_before() -> None:
    trials = [
        scored(1, 0.5, at=1, proposer="seed"),
        scored(2, 0.7, at=2, proposer="search"),
        scored(3, None, at=3, proposer="llm"),
        scored(4, 0.75, at=4, proposer="search"),
        trial(5, proposer="llm"),
    ]

    search, seed, llm = credits_of(trials, "accuracy")

    assert (search.proposer, search.trials, search.share, search.improvements) == (
        "search", 2, 0.5, 2,
    )  # fmt: skip
    assert search.gained == pytest.approx(0.25)
    assert (seed.proposer, seed.improvements, seed.gained) == ("seed", 1, 0.0)
    assert (llm.proposer, llm.trials, llm.failed, llm.best) == ("llm", 1, 1, None)


def test_nothing_tried_has_no_progress_and_no_credit() -> None:
    assert progress([], "accuracy") == []
    assert credits_of([], "accuracy") == []
    assert grow([], "accuracy") == ()
