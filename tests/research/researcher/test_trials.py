"""How a trainer answers what a study asks of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from agents.research.job_properties import JobsProps
from agents.research.jobs import Jobs, open_jobs
from agents.research.researcher.messages import DealData, FitBaseline
from agents.research.researcher.trials import deal_data, fit_baseline

pytestmark = pytest.mark.slow

DATA = "runs/study/data"
BASELINE = FitBaseline(data=DATA, trial="0000", model="logistic_regression", seed=0)


class Nobody:
    def emit(self, message: BaseModel, /) -> None: ...


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    async with open_jobs(JobsProps(workspace=str(tmp_path))) as opened:
        yield opened


async def deal(jobs: Jobs, *, label_of: int) -> None:
    """Rows of two numbers, with the sign of one of them as the label."""
    pairs = [((7 * n) % 11 - 5.5, (5 * n) % 13 - 6.5) for n in range(120)]
    rows = "".join(f"{a},{b},{'ab'[(a, b)[label_of] > 0]}\n" for a, b in pairs)
    (jobs.workspace / "t.csv").write_text(f"x,y,label\n{rows}", "utf-8")
    request = DealData(
        data=DATA,
        dataset="csv",
        dataset_params={
            "data_path": "t.csv",
            "label_column": "label",
            "feature_columns": ["x"],
        },
        folds=3,
        max_samples=1000,
        max_test_samples=100,
        split=0,
    )
    await deal_data(jobs, request, Nobody())


async def test_a_trial_is_repeated_only_where_its_data_are_others(jobs: Jobs) -> None:
    await deal(jobs, label_of=0)
    first = await fit_baseline(jobs, BASELINE, Nobody())
    await deal(jobs, label_of=0)
    again = await fit_baseline(jobs, BASELINE, Nobody())
    await deal(jobs, label_of=1)
    other = await fit_baseline(jobs, BASELINE, Nobody())

    assert again == first  # to the time that it took
    assert first.metrics["accuracy"] > 0.9 > other.metrics["accuracy"]
