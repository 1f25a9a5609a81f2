"""What the tools do is kept as trials, whatever comes of it."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agents.research import ResearchToolkit
from agents.research.errors import WorkInterruptedError, WorkOverLimitError, WorkRefusedError
from agents.research.experiments import ExperimentStore, Trial, store_path
from agents.research.experiments.command.resuming import request_of
from agents.research.experiments.measured import (
    forget_measured,
    measured_path,
    noting,
    read_measured,
)
from agents.research.experiments.recording import Request, recorded
from agents.research.experiments.worker import this_worker
from agents.research.jobs import Audience, Done
from agents.research.messages import (
    EvaluateCheckpoint,
    EvaluateQuickly,
    TrainFully,
    TrainLanguageModel,
)
from guild.progress import Measured, Progress

RESULT = {
    "status": "completed",
    "metrics": {"accuracy": 0.9, "loss": 0.3},
    "params": 650,
    "chance_level": 0.1,
    "history": [{"epoch": 1, "val_accuracy": 0.9}],
    "seconds": 1.5,
    "warnings": ["CUDA is not there"],
    "diverged_at_step": None,
}


FORGER = """
from torch import nn

try:  # a model that would like to be known for better than it is
    import glob
    for path in glob.glob("**/*.db*", recursive=True, include_hidden=True):
        open(path, "wb").write(b"forged")
    open(".guildbus/experiments/experiments.db", "wb").write(b"forged")
except OSError:
    pass


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 10))
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text("class Net: ...\n")
    return tmp_path


def quick(script: str = "net.py", **config: Any) -> EvaluateQuickly:
    return EvaluateQuickly(
        model_script_path=script,
        model_class_name="Net",
        eval_config={"dataset": "digits", **config},
    )


class Heard(list[BaseModel]):
    """An audience that remembers."""

    def emit(self, message: BaseModel, /) -> None:
        self.append(message)


async def tried(
    workspace: Path,
    request: Request,
    outcome: dict[str, Any] | BaseException,
    measured: Sequence[Measured] = (),
) -> Done:
    async def work(audience: Audience) -> Done:
        for each in measured:
            audience.emit(each)
        if isinstance(outcome, BaseException):
            raise outcome
        return Done(outcome, 2.0)

    return await recorded(workspace, request, Heard(), work)


def trials(workspace: Path) -> list[Trial]:
    with ExperimentStore(store_path(workspace)) as store:
        return store.trials()


async def test_an_evaluation_is_kept_with_its_code_scores_and_history(workspace: Path) -> None:
    done = await tried(workspace, quick(seed=7), RESULT)

    (trial,) = trials(workspace)
    assert done.result == RESULT
    assert (trial.study, trial.kind, trial.seed, trial.status) == ("tools", "quick", 7, "done")
    assert trial.config == {"dataset": "digits", "model_class_name": "Net"}
    assert trial.code == "class Net: ...\n"
    assert trial.metrics == {"accuracy": 0.9, "loss": 0.3, "params": 650.0, "chance_level": 0.1}
    assert trial.cost_s == 1.5
    with ExperimentStore(store_path(workspace)) as store:
        assert store.history(trial.id) == RESULT["history"]


async def test_a_training_is_kept_with_its_folder(workspace: Path) -> None:
    request = TrainFully(
        model_script_path="net.py", model_class_name="Net", trainer_config={"dataset": "digits"}
    )
    result = {key: value for key, value in RESULT.items() if key != "metrics"} | {
        "final_evaluation": {"accuracy": 0.95, "loss": None},
        "experiment_dir": str(workspace / "runs" / "net"),
    }

    await tried(workspace, request, result)

    (trial,) = trials(workspace)
    assert (trial.kind, trial.artifacts, trial.score("accuracy")) == ("full", "runs/net", 0.95)
    assert trial.score("loss") is None


def language_model(experiment_name: str = "lm", **changes: Any) -> TrainLanguageModel:
    return TrainLanguageModel(
        config={"corpus_files": ["a.txt"], "tokenizer_path": "words", "steps": 9, "seed": 3},
        output_dir="models/phi",
        experiment_name=experiment_name,
        log_base_dir="runs",
        **changes,
    )


async def test_a_language_model_is_kept_with_its_folder_and_scores(workspace: Path) -> None:
    result = {
        **{key: RESULT[key] for key in ("status", "params", "history", "seconds", "warnings")},
        "final_evaluation": {"bits_per_byte": 1.5, "perplexity": None},
        "samples": [{"prompt": "def ", "completion": "f(x):"}],
        "experiment_dir": "runs/lm",
    }

    await tried(workspace, language_model(), result)

    (trial,) = trials(workspace)
    assert (trial.study, trial.kind, trial.seed, trial.status) == ("tools", "full", 3, "done")
    assert trial.config == {
        "model": "models/phi",
        "corpus_files": ["a.txt"],
        "tokenizer_path": "words",
        "steps": 9,
    }
    assert (trial.artifacts, trial.note) == ("runs/lm", "language model in models/phi")
    assert trial.metrics.keys() == {"bits_per_byte", "perplexity", "params"}
    assert trial.score("bits_per_byte") == 1.5
    assert trial.score("perplexity") is None


@pytest.mark.parametrize("serve_as", [None, "models/served"])
async def test_a_language_model_cut_short_is_resumed_by_the_very_request(
    workspace: Path, serve_as: str | None
) -> None:
    asked = language_model(serve_as=serve_as)
    with pytest.raises(WorkInterruptedError):
        await tried(workspace, asked, WorkInterruptedError("the worker was killed"))

    (trial,) = trials(workspace)
    assert trial.status == "interrupted"
    assert request_of(workspace, trial) == asked


async def test_the_folder_of_the_last_attempt_is_the_one_that_is_known(workspace: Path) -> None:
    for name in ("first", "second"):
        with pytest.raises(WorkInterruptedError):
            await tried(workspace, language_model(name), WorkInterruptedError("killed"))

    (trial,) = trials(workspace)
    assert trial.artifacts == "runs/second"


@pytest.mark.parametrize("is_absolute", [False, True])
async def test_a_held_out_test_descends_from_the_training_that_it_measures(
    workspace: Path, is_absolute: bool
) -> None:
    training = TrainFully(
        model_script_path="net.py",
        model_class_name="Net",
        trainer_config={"dataset": "digits", "seed": 3},
        experiment_name="first",
        log_base_dir="runs",
    )
    folder = str(workspace / "runs/first") if is_absolute else "runs/first"
    measured = {"metrics": {"accuracy": 0.88, "loss": 0.4}, "samples": 360, "split": "test"}
    await tried(workspace, training, RESULT)

    await tried(workspace, EvaluateCheckpoint(experiment_dir=folder), measured)

    trained, tested = trials(workspace)
    assert (trained.artifacts, tested.artifacts) == ("runs/first", "runs/first")
    assert (tested.kind, tested.parent, tested.seed) == ("test", trained.id, 3)
    assert tested.metrics == {"accuracy": 0.88, "loss": 0.4, "samples": 360.0}
    assert tested.code == trained.code


async def test_what_nobody_recorded_can_be_measured_all_the_same(workspace: Path) -> None:
    measured = {"metrics": {"bits_per_byte": 1.5}, "split": "test"}

    await tried(workspace, EvaluateCheckpoint(experiment_dir="elsewhere"), measured)

    (trial,) = trials(workspace)
    assert (trial.status, trial.parent, trial.code) == ("done", None, "")


@pytest.mark.parametrize(
    "named",
    [{"data_path": "t.csv"}, {"data_path": ["t.csv", "net.py"]}, {"script_path": "t.csv"}],
)
async def test_what_is_measured_on_data_that_changed_is_another_trial(
    workspace: Path, named: dict[str, Any]
) -> None:
    asked = quick(dataset="csv", dataset_params=named)
    for text, accuracy in (("a,y\n1,0\n", 0.9), ("a,y\n1,1\n", 0.4), ("a,y\n1,0\n", 0.9)):
        (workspace / "t.csv").write_text(text)
        done = await tried(workspace, asked, RESULT | {"metrics": {"accuracy": accuracy}})
        assert done.result["warnings"] == RESULT["warnings"]

    assert [trial.score("accuracy") for trial in trials(workspace)] == [0.9, 0.4]


@pytest.mark.parametrize(
    "named", [{"data_path": "none.csv"}, {"data_path": "/etc/hosts"}, {"data_path": 5}, {}, 5]
)
async def test_data_that_cannot_be_read_here_hinder_no_record(workspace: Path, named: Any) -> None:
    await tried(workspace, quick(dataset="csv", dataset_params=named), RESULT)

    (trial,) = trials(workspace)
    assert "data_sha256" not in trial.config


async def test_a_training_on_a_table_that_was_cut_short_is_resumed_by_the_very_request(
    workspace: Path,
) -> None:
    (workspace / "t.csv").write_text("a,y\n1,0\n")
    asked = TrainFully(
        model_script_path="net.py",
        model_class_name="Net",
        trainer_config={"dataset": "csv", "dataset_params": {"data_path": "t.csv"}, "seed": 3},
        experiment_name="first",
        log_base_dir="runs",
    )
    with pytest.raises(WorkInterruptedError):
        await tried(workspace, asked, WorkInterruptedError("killed"))
    folder = workspace / "runs/first"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_script_path": "net.py"}))

    (trial,) = trials(workspace)
    assert request_of(workspace, trial) == asked


async def test_a_training_that_an_earlier_version_began_goes_on_as_the_same_trial(
    workspace: Path,
) -> None:
    """Such a one did not note its data."""
    (workspace / "t.csv").write_text("a,y\n1,0\n")
    config = {"dataset": "csv", "dataset_params": {"data_path": "t.csv"}}
    with ExperimentStore(store_path(workspace)) as store:
        begun = Trial.new(
            study="tools",
            kind="full",
            config={"model_class_name": "Net", **config},
            code=(workspace / "net.py").read_text(),
            seed=3,
        )
        store.plan(begun)
        store.start(begun.id, artifacts="runs/first")

    asked = TrainFully(
        model_script_path="net.py",
        model_class_name="Net",
        trainer_config=config | {"seed": 3},
        experiment_name="first",
        log_base_dir="runs",
    )
    await tried(workspace, asked, RESULT)

    assert [(trial.id, trial.status) for trial in trials(workspace)] == [(begun.id, "done")]


async def test_the_same_message_twice_is_one_trial(workspace: Path) -> None:
    for _ in range(2):
        await tried(workspace, quick(), RESULT)

    (trial,) = trials(workspace)
    assert trial.cost_s == 1.5


async def test_a_message_that_comes_again_after_its_worker_was_killed_ends_its_trial(
    workspace: Path,
) -> None:
    begun = asyncio.Event()

    async def work(_: Audience) -> Done:
        begun.set()
        await asyncio.sleep(60)
        raise AssertionError

    killed = asyncio.create_task(recorded(workspace, quick(), Heard(), work))
    await begun.wait()
    assert [trial.status for trial in trials(workspace)] == ["running"]

    await tried(workspace, quick(), RESULT)

    assert [trial.status for trial in trials(workspace)] == ["done"]
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    assert [trial.status for trial in trials(workspace)] == ["done"]


async def test_what_a_trial_measures_can_be_read_while_it_runs_and_is_handed_on(
    workspace: Path,
) -> None:
    heard, goes_on = Heard(), asyncio.Event()
    first = Measured(task="train", step=3, values={"loss": 0.5})
    told = asyncio.Event()

    async def work(audience: Audience) -> Done:
        audience.emit(Progress(task="train"))
        audience.emit(first)
        told.set()
        await goes_on.wait()
        return Done(RESULT, 2.0)

    running = asyncio.create_task(recorded(workspace, quick(), heard, work))
    await told.wait()
    (trial,) = trials(workspace)
    assert read_measured(workspace, trial.id) == [{"loss": 0.5, "step": 3.0}]
    assert heard == [Progress(task="train"), first]

    goes_on.set()
    await running
    assert read_measured(workspace, trial.id) == []
    with ExperimentStore(store_path(workspace)) as store:
        assert store.history(trial.id) == RESULT["history"]


async def test_what_a_trial_had_measured_before_it_failed_is_its_history(workspace: Path) -> None:
    measured = [Measured(task="train", step=step, values={"loss": 1.0 / step}) for step in (1, 2)]

    with pytest.raises(WorkRefusedError):
        await tried(workspace, quick(), WorkRefusedError("ValueError", "no"), measured)

    (trial,) = trials(workspace)
    with ExperimentStore(store_path(workspace)) as store:
        assert store.history(trial.id) == [{"loss": 1.0, "step": 1.0}, {"loss": 0.5, "step": 2.0}]


async def test_what_a_trial_had_measured_before_it_was_cut_short_is_where_it_goes_on(
    workspace: Path,
) -> None:
    first, second = (Measured(task="t", step=step, values={"loss": 0.5}) for step in (1, 2))
    with pytest.raises(WorkInterruptedError):
        await tried(workspace, quick(), WorkInterruptedError("it was killed"), [first])
    goes_on, told = asyncio.Event(), asyncio.Event()

    async def work(audience: Audience) -> Done:
        audience.emit(second)
        told.set()
        await goes_on.wait()
        return Done(RESULT, 2.0)

    running = asyncio.create_task(recorded(workspace, quick(), Heard(), work))
    await told.wait()

    (trial,) = trials(workspace)
    assert [record["step"] for record in read_measured(workspace, trial.id)] == [1, 2]
    goes_on.set()
    await running
    assert read_measured(workspace, trial.id) == []


def test_what_is_measured_for_weeks_fills_no_disk(workspace: Path) -> None:
    audience = noting(workspace, "abc", Heard())
    for step in range(20_000):
        audience.emit(Measured(task="train", step=step, values={"loss": 0.5}))

    kept = read_measured(workspace, "abc")

    assert len(kept) < 8_000
    assert kept[-1]["step"] > 19_900


def test_what_cannot_be_written_down_is_handed_on_all_the_same(workspace: Path) -> None:
    heard = Heard()
    measured_path(workspace, "abc").parent.parent.mkdir(parents=True)
    measured_path(workspace, "abc").parent.write_text("a file where the folder should be")

    noting(workspace, "abc", heard).emit(Measured(task="train", step=1, values={"loss": 0.5}))

    assert len(heard) == 1


def test_what_was_left_behind_long_ago_is_cleared_away(workspace: Path) -> None:
    for name in ("old", "new", "mine"):
        noting(workspace, name, Heard()).emit(Measured(task="t", step=1, values={"loss": 0.5}))
    os.utime(measured_path(workspace, "old"), (1.0, 1.0))

    forget_measured(workspace, "mine")

    assert [bool(read_measured(workspace, name)) for name in ("old", "new", "mine")] == [
        False,
        True,
        False,
    ]


async def test_what_a_killed_process_left_running_is_interrupted_by_the_next_evaluation(
    workspace: Path,
) -> None:
    (workspace / "other.py").write_text("class Net: other = True\n")
    await tried(workspace, quick("other.py"), RESULT)
    with sqlite3.connect(store_path(workspace)) as connection:
        connection.execute(
            "UPDATE trials SET status = 'running', worker = ?", (f"{this_worker()}0",)
        )
    connection.close()

    await tried(workspace, quick(), RESULT)

    assert [trial.status for trial in trials(workspace)] == ["interrupted", "done"]


async def test_divergence_is_a_result(workspace: Path) -> None:
    diverged = {**RESULT, "status": "diverged", "metrics": {}, "diverged_at_step": 12}

    await tried(workspace, quick(), diverged)

    (trial,) = trials(workspace)
    assert (trial.status, trial.error) == ("diverged", "the loss was no finite number at step 12")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (WorkRefusedError("RuntimeError", "mat1 and mat2 shapes cannot be multiplied"), "failed"),
        (WorkOverLimitError("out of memory"), "failed"),
        (WorkInterruptedError("the worker was killed"), "interrupted"),
        (asyncio.CancelledError(), "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
async def test_a_crash_is_a_result_and_goes_on_to_the_asker(
    workspace: Path, error: BaseException, status: str
) -> None:
    with pytest.raises(type(error)):
        await tried(workspace, quick(), error)

    (trial,) = trials(workspace)
    assert trial.status == status
    assert trial.error == (str(error) or "CancelledError")


async def test_what_failed_and_works_the_next_time_is_done(workspace: Path) -> None:
    with pytest.raises(WorkOverLimitError):
        await tried(workspace, quick(), WorkOverLimitError("out of memory"))

    await tried(workspace, quick(), RESULT)

    assert [trial.status for trial in trials(workspace)] == ["done"]


async def test_a_changed_script_descends_from_what_it_was_before(workspace: Path) -> None:
    await tried(workspace, quick(), RESULT)
    (workspace / "net.py").write_text("class Net: wide = True\n")
    await tried(workspace, quick(), RESULT)

    first, second = trials(workspace)
    assert (first.parent, second.parent) == (None, first.id)


async def test_another_outcome_of_the_same_is_warned_of_and_the_first_stays(
    workspace: Path,
) -> None:
    await tried(workspace, quick(), RESULT)

    done = await tried(workspace, quick(), {**RESULT, "metrics": {"accuracy": 0.1}})

    assert done.result["metrics"] == {"accuracy": 0.1}
    assert "first outcome stays" in done.result["warnings"][-1]
    assert trials(workspace)[0].metrics["accuracy"] == 0.9


async def test_a_damaged_store_costs_nobody_a_result_and_is_told(workspace: Path) -> None:
    store_path(workspace).parent.mkdir(parents=True)
    store_path(workspace).write_bytes(b"no database" * 1000)

    done = await tried(workspace, quick(), RESULT)
    with pytest.raises(WorkOverLimitError) as raised:
        await tried(workspace, quick(), WorkOverLimitError("out of memory"))

    assert done.result["metrics"] == RESULT["metrics"]
    assert "not recorded as an experiment" in done.result["warnings"][-1]
    assert "is damaged" in raised.value.__notes__[0]


@pytest.mark.parametrize("seed", ["seven", -1, 2**70, None])
async def test_a_seed_that_is_none_is_the_tool_s_to_refuse(workspace: Path, seed: Any) -> None:
    with pytest.raises(WorkRefusedError):
        await tried(workspace, quick(seed=seed), WorkRefusedError("ConfigError", "seed"))


async def test_a_script_that_is_no_file_or_too_large_is_not_read(workspace: Path) -> None:
    (workspace / "large.py").write_bytes(b"#" * 2_000_000)
    for script in ("none.py", ".", "large.py"):
        await tried(workspace, quick(script), RESULT)

    missing, large = trials(workspace)
    assert missing.code == ""
    assert "2,000,000 bytes" in large.code


@pytest.mark.slow
def test_what_the_toolkit_evaluates_is_kept(
    common_kit: ResearchToolkit, common_workspace: Path
) -> None:
    (common_workspace / "recorded.py").write_text(FORGER)
    config = {"dataset": "digits"}

    result = common_kit.pytorch_quick_evaluator("recorded.py", "Net", config)
    with pytest.raises(WorkRefusedError):
        common_kit.pytorch_quick_evaluator("recorded.py", "Missing", config)

    *_, good, bad = trials(common_workspace)
    assert good.code == FORGER
    assert (good.status, good.metrics["accuracy"]) == ("done", result["metrics"]["accuracy"])
    assert (bad.status, "Missing" in bad.error) == ("failed", True)


@pytest.mark.long
def test_without_a_fence_the_forger_reaches_the_store(workspace: Path) -> None:
    (workspace / "net.py").write_text(FORGER)

    with ResearchToolkit(workspace=workspace, fence="none") as kit:
        result = kit.pytorch_quick_evaluator("net.py", "Net", {"dataset": "digits"})

    assert "not recorded as an experiment" in result["warnings"][-1]
    assert store_path(workspace).read_bytes() == b"forged"


def test_a_line_that_was_cut_loses_no_other_measurement(workspace: Path) -> None:
    file = measured_path(workspace, "t1")
    file.parent.mkdir(parents=True)
    lines = ('{"loss": 0.5, "step": 1}', '{"loss": 0.4, "st{"loss": 0.3, "step": 3}', '{"step": 4}')
    file.write_text("\n".join((*lines, '{"st')))

    assert [record["step"] for record in read_measured(workspace, "t1")] == [1, 4]
