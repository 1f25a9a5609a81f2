"""What jobs plant in the workspace, a link or a FIFO, leads the guild itself nowhere.

No fence holds the guild: through a link it would write where it may not or tell what it may not
read, and a FIFO that nobody writes to would keep it waiting for ever.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from agents.research.errors import OutsideWorkspaceError, ResearchError
from agents.research.experiments import ExperimentStore, Trial, store_path
from agents.research.experiments.command.resuming import request_of
from agents.research.experiments.pruning import look, prune
from agents.research.experiments.recording import recorded
from agents.research.job_properties import JobsProps
from agents.research.jobs import Audience, Done, Jobs, Runners
from agents.research.messages import (
    EvaluateQuickly,
    LanguageModelTrained,
    TrainLanguageModel,
)
from agents.research.researcher.messages import RunTrial
from agents.research.researcher.records import record_asked
from agents.research.researcher.state import Candidate
from agents.research.researcher.state import Trial as StudyTrial
from agents.research.researcher.trials import run_trial
from agents.research.trainer import TrainerAgent
from guild.cli.calling.exit_codes import UsageError
from tests.research.experiments.samples import done, trial
from tests.research.researcher.world import study

pytestmark = pytest.mark.timeout(20)

SECRET = '{"model_script_path": "net.py", "what": "a secret of the host"}'


def link(path: Path) -> None:
    root = next(folder for folder in path.parents if folder.name == "ws")
    path.symlink_to(root.parent / "outside" / "secret")


def link_to_scores(path: Path) -> None:
    root = next(folder for folder in path.parents if folder.name == "ws")
    (root / ".guildbus" / "scores").mkdir(parents=True)
    (root / ".guildbus" / "scores" / "secret").write_text(SECRET)
    path.symlink_to(os.path.relpath(root / ".guildbus" / "scores" / "secret", path.parent))


def loop(path: Path) -> None:
    path.symlink_to(path.name)


Plant = Callable[[Path], None]
plants = pytest.mark.parametrize(
    "plant", [link, link_to_scores, loop, os.mkfifo], ids=["link", "scores", "loop", "fifo"]
)


class Runner:
    """In place of jobs: whatever they are, `act` happens and they answer `result`."""

    fence = SimpleNamespace(is_none=False)

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}
        self.act: Callable[[], None] = lambda: None

    async def run(self, *_: object, **__: object) -> dict[str, Any]:
        self.act()
        return self.result


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside" / "run").mkdir(parents=True)
    (tmp_path / "outside" / "secret").write_text(SECRET)
    return tmp_path / "outside"


@pytest.fixture
def workspace(tmp_path: Path, outside: Path) -> Path:
    (tmp_path / "ws").mkdir()
    return tmp_path / "ws"


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def jobs(workspace: Path, runner: Runner) -> Jobs:
    runners = Runners(runner, runner, runner)  # type: ignore[arg-type]
    return Jobs(runners, JobsProps(workspace=str(workspace)))


def planted(workspace: Path, plant: Plant, path: str) -> None:
    (workspace / path).parent.mkdir(parents=True, exist_ok=True)
    plant(workspace / path)


def is_untouched(outside: Path) -> bool:
    names = sorted(path.name for path in outside.rglob("*"))
    return names == ["run", "secret"] and (outside / "secret").read_text() == SECRET


@plants
def test_what_is_planted_is_no_file_that_is_there(
    jobs: Jobs, workspace: Path, plant: Plant
) -> None:
    planted(workspace, plant, "runs/report.html")

    assert not jobs.has("runs/report.html")


def test_a_link_that_leads_to_itself_is_no_way_out_and_no_crash(
    jobs: Jobs, workspace: Path
) -> None:
    loop(workspace / "loop")

    assert jobs.inside("loop/net.py", key="model_script_path") == "loop/net.py"
    with pytest.raises(OutsideWorkspaceError):
        jobs.inside("loop/../../outside", key="model_script_path")


class Unheard:
    def emit(self, message: BaseModel, /) -> None:
        """Nothing is to be heard."""


@plants
async def test_the_script_of_a_trial_is_not_read_through_it(workspace: Path, plant: Plant) -> None:
    planted(workspace, plant, "net.py")

    async def work(_: Audience) -> Done:
        return Done({}, 0.0)

    request = EvaluateQuickly(model_script_path="net.py", model_class_name="Net", eval_config={})
    await recorded(workspace, request, Unheard(), work)

    assert [kept.code for kept in trials(workspace)] == [""]


@plants
def test_no_training_is_resumed_by_it(workspace: Path, plant: Plant) -> None:
    planted(workspace, plant, "runs/first/config.json")

    with pytest.raises(UsageError, match="does not say which script was trained"):
        request_of(workspace, halted("runs/first"))


@pytest.mark.parametrize(
    "config", ["[" * 100_000, "[]", '{"model_script_path": 1}', '{"model_script_path": "\\u0000"}']
)
def test_no_training_is_resumed_by_what_is_no_config(workspace: Path, config: str) -> None:
    (workspace / "runs" / "first").mkdir(parents=True)
    (workspace / "runs" / "first" / "config.json").write_text(config)

    with pytest.raises(UsageError, match="does not say which script was trained"):
        request_of(workspace, halted("runs/first"))


def test_a_training_is_resumed_by_the_config_of_its_folder(workspace: Path) -> None:
    (workspace / "runs" / "first").mkdir(parents=True)
    (workspace / "runs" / "first" / "config.json").write_text(SECRET)

    assert request_of(workspace, halted("runs/first")).model_script_path == "net.py"


@plants
def test_the_code_kept_with_a_candidate_is_not_read_through_it(
    workspace: Path, plant: Plant
) -> None:
    asked = study()
    asked.candidates["c1"] = Candidate(name="c1", proposer="search", recipe={})
    planted(workspace, plant, "runs/first/models/c1.py")

    with pytest.raises(ResearchError):
        record_asked(workspace, asked, StudyTrial(number=1, kind="quick", candidate="c1"))

    assert trials(workspace) == []


@plants
@pytest.mark.parametrize("place", ["runs/first/data/facts.json", "net.py"])
async def test_no_trial_is_run_with_it(
    jobs: Jobs, workspace: Path, plant: Plant, place: str
) -> None:
    planted(workspace, plant, place)
    (workspace / "runs" / "first" / "data").mkdir(parents=True, exist_ok=True)
    if place == "net.py":
        (workspace / "runs" / "first" / "data" / "facts.json").write_text("{}")
    request = RunTrial(
        data="runs/first/data", trial="0001", script="net.py", class_name="Net", training={},
        fold=0, seed=0,
    )  # fmt: skip

    with pytest.raises(ResearchError):
        await run_trial(jobs, request, audience())


@pytest.mark.parametrize("place", ["served", "lm", "lm/run"])
@pytest.mark.parametrize("plant", [Path.symlink_to, lambda path, _: os.mkfifo(path)])
async def test_no_served_model_is_linked_through_what_a_job_planted_meanwhile(
    jobs: Jobs, runner: Runner, outside: Path, place: str, plant: Callable[[Path, Path], None]
) -> None:
    workspace, target = jobs.workspace, outside / "run" if place == "lm/run" else outside

    def act() -> None:
        if place != "lm":
            (workspace / "lm").mkdir()
        if place == "served":
            (workspace / "lm" / "run").mkdir()
        plant(workspace / place, target)

    runner.act, runner.result = act, {"status": "completed", "model_path": "lm/run"}

    with pytest.raises(ResearchError):
        await train(jobs, serve_as="served/model")

    assert is_untouched(outside)
    assert not (workspace / "served" / "model").is_symlink()


async def test_a_trained_model_is_served_in_place_of_the_one_before(
    jobs: Jobs, runner: Runner, workspace: Path
) -> None:
    for name in ("first", "second"):
        (workspace / "lm" / name).mkdir(parents=True)
        runner.result = {"status": "completed", "model_path": f"lm/{name}"}

        trained = await train(jobs, serve_as="served/model")

        assert trained.model_path == f"lm/{name}"
        assert (workspace / "served" / "model").readlink() == Path(f"../lm/{name}")
        assert os.listdir(workspace / "served") == ["model"]  # noqa: PTH208  a path would be called blocking


@pytest.mark.parametrize("place", ["runs", "runs/a"])
def test_pruning_removes_nothing_through_a_link_that_was_put_there_since_it_looked(
    workspace: Path, outside: Path, place: str
) -> None:
    (workspace / "runs" / "a").mkdir(parents=True)
    (outside / "a").mkdir()
    (outside / "a" / "kept").touch()
    with ExperimentStore(store_path(workspace)) as store:
        done(store, trial(16), 0.9, artifacts="runs/a")
        found = look(store, workspace, study=None, keep=0)
        (workspace / place).rename(workspace / "moved")
        (workspace / place).symlink_to(outside if place == "runs" else outside / "a")

        list(prune(workspace, found.prunable))

    assert found.prunable
    assert (outside / "a" / "kept").is_file()


def test_a_trial_whose_folder_leads_to_itself_is_pruned_like_one_without(workspace: Path) -> None:
    loop(workspace / "loop")
    with ExperimentStore(store_path(workspace)) as store:
        done(store, trial(16), 0.9, artifacts="loop")

        pruned = list(prune(workspace, look(store, workspace, study=None, keep=0).prunable))

    assert [error for _, error in pruned] == [None]


def halted(folder: str) -> Trial:
    made = Trial.new(study="tools", kind="full", config={"model_class_name": "Net"})
    return made.model_copy(update={"artifacts": folder, "status": "interrupted"})


def trials(workspace: Path) -> list[Trial]:
    with ExperimentStore(store_path(workspace)) as store:
        return store.trials()


def audience() -> Any:
    return SimpleNamespace(emit=lambda _: None, message_id="1")


def train(jobs: Jobs, serve_as: str) -> Awaitable[LanguageModelTrained]:
    request = TrainLanguageModel(config={}, output_dir="lm", serve_as=serve_as)
    return asyncio.wait_for(TrainerAgent(jobs).train_language_model(request, audience()), 15)
