"""Optimizers registered under a name serve both training tools, after a restart, too."""

from pathlib import Path
from typing import Any

import pytest

from agents.research import ResearchToolkit, tools
from agents.research.errors import WorkRefusedError
from agents.research.jobs import Jobs, JobsProps, open_jobs
from agents.research.messages import EvaluateQuickly, TrainFully
from tests.ml.optimizers.test_registry import CUSTOM, TUNED
from tests.research.conftest import in_the_loop_of
from tests.research.forgers import BASE

pytestmark = pytest.mark.slow

JOBS = "agents.research.training_jobs"
SCRIPT = "with_registered.py"


class Nobody:
    def emit(self, message: object, /) -> None:
        pass


async def register(jobs: Jobs, job: str, **payload: Any) -> dict[str, Any]:
    payload["optimizers"] = jobs.optimizers
    return (await jobs.run(f"{JOBS}:{job}", payload, Nobody(), task="register")).result


async def evaluate(jobs: Jobs, optimizer: str) -> dict[str, Any]:
    config = {"dataset": "digits", "epochs": 1, "optimizer": optimizer, "device": "cpu"}
    request = EvaluateQuickly(
        model_script_path=SCRIPT, model_class_name="Model", eval_config=config
    )
    return (await tools.evaluate_quickly(jobs, request, Nobody())).result


async def train(jobs: Jobs, optimizer: Any, name: str) -> dict[str, Any]:
    config = {
        "dataset": "digits",
        "epochs": 2,
        "optimizer": optimizer,
        "scheduler": {"type": "StepLR", "params": {"step_size": 1, "gamma": 0.5}},
        "device": "cpu",
    }
    request = TrainFully(
        model_script_path=SCRIPT,
        model_class_name="Model",
        trainer_config=config,
        experiment_name=name,
    )
    return (await tools.train(jobs, request, Nobody())).result


async def test_they_serve_both_tools_and_survive_a_restart(
    common_kit: ResearchToolkit, common_workspace: Path
) -> None:
    (common_workspace / SCRIPT).write_text(BASE)
    tuned = {**TUNED, "param_groups": [{"name_regex": "body", "lr": 0.02}]}
    heavy = {"name": "Heavy", "output_script_path": "registered/heavy.py"}
    before = common_kit._jobs
    await in_the_loop_of(
        common_kit, register(before, "register_optimizer_config", name="tuned", config=tuned)
    )
    written = await in_the_loop_of(
        common_kit, register(before, "register_optimizer", **heavy, code=CUSTOM)
    )
    climbing = CUSTOM.replace("p.sub_(", "p.add_(")
    with pytest.raises(WorkRefusedError, match="lowers a quadratic"):
        await in_the_loop_of(
            common_kit, register(before, "register_optimizer", **heavy, code=climbing)
        )
    assert written["script_path"] == "registered/heavy.py"
    assert (common_workspace / written["script_path"]).read_text() == CUSTOM
    assert [path.name for path in (common_workspace / "registered").iterdir()] == ["heavy.py"]

    async with open_jobs(JobsProps(workspace=str(common_workspace), threads=1)) as jobs:
        for name in ("tuned", "Heavy"):
            assert (await evaluate(jobs, name))["metrics"]["accuracy"] > 0.5
        full = await train(jobs, "tuned", "tuned")
        custom = await train(jobs, {"type": "Heavy", "params": {"lr": 0.01}}, "custom")
        with pytest.raises(WorkRefusedError, match="'Heavy'"):
            await evaluate(jobs, "Heavi")

    assert [record["lr"] for record in full["history"]] == pytest.approx([0.02, 0.01])
    assert custom["final_evaluation"]["accuracy"] > 0.7
