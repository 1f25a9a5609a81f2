"""What is scored can neither write a score nor see what it is scored on."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.ml.data.bundled import folder_of_bundled_data
from agents.ml.training.full import pytorch_full_trainer
from agents.ml.training.quick import pytorch_quick_evaluator
from agents.research import ResearchToolkit, tools
from agents.research.errors import WorkRefusedError
from agents.research.messages import EvaluateCheckpoint
from agents.research.scoring import run_scored
from tests.research.forgers import BASE, FORGERS, LISTENER, PATCHERS, PEEPER

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = {
    "dataset": "digits",
    "batch_size": 32,
    "learning_rate": 1e-9,
    "device": "cpu",
}
FULL: dict[str, Any] = {
    "dataset": "digits",
    "epochs": 3,
    "optimizer": {"type": "SGD", "params": {"lr": 1e-9}},
    "early_stopping": {"metric": "accuracy", "patience": 5},
    "device": "cpu",
}
FORGED = 0.98765


class Nobody:
    def emit(self, message: object, /) -> None:
        pass


@pytest.fixture(scope="module")
def workspace(common_workspace: Path) -> Path:
    return common_workspace


@pytest.fixture(scope="module")
def kit(common_kit: ResearchToolkit) -> ResearchToolkit:
    return common_kit


def script(workspace: Path, source: str) -> str:
    (workspace / "scored.py").write_text(source)
    return "scored.py"


@pytest.mark.parametrize("forger", FORGERS)
def test_a_forged_result_is_refused(kit: ResearchToolkit, workspace: Path, forger: str) -> None:
    path = script(workspace, FORGERS[forger])

    with pytest.raises(WorkRefusedError) as quick:
        kit.pytorch_quick_evaluator(path, "Model", QUICK)
    with pytest.raises(WorkRefusedError) as full:
        kit.pytorch_full_trainer(path, "Model", FULL, f"forged-{len(forger)}")

    assert {quick.value.kind, full.value.kind} <= {"ScoringError", "CheckpointError"}
    assert quick.value.where == "Model"


@pytest.mark.parametrize("patcher", PATCHERS)
def test_a_model_that_changes_its_own_process_changes_no_score(
    kit: ResearchToolkit, workspace: Path, patcher: str
) -> None:
    path = script(workspace, PATCHERS[patcher])

    quick = kit.pytorch_quick_evaluator(path, "Model", QUICK)
    full = kit.pytorch_full_trainer(path, "Model", FULL, f"patched {patcher}".replace(" ", "-"))

    assert quick["metrics"]["accuracy"] < 0.5
    assert full["final_evaluation"]["accuracy"] < 0.5
    assert all(record["val_accuracy"] < 0.5 for record in full["history"])
    lines = Path(workspace, full["experiment_dir"], "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == full["history"]
    assert "train_loss" in full["self_reported"]
    assert "metrics" not in quick["self_reported"]


def test_without_a_judge_every_one_of_them_would_be_believed(
    kit: ResearchToolkit, workspace: Path
) -> None:
    """The control: these attacks do work on a job that scores itself."""
    runner = kit._jobs._runners.usual
    payload = {"model_class_name": "Model", "eval_config": QUICK}
    names = ("an envelope at import", "an envelope while it trains", "metrics", "the loop")
    for name in names:
        payload["model_script_path"] = script(workspace, {**FORGERS, **PATCHERS}[name])
        result = kit._loop.run(runner.run("agents.ml.training.jobs:quick_evaluate", payload))
        assert result["metrics"]["accuracy"] == FORGED, name


def test_the_labels_are_nowhere_in_reach(kit: ResearchToolkit, workspace: Path) -> None:
    path = script(workspace, PEEPER)

    apart = kit.pytorch_quick_evaluator(path, "Model", QUICK)
    beside = pytorch_quick_evaluator(str(workspace / path), "Model", QUICK)

    assert apart["metrics"]["accuracy"] < 0.5
    assert beside["metrics"]["accuracy"] == 1.0  # the control: there are labels to be found here


def test_a_model_hears_of_its_scores_no_more_than_decides_how_it_goes_on(
    kit: ResearchToolkit, workspace: Path
) -> None:
    """Every digit told of a loss tells of labels: some fifty bits in a float, if asked cleverly."""
    path = script(workspace, LISTENER)
    heard = workspace / "heard"
    decided = {**FULL, "early_stopping": {"metric": "loss"}, "metrics": ["accuracy", "f1"]}
    alone = {**decided, "early_stopping": None, "save_best_model": False}

    kit.pytorch_quick_evaluator(path, "Model", {**QUICK, "epochs": 2})
    kit.pytorch_full_trainer(path, "Model", alone, "heard-nothing")
    nothing = [json.loads(line) for line in heard.read_text().splitlines()]
    heard.unlink()
    result = kit.pytorch_full_trainer(path, "Model", decided, "heard-the-loss")
    told = [json.loads(line) for line in heard.read_text().splitlines()]

    assert nothing == [{}] * 5
    assert told == [{"loss": float(f"{r['val_loss']:.3g}")} for r in result["history"]]
    assert told[0]["loss"] != result["history"][0]["val_loss"]
    assert {"val_f1", "val_accuracy"} <= result["history"][0].keys()


def test_the_file_that_the_labels_come_from_is_out_of_sight(
    kit: ResearchToolkit, workspace: Path
) -> None:
    if kit._jobs._runners.usual.fence.is_none:
        pytest.skip("nothing can be hidden without a fence")
    data = folder_of_bundled_data() / "digits.csv.gz"
    looking = f"""{BASE}
try:
    seen = len(open({str(data)!r}, "rb").read())
except OSError:
    seen = 0
open("seen", "w").write(str(seen))
"""

    kit.pytorch_quick_evaluator(script(workspace, looking), "Model", QUICK)

    assert (workspace / "seen").read_text() == "0"
    assert data.stat().st_size > 0


def test_a_finished_experiment_is_remembered_and_not_read_from_its_folder(
    kit: ResearchToolkit, workspace: Path
) -> None:
    path = script(workspace, BASE)
    result = kit.pytorch_full_trainer(path, "Model", FULL, "remembered")
    stored = workspace / result["experiment_dir"] / "result.json"
    forged = json.loads(stored.read_text())
    assert forged == result
    forged["final_evaluation"]["accuracy"] = FORGED
    stored.write_text(json.dumps(forged))

    assert kit.pytorch_full_trainer(path, "Model", FULL, "remembered") == result


@pytest.mark.parametrize("disguise", ["a link", "a folder that was never trained"])
def test_the_held_out_test_is_the_one_of_what_was_trained(
    kit: ResearchToolkit, workspace: Path, disguise: str
) -> None:
    """A model's job may leave another experiment where its own was, with a test it passes."""
    name = f"disguised-{len(disguise)}"
    result = kit.pytorch_full_trainer(script(workspace, BASE), "Model", FULL, name)
    honest = workspace / result["experiment_dir"]
    (workspace / "easy.csv").write_text("x,label\n" + "0,0\n1,1\n" * 100)
    identity = json.loads((honest / "config.json").read_text())
    identity["trainer_config"].update(
        dataset="csv", dataset_params={"data_path": "easy.csv", "label_column": "label"}
    )
    elsewhere = honest.with_name(f"{name}-easy")
    honest.rename(elsewhere)
    (elsewhere / "config.json").write_text(json.dumps(identity))
    if disguise == "a link":
        honest.symlink_to(elsewhere)
    asked = honest if disguise == "a link" else elsewhere
    request = EvaluateCheckpoint(experiment_dir=str(asked.relative_to(workspace)))

    with pytest.raises(WorkRefusedError, match=r"behind a link|was not trained here") as refused:
        kit._loop.run(tools.measure(kit._jobs, request, Nobody()))

    assert refused.value.kind == "CheckpointError"


@pytest.mark.timeout(60)
def test_what_is_tested_is_known_without_a_look_at_what_the_model_wrote(
    kit: ResearchToolkit, workspace: Path
) -> None:
    """A FIFO would keep a job that scores waiting; a checkpoint is for the model's job to read."""
    result = kit.pytorch_full_trainer(script(workspace, BASE), "Model", FULL, "bare")
    folder = workspace / result["experiment_dir"]
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    for step in (folder / "checkpoints").glob("step_*.pt"):
        step.unlink()
    os.mkfifo(folder / "checkpoints" / "step_999999999.pt")
    best = EvaluateCheckpoint(experiment_dir=result["experiment_dir"], split="val")
    last = best.model_copy(update={"checkpoint": "last"})

    measured = kit._loop.run(tools.measure(kit._jobs, best, Nobody())).result
    with pytest.raises(WorkRefusedError, match="no regular file"):
        kit._loop.run(tools.measure(kit._jobs, last, Nobody()))

    assert measured["metrics"] == result["final_evaluation"]
    assert measured["checkpoint_path"] == result["best_checkpoint_path"]


def test_the_same_training_asked_for_by_several_at_once_is_done_once(
    kit: ResearchToolkit, workspace: Path
) -> None:
    path = script(workspace, BASE)
    config = {**FULL, "epochs": 12, "early_stopping": None}

    with ThreadPoolExecutor(3) as pool:
        asked = [
            pool.submit(kit.pytorch_full_trainer, path, "Model", config, "shared") for _ in "abc"
        ]
        results = [each.result() for each in asked]

    assert results[0] == results[1] == results[2]
    assert results[0]["epochs_run"] == 12


def test_scored_apart_or_in_one_process_the_numbers_are_the_same(
    kit: ResearchToolkit, workspace: Path, tmp_path: Path
) -> None:
    path = script(workspace, BASE)
    config = {**FULL, "optimizer": {"type": "AdamW", "params": {"lr": 0.01}}}
    torch.set_num_threads(1)

    apart = kit.pytorch_full_trainer(path, "Model", config, "apart")
    beside = pytorch_full_trainer(str(workspace / path), "Model", config, "beside", str(tmp_path))

    timings = {"seconds", "samples_per_s"}
    places = {"experiment_name", "experiment_dir", "best_checkpoint_path", "history"}
    assert apart.keys() - beside.keys() == {"self_reported"}
    for key in beside.keys() - timings - places:
        assert apart[key] == beside[key], key
    for ours, theirs in zip(apart["history"], beside["history"], strict=True):
        assert {k: ours[k] for k in ours.keys() - timings} == {
            k: theirs[k] for k in theirs.keys() - timings
        }
    assert (workspace / apart["best_checkpoint_path"]).is_file()


def test_a_training_whose_model_dies_goes_on_with_the_scores_it_had(
    kit: ResearchToolkit, workspace: Path
) -> None:
    dying = BASE.replace(
        "return self.body",
        """if os.path.exists("deadly") and not self.training:
            self.seen = getattr(self, "seen", 0) + 1
            if self.seen == 3:
                os.remove("deadly")
                os.kill(os.getpid(), 9)
        return self.body""",
    )
    path = script(workspace, dying)
    expected = kit.pytorch_full_trainer(path, "Model", FULL, "whole")
    (workspace / "deadly").touch()
    with pytest.raises(Exception, match="SIGKILL"):
        kit.pytorch_full_trainer(path, "Model", FULL, "killed")

    result = kit.pytorch_full_trainer(path, "Model", FULL, "killed")

    assert result["resumed_from_step"] > 0
    scores = [{k: v for k, v in r.items() if "val_" in k} for r in result["history"]]
    assert scores == [{k: v for k, v in r.items() if "val_" in k} for r in expected["history"]]


@pytest.mark.parametrize("when", ["import", "forward", "the dataset"])
def test_a_script_that_ends_its_process_is_not_tried_again(
    kit: ResearchToolkit, workspace: Path, when: str
) -> None:
    leaving = "import os\nos._exit(0)\n"
    (workspace / "leaving.py").write_text(leaving)
    sources = {"import": leaving, "forward": f"{BASE}\nModel.forward = lambda *_: os._exit(0)\n"}
    config = QUICK
    if when == "the dataset":
        params = {"script_path": "leaving.py"}
        config = QUICK | {"dataset": "custom_dataset_script", "dataset_params": params}

    path = script(workspace, sources.get(when, BASE))

    with pytest.raises(WorkRefusedError, match="the script ended its process") as refused:
        kit.pytorch_quick_evaluator(path, "Model", {**config, "num_classes": 10})

    assert not refused.value.retryable


def test_nothing_is_left_between_the_two_processes(kit: ResearchToolkit, workspace: Path) -> None:
    kit.pytorch_quick_evaluator(script(workspace, BASE), "Model", QUICK)

    assert list((workspace / ".guildbus" / "exchange").iterdir()) == []


def test_a_population_is_scored_apart_too(kit: ResearchToolkit, workspace: Path) -> None:
    jobs = kit._jobs
    payload = {
        "model_script_path": script(workspace, BASE),
        "model_class_name": "Model",
        "eval_config": QUICK,
        "members": [{"seed": seed, "learning_rate": 0.01} for seed in range(6)],
        "registry": jobs.tokenizers,
        "optimizers": jobs.optimizers,
    }

    def scored() -> dict[str, Any]:
        job = "agents.research.training_jobs:evaluate_population"
        return kit._loop.run(run_scored(jobs, job, payload, Nobody(), task="population")).result

    honest = scored()
    script(workspace, PATCHERS["scorers"])
    patched = scored()

    accuracies = [one["metrics"]["accuracy"] for one in honest["members"]]
    assert min(accuracies) > 0.5
    assert [one["seed"] for one in honest["members"]] == list(range(6))
    assert [one["metrics"]["accuracy"] for one in patched["members"]] == accuracies
