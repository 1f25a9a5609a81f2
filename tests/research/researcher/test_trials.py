"""How a trainer answers what a study asks of it."""

import pytest
from pydantic import BaseModel

from agents.research import ResearchToolkit
from agents.research.jobs import Jobs
from agents.research.researcher.messages import BaselineFitted, DealData, FitBaseline
from agents.research.researcher.trials import deal_data, fit_baseline

pytestmark = pytest.mark.slow

DATA = "runs/pairs/data"
BASELINE = FitBaseline(data=DATA, trial="0000", model="logistic_regression", seed=0)


class Nobody:
    def emit(self, message: BaseModel, /) -> None: ...


async def deal(jobs: Jobs, *, label_of: int) -> None:
    """Rows of two numbers, with the sign of one of them as the label."""
    pairs = [((7 * n) % 11 - 5.5, (5 * n) % 13 - 6.5) for n in range(120)]
    rows = "".join(f"{a},{b},{'ab'[(a, b)[label_of] > 0]}\n" for a, b in pairs)
    (jobs.workspace / "pairs.csv").write_text(f"x,y,label\n{rows}", "utf-8")
    request = DealData(
        data=DATA,
        dataset="csv",
        dataset_params={
            "data_path": "pairs.csv",
            "label_column": "label",
            "feature_columns": ["x"],
        },
        folds=3,
        max_samples=1000,
        max_test_samples=100,
        split=0,
    )
    await deal_data(jobs, request, Nobody())


async def dealt_and_fitted(jobs: Jobs, *, label_of: int) -> BaselineFitted:
    await deal(jobs, label_of=label_of)
    return await fit_baseline(jobs, BASELINE, Nobody())


def test_a_trial_is_repeated_only_where_its_data_are_others(common_kit: ResearchToolkit) -> None:
    first, again, other = (
        common_kit._loop.run(dealt_and_fitted(common_kit._jobs, label_of=column))
        for column in (0, 0, 1)
    )

    assert again == first  # to the time that it took
    assert first.metrics["accuracy"] > 0.9 > other.metrics["accuracy"]


def test_a_result_that_a_power_cut_left_half_written_is_made_anew(
    common_kit: ResearchToolkit,
) -> None:
    kit = common_kit
    first = kit._loop.run(dealt_and_fitted(kit._jobs, label_of=0))
    (kept,) = kit._jobs.workspace.rglob("0000/result.json")
    kept.write_bytes(kept.read_bytes()[:20])

    again = kit._loop.run(fit_baseline(kit._jobs, BASELINE, Nobody()))

    assert again.metrics == first.metrics
