"""Paths that no file can have, or that lead out of the workspace, by every request that has one.

Each is refused by its name and with the path, before any job is started.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from agents.research import messages, tools
from agents.research.errors import OutsideWorkspaceError, WorkRefusedError
from agents.research.job_properties import JobsProps
from agents.research.jobs import Jobs, Runners
from agents.research.optimizers.messages import ConfigureOptimizer
from agents.research.optimizers.tools import configure
from agents.research.reporter import ReporterAgent
from agents.research.researcher import trials
from agents.research.researcher.messages import (
    DealData,
    RunTrial,
)
from agents.research.scaffold.messages import CreateProject
from agents.research.scaffold.project import create_scaffold
from agents.research.tokenizer import TokenizerAgent
from agents.research.trainer import TrainerAgent
from agents.research.workspace import messages as files
from agents.research.workspace import tools as workspace_tools
from agents.research.writing.tokenizers import advise
from tests.research.samples import full_content

IMPOSSIBLE = ["a\0b", "half\ud800"]
OUTSIDE = ["../up", "a/../../up", "/etc", "link"]
AUDIENCE: Any = SimpleNamespace(emit=lambda _: None, message_id="1")
LLM: Any = None
Ask = Callable[[Jobs, str], Awaitable[Any]]


class NoJobs:
    fence = SimpleNamespace(is_none=False)

    async def run(self, job: str, *_: object, **__: object) -> dict[str, Any]:
        raise AssertionError(f"the job {job} was started")


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "link").symlink_to("/etc")
    properties = JobsProps(workspace=str(tmp_path / "ws"))
    return Jobs(Runners(NoJobs(), NoJobs(), NoJobs()), properties)  # type: ignore[arg-type]


def evaluate(**given: Any) -> messages.EvaluateQuickly:
    return messages.EvaluateQuickly(model_class_name="M", eval_config={}, **given)


def train(**given: Any) -> messages.TrainFully:
    given = {"model_script_path": "m.py", "experiment_name": None, **given}
    return messages.TrainFully(model_class_name="M", trainer_config={}, **given)


def a_trial(**given: Any) -> RunTrial:
    given = {"data": "d", "trial": "t", "script": "m.py", **given}
    return RunTrial(class_name="M", training={}, fold=0, seed=0, **given)


def deal(data: str) -> DealData:
    return DealData(
        data=data, dataset="digits", dataset_params={}, folds=2, max_samples=9,
        max_test_samples=9, split=0,
    )  # fmt: skip


async def report(jobs: Jobs, path: str) -> Any:
    request = messages.WriteReport(content=full_content(folder=path))
    return await ReporterAgent(jobs).write(request, AUDIENCE)


async def learn(jobs: Jobs, **given: Any) -> Any:
    request = messages.TrainLanguageModel(config={}, **{"output_dir": "out", **given})
    return await TrainerAgent(jobs).train_language_model(request, AUDIENCE)


ASKED: dict[str, Ask] = {
    "output_script_path of a model": lambda jobs, path: tools.assemble(
        jobs, messages.AssembleModel(config={}, output_script_path=path), AUDIENCE
    ),
    "model_script_path of a summary": lambda jobs, path: tools.summarise(
        jobs,
        messages.SummariseModel(model_script_path=path, model_class_name="M", input_size=(1,)),
        AUDIENCE,
    ),
    "model_script_path of an evaluation": lambda jobs, path: tools.evaluate_quickly(
        jobs, evaluate(model_script_path=path), AUDIENCE
    ),
    "model_script_path of a training": lambda jobs, path: tools.train(
        jobs, train(model_script_path=path), AUDIENCE
    ),
    "log_base_dir": lambda jobs, path: tools.train(jobs, train(log_base_dir=path), AUDIENCE),
    "experiment_name": lambda jobs, path: tools.train(
        jobs, train(log_base_dir=".", experiment_name=path), AUDIENCE
    ),
    "experiment_dir": lambda jobs, path: tools.measure(
        jobs, messages.EvaluateCheckpoint(experiment_dir=path), AUDIENCE
    ),
    "tokenizer_path": lambda jobs, path: tools.manage_tokenizer(
        jobs,
        messages.ManageTokenizer(action="load", tokenizer_name="t", tokenizer_path=path),
        AUDIENCE,
    ),
    "data_files of a tokenizer": lambda jobs, path: tools.manage_tokenizer(
        jobs,
        messages.ManageTokenizer(
            action="train", tokenizer_name="t", config={"data_files": [path]}
        ),
        AUDIENCE,
    ),
    "data_files of advice": lambda jobs, path: advise(
        jobs, LLM, messages.AdviseTokenizer(data_files=(path,)), AUDIENCE
    ),
    "output_path": lambda jobs, path: TokenizerAgent.collect(
        SimpleNamespace(_jobs=jobs),  # type: ignore[arg-type]
        messages.CollectCorpus(output_path=path),
        AUDIENCE,
    ),
    "output_dir": lambda jobs, path: learn(jobs, output_dir=path),
    "serve_as": lambda jobs, path: learn(jobs, serve_as=path),
    "folder of a report": report,
    "output_script_path of an optimizer": lambda jobs, path: configure(
        jobs,
        LLM,
        ConfigureOptimizer(
            action="register_custom_optimizer", config_name="Mine", output_script_path=path
        ),
        AUDIENCE,
    ),
    "base_dir": lambda jobs, path: create_scaffold(
        jobs, CreateProject(project_name="p", base_dir=path)
    ),
    "script_path": lambda jobs, path: workspace_tools.run_script(
        jobs, files.RunScript(script_path=path), AUDIENCE
    ),
    "file_path to read": lambda jobs, path: workspace_tools.read_file(
        jobs, files.ReadFile(file_path=path)
    ),
    "file_path to write": lambda jobs, path: workspace_tools.write_file(
        jobs, files.WriteFile(file_path=path, content="")
    ),
    "file_path to append to": lambda jobs, path: workspace_tools.append_to_file(
        jobs, files.AppendToFile(file_path=path, content="")
    ),
    "path to list": lambda jobs, path: workspace_tools.list_directory(
        jobs, files.ListDirectory(path=path)
    ),
    "path to make": lambda jobs, path: workspace_tools.create_directory(
        jobs, files.CreateDirectory(path=path)
    ),
    "data to deal": lambda jobs, path: trials.deal_data(jobs, deal(path), AUDIENCE),
    "data of a trial": lambda jobs, path: trials.run_trial(jobs, a_trial(data=path), AUDIENCE),
}  # fmt: skip


@pytest.mark.parametrize("path", IMPOSSIBLE)
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
async def test_a_path_that_no_file_can_have_is_refused_by_every_request(
    jobs: Jobs, ask: Ask, path: str
) -> None:
    with pytest.raises(WorkRefusedError) as refused:
        await ask(jobs, path)

    assert repr(path).strip("'") in str(refused.value)
    assert refused.value.where


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
async def test_a_path_out_of_the_workspace_is_refused_by_every_request(
    jobs: Jobs, ask: Ask, path: str
) -> None:
    with pytest.raises(WorkRefusedError, match=path):
        await ask(jobs, path)


@pytest.mark.parametrize("name", [*IMPOSSIBLE, "../up", "a/../../up", "../../../up"])
async def test_a_trial_is_kept_in_the_vault_of_its_study(jobs: Jobs, name: str) -> None:
    with pytest.raises(WorkRefusedError, match="trial"):
        await trials.run_trial(jobs, a_trial(trial=name), AUDIENCE)


async def test_a_vault_is_not_moved_by_what_a_link_makes_of_a_path(jobs: Jobs) -> None:
    """For the kernel `deep/../..` is the workspace, by its letters it is what lies above."""
    (jobs.workspace / "one" / "two").mkdir(parents=True)
    (jobs.workspace / "deep").symlink_to("one/two")

    with pytest.raises(OutsideWorkspaceError):
        await trials.deal_data(jobs, deal("deep/../.."), AUDIENCE)


@pytest.mark.parametrize("path", IMPOSSIBLE)
@pytest.mark.parametrize("key", ["workspace", "tokenizers", "read_only"])
def test_the_operator_is_told_of_a_path_that_cannot_be(key: str, path: str) -> None:
    given: dict[str, Any] = {key: (path,) if key == "read_only" else path}

    with pytest.raises(ValidationError, match=key):
        JobsProps(**given)
