"""A hundred and twenty bad days, each drawn from a seed; `make test` has the half of them.

A failing seed is printed, and happens again the same way:

    SEED=1234 pytest tests/reliability/simulation            that day alone
    SEEDS=20000 pytest tests/reliability/simulation          a longer night
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.reliability.simulation.world import run_seed

REPOSITORY = Path(__file__).parents[3]
BATCHES = 10
QUICK_BATCHES = 5
SEEDS = int(os.environ.get("SEEDS", "120"))
ONE_SEED = os.environ.get("SEED")
LONG = pytest.mark.long
MUTANT_SEEDS = 300
MOST_SEEDS_TO_TROUBLE = 300
# Parts of the protocol, each with the seed of a day that went wrong without it.
MUTANTS = {
    "handling first": 0,
    "fence": 8,
    "fence before takeover": 19,
    "commit sequence": 0,
    "append sequence": 0,
    "router fence": 129,
    "one leader": 8,
    "draining": 8,
}


def _batches() -> list[object]:
    """Whoever names seeds gets all of them."""
    if ONE_SEED:
        return [0]
    marks = () if "SEEDS" in os.environ else (LONG,)
    rest = [pytest.param(batch, marks=marks) for batch in range(QUICK_BATCHES, BATCHES)]
    return [*range(QUICK_BATCHES), *rest]


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


@pytest.mark.timeout(60 + SEEDS)
@pytest.mark.parametrize("batch", _batches())
def test_every_accepted_input_has_exactly_one_effect(batch: int) -> None:
    seeds = [int(ONE_SEED)] if ONE_SEED else range(batch, SEEDS, BATCHES)
    for seed in seeds:
        _live_through(seed)


@pytest.mark.parametrize("trouble", ["zombies", "lost_answers", "crashes", "fenced"])
def test_some_days_are_bad(trouble: str) -> None:
    """Of the same seeds, but not of so few as a batch may be: a consumer is fenced in one of 8."""
    days = (run_seed(seed) for seed in range(MOST_SEEDS_TO_TROUBLE))

    assert any(getattr(day, trouble) for day in days)


@pytest.mark.timeout(600)  # a change of the bus may make another day of the known one
@pytest.mark.parametrize("without", MUTANTS)
def test_without_a_part_of_the_protocol_some_day_goes_wrong(without: str) -> None:
    seeds = (MUTANTS[without], *range(MUTANT_SEEDS))

    assert any(run_seed(seed, without).problems() for seed in seeds)


@pytest.mark.parametrize(("seeds", "processes"), [(6, 2), pytest.param(12, 3, marks=LONG)])
def test_a_seed_is_the_same_day_in_every_process(seeds: int, processes: int) -> None:
    days = {_trace_in_a_process_of_its_own(seeds, str(1 + number)) for number in range(processes)}

    assert len(days) == 1


def _live_through(seed: int) -> None:
    try:
        outcome = run_seed(seed)
    except Exception as error:
        error.add_note(f"reproduce it with SEED={seed} pytest tests/reliability/simulation")
        raise
    problems = outcome.problems()
    if problems:
        text = "\n".join(problems)
        pytest.fail(
            f"{outcome.plan}\n{text}\n"
            f"reproduce it with SEED={seed} pytest tests/reliability/simulation"
        )


def _trace_in_a_process_of_its_own(seeds: int, hash_seed: str) -> str:
    program = (
        "from tests.reliability.simulation.world import run_seed\n"
        f"days = [run_seed(seed) for seed in range({seeds})]\n"
        "print('trace', [(day.steps, day.effects, day.lost_answers) for day in days])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.rpartition("trace")[2]
