"""What one trial of a study learned from, another is scored on: they must leave each other nothing.

Between the two jobs of other trainings stands a folder that no third job may reach.
"""

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from pydantic import BaseModel

from agents.research.errors import WorkOverLimitError, WorkRefusedError
from agents.research.experiments.measured import read_measured
from agents.research.job_properties import JobsProps
from agents.research.jobs import Jobs, open_jobs
from agents.research.researcher.messages import DealData, RunTrial
from agents.research.researcher.trials import deal_data, run_trial
from tests.research.forgers import BASE, GREEDY
from tests.research.test_exchange import left

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

NUMBERS = itertools.count()
# It leaves a word wherever it can, and tells of those that it finds.
TALKER = f"""{BASE}
WORD = "left-by-a-trial"
folders = ["/", *(folder for top in (os.getcwd(), "/tmp", "/dev", os.path.expanduser("~"))
                  for folder, _, _ in os.walk(top))]
for folder in folders:
    if os.path.exists(f"{{folder}}/{{WORD}}"):
        raise RuntimeError(f"found one in {{folder}}")
left = 0
for folder in folders:
    try:
        open(f"{{folder}}/{{WORD}}", "w").close()
        left += 1
    except OSError:
        pass
if not left:
    raise RuntimeError("there is no place at all")
"""


class Nobody:
    def emit(self, message: BaseModel, /) -> None: ...


class Study(NamedTuple):
    """A folder in a workspace, and the jobs that work there."""

    jobs: Jobs
    path: str

    @property
    def folder(self) -> Path:
        return self.jobs.workspace / self.path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jobs(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Jobs]:
    """For all tests, because their processes take ten seconds of computing to start."""
    workspace = tmp_path_factory.mktemp("workspace")
    async with open_jobs(JobsProps(workspace=str(workspace), max_jobs=1)) as jobs:
        if jobs._runners.usual.fence.is_none:
            pytest.skip("nothing can be hidden without a fence")
        yield jobs


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def study(jobs: Jobs) -> Study:
    """One whose trials share a process, as it shows them the same folders."""
    return await dealt(jobs, "runs/study")


async def dealt(jobs: Jobs, path: str) -> Study:
    """A study whose data are dealt out."""
    request = DealData(
        dataset="digits",
        dataset_params={},
        data=f"{path}/data",
        folds=2,
        max_samples=60,
        max_test_samples=20,
        split=0,
    )
    await deal_data(jobs, request, Nobody())
    return Study(jobs, path)


def trial(study: Study, fold: int, source: str) -> RunTrial:
    (study.folder / "models").mkdir(parents=True, exist_ok=True)
    (study.folder / "models" / "model.py").write_text(source)
    return RunTrial(
        data=f"{study.path}/data",
        trial=f"trial-{next(NUMBERS)}",
        script=f"{study.path}/models/model.py",
        class_name="Model",
        training={
            "batch_size": 16,
            "epochs": 1,
            "optimizer": {"type": "SGD", "params": {"lr": 0.1}},
            "scheduler": None,
            "label_smoothing": 0.0,
            "gradient_clip_norm": 1.0,
            "augmentation": "none",
        },
        fold=fold,
        seed=0,
    )


async def test_a_trial_can_leave_no_word_for_another(study: Study) -> None:
    results = [await run_trial(study.jobs, trial(study, fold, TALKER), Nobody()) for fold in (0, 1)]

    assert [result.status for result in results] == ["done", "done"]


async def test_without_a_room_the_second_would_find_it(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same code does find it where the workspace is there."""
    study = await dealt(jobs, "runs/control")
    talker = TALKER.replace("left-by-a-trial", "left-by-the-control")  # no other test looks for it
    run = jobs.run

    async def without_a_room(*given: object, **options: object) -> object:
        return await run(*given, **options | {"hidden": (), "read_only": ()})  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "run", without_a_room)
    await run_trial(jobs, trial(study, 0, talker), Nobody())
    with pytest.raises(WorkRefusedError, match="found one in"):
        await run_trial(jobs, trial(study, 1, talker), Nobody())


async def test_a_trial_cannot_look_the_labels_up(study: Study) -> None:
    assert (await run_trial(study.jobs, trial(study, 0, GREEDY), Nobody())).status == "done"


async def test_a_trial_is_not_shown_what_a_link_has_put_in_the_place_of_its_code(
    jobs: Jobs,
) -> None:
    study = await dealt(jobs, "runs/linked")
    request = trial(study, 0, BASE)
    (study.folder / "models").rename(study.folder / "aside")
    (study.folder / "models").symlink_to("../../.guildbus/scores")
    (jobs.workspace / ".guildbus" / "scores" / "model.py").write_text(BASE)

    with pytest.raises(WorkRefusedError, match="models"):
        await run_trial(jobs, request, Nobody())


async def test_a_trial_cannot_change_data_or_code_of_others(study: Study) -> None:
    changing = f"""{BASE}
for path in ("data/inputs.npy", "data/facts.json", "models/model.py"):
    open(f"{study.path}/{{path}}", "rb").close()
    try:
        open(f"{study.path}/{{path}}", "ab").close()
    except OSError:
        continue
    raise RuntimeError(f"{{path}} can be changed")
"""

    assert (await run_trial(study.jobs, trial(study, 0, changing), Nobody())).status == "done"


async def test_a_trial_that_names_its_own_score_is_refused(study: Study) -> None:
    """Only what another job counts is a score: a model's file may end its process with any."""
    claim = {"status": "done", "metrics": {"accuracy": 0.98765}, "params": 650, "steps": 3}
    line = json.dumps({"result": {**claim, "curve": [], "cpu_s": 0.1}}).encode() + b"\n"
    forging = f"{BASE}\nos.write(3, {line!r})\nos._exit(0)\n"

    with pytest.raises(WorkRefusedError, match=r"gave no account .* \(status missing"):
        await run_trial(study.jobs, trial(study, 0, forging), Nobody())


async def test_a_trial_that_the_budget_leaves_no_more_time_for_says_so(study: Study) -> None:
    endless = f"{BASE}\nimport time\ntime.sleep(600)\n"
    request = trial(study, 0, endless).model_copy(update={"timeout_s": 0.5})

    with pytest.raises(WorkOverLimitError, match=r"^stopped after 0.5 s: the study has no more"):
        await run_trial(study.jobs, request, Nobody())


async def test_a_trial_that_is_said_to_have_diverged_has_no_score(study: Study) -> None:
    claim = {"status": "diverged", "metrics": {"accuracy": 0.98765}, "params": 650, "steps": 3}
    line = json.dumps({"result": {**claim, "curve": [], "cpu_s": 0.1}}).encode() + b"\n"
    forging = f"{BASE}\nos.write(3, {line!r})\nos._exit(0)\n"

    ended = await run_trial(study.jobs, trial(study, 0, forging), Nobody())

    assert (ended.status, ended.metrics) == ("diverged", {})


async def test_what_a_trial_measures_is_written_down_as_it_runs(study: Study) -> None:
    request = trial(study, 0, BASE).model_copy(update={"record": "abc0"})

    await run_trial(study.jobs, request, Nobody())

    measured = read_measured(study.jobs.workspace, "abc0")
    assert measured[-1]["step"] > 0
    assert any("loss" in record for record in measured)


async def test_a_trial_that_ends_without_a_score_leaves_nothing(study: Study) -> None:
    jobs = study.jobs
    with pytest.raises(WorkRefusedError):
        await run_trial(jobs, trial(study, 0, f"{BASE}\nraise RuntimeError\n"), Nobody())
    assert left(jobs.workspace) == []

    endless = trial(study, 0, f"{BASE}\nwhile True: pass\n").model_copy(update={"timeout_s": 1.0})
    with pytest.raises(WorkOverLimitError):
        await run_trial(jobs, endless, Nobody())
    assert left(jobs.workspace) == []
