import math
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from agents.research.experiments import (
    Budget,
    ExperimentStore,
    Status,
    Study,
    StudyConflictError,
    TrialConflictError,
    UnknownStudyError,
    UnknownTrialError,
    store_path,
)
from agents.research.experiments.spending import used_by
from tests.research.experiments.samples import NOW, done, trial


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExperimentStore]:
    ticks = count()
    with ExperimentStore(store_path(tmp_path), clock=lambda: NOW + next(ticks)) as opened:
        yield opened


def test_what_is_kept_comes_back_the_same_from_another_process_s_store(
    store: ExperimentStore, tmp_path: Path
) -> None:
    planned = store.plan(trial(note="wider", proposer="llm"))
    ended = done(store, planned, 0.9, cost_s=1.5, tokens=7, artifacts="runs/a", history=[{"x": 1}])

    with ExperimentStore(store_path(tmp_path)) as another:
        assert another.get(planned.id) == ended
        assert another.history(planned.id) == [{"x": 1}]


def test_the_same_fingerprint_and_seed_is_planned_once_and_returned_with_its_outcome(
    store: ExperimentStore,
) -> None:
    ended = done(store, trial(), 0.9)

    again = store.plan(trial(note="forgot that it was tried", proposer="llm"))

    assert again == ended
    assert store.trials() == [ended]


def test_a_trial_goes_from_planned_over_running_to_done(store: ExperimentStore) -> None:
    planned = store.plan(trial())
    running = store.start(planned.id)
    ended = store.finish(planned.id, status="done", metrics={"accuracy": 0.9}, cost_s=2.0)

    assert (planned.status, running.status, ended.status) == ("planned", "running", "done")
    assert ended.started_at is not None
    assert ended.ended_at is not None
    assert ended.ended_at > ended.started_at


def test_the_same_outcome_twice_changes_nothing(store: ExperimentStore) -> None:
    planned = store.plan(trial())
    metrics = {"accuracy": 0.5, "loss": math.nan}
    first = store.finish(planned.id, status="done", metrics=metrics, cost_s=2.0)

    second = store.finish(planned.id, status="done", metrics=metrics, cost_s=2.0)

    assert second.ended_at == first.ended_at
    assert second.cost_s == 2.0


@pytest.mark.parametrize("status", ["done", "diverged", "failed"])
def test_another_outcome_is_refused_and_the_first_stays(
    store: ExperimentStore, status: Status
) -> None:
    planned = store.plan(trial())
    first = store.finish(planned.id, status=status, metrics={"accuracy": 0.5})

    with pytest.raises(TrialConflictError, match="first outcome stays"):
        store.finish(planned.id, status="done", metrics={"accuracy": 0.99})

    assert store.get(planned.id) == first


def test_a_result_that_comes_after_all_replaces_an_interruption(store: ExperimentStore) -> None:
    planned = store.plan(trial())
    store.start(planned.id)
    (interrupted,) = store.interrupt("digits", "the guild was stopped")

    assert interrupted.status == "interrupted"
    assert store.finish(planned.id, status="done", metrics={"accuracy": 0.9}).status == "done"
    assert store.interrupt("digits", "the guild was stopped") == []


def test_a_failed_trial_that_is_tried_again_costs_both_times(store: ExperimentStore) -> None:
    planned = store.plan(trial())
    store.start(planned.id)
    store.finish(planned.id, status="failed", error="out of memory", cost_s=2.0, tokens=5)

    store.start(planned.id)
    ended = store.finish(planned.id, status="done", metrics={"accuracy": 0.9}, cost_s=3.0, tokens=1)

    assert (ended.cost_s, ended.tokens, ended.error) == (5.0, 6, "")


def test_starting_what_is_done_leaves_it_as_it_is(store: ExperimentStore) -> None:
    ended = done(store, trial(), 0.9)

    assert store.start(ended.id) == ended


def test_a_trial_cannot_end_as_running(store: ExperimentStore) -> None:
    planned = store.plan(trial())

    with pytest.raises(ValueError, match="cannot end as 'running'"):
        store.finish(planned.id, status="running")


def test_lineage_leads_from_the_root_and_children_come_in_order(store: ExperimentStore) -> None:
    root = store.plan(trial(1))
    middle = store.plan(trial(2, parent=root.id))
    sister = store.plan(trial(3, parent=root.id))
    leaf = store.plan(trial(4, parent=middle.id))

    assert store.lineage(leaf.id) == [root, middle, leaf]
    assert store.children(root.id) == [middle, sister]
    assert store.children(leaf.id) == []


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e308, 5e-324, 0.1 + 0.2])
def test_a_metric_comes_back_exactly_as_it_was(store: ExperimentStore, value: float) -> None:
    ended = done(store, trial(), value)

    (kept,) = store.trials()
    assert repr(kept.metrics) == repr(ended.metrics) == repr({"accuracy": value})
    assert kept.score("accuracy") == (value if abs(value) < 1e150 else None)


def test_a_parent_that_is_not_there_is_refused(store: ExperimentStore) -> None:
    with pytest.raises(UnknownTrialError, match="nowhere"):
        store.plan(trial(parent="nowhere"))

    assert store.trials() == []


def test_a_trial_is_found_by_the_beginning_of_its_id_when_only_one_fits(
    store: ExperimentStore,
) -> None:
    one, other = store.plan(trial(1)), store.plan(trial(2))

    assert store.find(one.id[:8]) == one
    with pytest.raises(UnknownTrialError, match=other.id):
        store.find("")
    with pytest.raises(UnknownTrialError, match="experiments list"):
        store.find("%")


def test_trials_are_told_apart_by_study_kind_and_status(store: ExperimentStore) -> None:
    quick = done(store, trial(1), 0.9)
    full = store.plan(trial(1, kind="full"))
    other = store.plan(trial(1, study="wine"))

    assert store.trials() == [quick, full, other]
    assert store.trials("digits", kinds=["full"]) == [full]
    assert store.trials(statuses=["planned"]) == [full, other]


def test_what_a_study_has_used_counts_failures_and_not_what_was_only_planned(
    store: ExperimentStore,
) -> None:
    done(store, trial(1), 0.9, cost_s=1.0, tokens=10)
    failed = store.plan(trial(2))
    store.finish(failed.id, status="failed", error="boom", cost_s=0.5)
    store.plan(trial(3))
    done(store, trial(1, study="wine"), 0.9, cost_s=100.0)

    assert store.used("digits")[:3] == (2, 1.5, 10)
    assert store.used("nothing") == (0, 0.0, 0, 0.0)


def test_a_baseline_counts_once_and_what_is_made_of_trials_is_none() -> None:
    kinds = [("quick", 0), ("full", 1), ("baseline", 0), ("baseline", 1), ("ensemble", 0)]
    begun = [trial(seed=seed, kind=kind) for kind, seed in [*kinds, ("test", 0)]]

    used = used_by([each.model_copy(update={"status": "running"}) for each in begun])

    assert used.trials == 3


@pytest.mark.parametrize(
    ("times", "worked_s"),
    [
        ([], 0.0),
        ([(0, 4)], 4.0),
        ([(0, 4), (1, 2), (2, 6)], 6.0),
        ([(100, 101), (0, 4)], 5.0),
        ([(0, None), (None, 5)], 0.0),
    ],
)
def test_time_at_work_counts_what_is_shared_once_and_pauses_never(
    times: list[tuple[float | None, float | None]], worked_s: float
) -> None:
    trials = [
        trial(width).model_copy(update={"status": "done", "started_at": a, "ended_at": b})
        for width, (a, b) in enumerate(times, 1)
    ]

    assert used_by(trials).worked_s == worked_s


def test_a_study_goes_on_under_its_name_and_its_end_counts_once(store: ExperimentStore) -> None:
    asked = Study(name="digits", dataset="digits", budget=Budget(seconds=60))
    begun = store.begin(asked)

    assert store.begin(asked.model_copy(update={"created_at": 0.0})) == begun
    ended = store.end("digits")
    assert ended.ended_at is not None
    assert store.end("digits") == ended
    assert store.studies() == [ended]


def test_a_study_of_that_name_with_another_question_is_refused_and_named(
    store: ExperimentStore,
) -> None:
    store.begin(Study(name="digits", dataset="digits"))

    with pytest.raises(StudyConflictError, match=r"dataset, metric differ"):
        store.begin(Study(name="digits", dataset="wine", metric="f1"))


def test_a_trial_begins_the_study_that_it_names(store: ExperimentStore) -> None:
    store.plan(trial(study="tools"))

    assert store.study("tools").name == "tools"
    with pytest.raises(UnknownStudyError, match="there are tools"):
        store.study("tool")


def test_a_forgotten_study_takes_its_trials_along_and_no_others(store: ExperimentStore) -> None:
    root = done(store, trial(1), 0.9, history=[{"epoch": 1}])
    store.plan(trial(2, parent=root.id))
    other = store.plan(trial(1, study="wine"))

    assert store.forget("digits") == 2
    assert store.trials() == [other]
    assert store.history(root.id) == []


def test_the_folders_of_pruned_trials_are_not_named_any_more(store: ExperimentStore) -> None:
    one = done(store, trial(1), 0.9, artifacts="runs/1")
    other = done(store, trial(2), 0.9, artifacts="runs/2")

    store.drop_artifacts([one.id])

    assert [each.artifacts for each in store.trials()] == ["", "runs/2"]
    assert store.get(other.id) == other


def test_a_diff_shows_what_changed_in_config_and_code_and_nothing_for_the_same(
    store: ExperimentStore,
) -> None:
    one = store.plan(trial(16))
    other = store.plan(trial(32, code="class Net(nn.Module):\n    width = 32\n"))

    shown = store.diff(one.id, other.id)

    assert "-width: 16\n+width: 32\n" in shown
    assert "-    width = 16\n+    width = 32\n" in shown
    assert f"--- {one.id}/config.yaml" in shown
    assert store.diff(one.id, one.id) == ""
