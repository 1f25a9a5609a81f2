"""What a job's process says of its progress may be anything, and is shown where it makes sense."""

from pathlib import Path
from typing import Any

import pytest

from agents.research import ResearchToolkit
from agents.research.job_progress import measured_of, progress_of
from guild.progress import Measured, Progress
from tests.research.forgers import BASE

HUGE = 10**400
ODD: list[Any] = [None, True, -1, HUGE, float("nan"), float("inf"), "7", "\ud800", [], {}, [[]]]


def test_steps_of_a_training_are_shown_with_their_figures() -> None:
    event = {"step": 5, "steps_total": 20, "loss": 0.25, "metrics": {"val_accuracy": 0.9, "x": 1}}

    shown = progress_of("train", event)

    assert shown == Progress(task="train", done=5, total=20, text="loss 0.250, val_accuracy 0.900")


def test_figures_of_a_training_are_points_of_curves() -> None:
    event = {"kind": "epoch", "step": 5, "steps_total": 20, "loss": 0.25, "lr": 0.1}
    metrics = {"epoch": 1, "step": 5, "val_accuracy": 0.9, "note": "x", "val_loss": float("nan")}

    measured = measured_of("train", event | {"metrics": metrics})

    values = {"loss": 0.25, "lr": 0.1, "val_accuracy": 0.9}
    assert measured == Measured(task="train", step=5, values=values)
    mean = measured_of("train", event | {"metrics": {"train_loss": 0.25}})
    assert mean is not None
    assert mean.values == {"lr": 0.1, "train_loss": 0.25}  # of an epoch, not of its last step
    assert measured_of("read", {"done_bytes": 3, "size_bytes": 9}) is None
    assert measured_of("train", {"step": 5, "steps_total": 20, "loss": None}) is None


def test_no_training_makes_curves_without_end() -> None:
    metrics = {"x" * 1_000 + str(number): 1.0 for number in range(1_000)}
    metrics |= {str(number): 1.0 for number in range(1_000)}

    measured = measured_of("train", {"step": 5, "steps_total": 20, "metrics": metrics})

    assert measured is not None
    assert len(measured.values) <= 32
    assert max(map(len, measured.values)) == 100


def test_other_jobs_say_amounts_and_words() -> None:
    counted = progress_of("read", {"stage": "reading", "done_bytes": 3, "size_bytes": 9})
    told = progress_of("assemble", {"step": "checking"})

    assert counted == Progress(task="read", done=3, total=9, text="reading")
    assert told == Progress(task="assemble", text="checking")


@pytest.mark.parametrize("odd", ODD, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize(
    "key",
    ["step", "steps_total", "loss", "metrics", "done", "total", "text", "stage", "size_bytes"],
)
def test_an_event_that_makes_no_sense_harms_nobody(key: str, odd: Any) -> None:
    for event in ({key: odd}, {"steps_total": 9, key: odd}, {"metrics": {"val_loss": odd}}):
        shown = progress_of("watch", event)

        assert Progress.model_validate_json(shown.model_dump_json()) == shown
        measured = measured_of("watch", {"step": 1, **event})
        assert measured is None or measured == Measured.model_validate_json(
            measured.model_dump_json()
        )


FORGED_EVENTS = f"""{BASE}
def send(event):
    os.write(3, json.dumps({{"event": event}}).encode() + bytes([10]))

for event in ({{"steps_total": 5}}, {{"step": [], "steps_total": "x", "loss": {{}}}},
              {{"steps_total": 9, "metrics": 7}}, {{"text": "\\ud800", "done": 10**400}}):
    send(event)
"""


@pytest.mark.slow
def test_a_model_that_sends_odd_events_is_evaluated_all_the_same(
    common_kit: ResearchToolkit, common_workspace: Path, common_progress: list[Progress]
) -> None:
    (common_workspace / "odd_events.py").write_text(FORGED_EVENTS)
    common_progress.clear()

    result = common_kit.pytorch_quick_evaluator("odd_events.py", "Model", {"dataset": "digits"})

    assert result["status"] == "completed"
    assert common_progress[-1].is_over
