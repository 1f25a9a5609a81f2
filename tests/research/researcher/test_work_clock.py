"""The time at work: what is counted, and what a kill, a pause and a second process change."""

from pathlib import Path

import pytest

from agents.research.job_properties import VAULTS
from agents.research.researcher.state import Study
from agents.research.researcher.work_clock import WorkClock
from tests.research.researcher.world import study


class Machine:
    """Its time passes in the tests' own steps."""

    def __init__(self, workspace: Path) -> None:
        self.workspace, self.now_s = workspace, 1000.0

    def process(self) -> WorkClock:
        return WorkClock(self.workspace, monotonic=lambda: self.now_s)

    def works(self, seconds: int, *clocks: WorkClock) -> None:
        for _ in range(seconds):
            self.now_s += 1
            for clock in clocks:
                clock.beat()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def one() -> Study:
    return study()


def test_a_trial_counts_as_long_as_it_takes(machine: Machine, one: Study) -> None:
    clock = machine.process()
    clock.start(one)
    machine.works(300, clock)
    machine.now_s += 0.5
    clock.start(one)  # as every message of the study does

    assert clock.elapsed_s(one) == 300.5


@pytest.mark.parametrize("nobody_works_s", [20.0, 50.0, 3600.0])
def test_the_time_after_a_kill_counts_from_the_next_message_on(
    machine: Machine, one: Study, nobody_works_s: float
) -> None:
    first = machine.process()
    first.start(one)
    machine.works(30, first)
    machine.now_s += nobody_works_s

    second = machine.process()

    assert second.elapsed_s(one) == 30
    second.start(one)
    machine.works(10, second)
    assert second.elapsed_s(one) == 40


def test_what_was_committed_counts_where_the_beats_are_lost(machine: Machine, one: Study) -> None:
    one.elapsed_s = 12.0

    clock = machine.process()
    clock.start(one)
    machine.works(3, clock)

    assert clock.elapsed_s(one) == 15


def test_a_machine_that_slept_did_not_work(machine: Machine, one: Study) -> None:
    clock = machine.process()
    clock.start(one)
    machine.works(5, clock)
    machine.now_s += 3600
    machine.works(5, clock)

    assert clock.elapsed_s(one) == pytest.approx(10, abs=1)


def test_a_study_whose_time_cannot_be_kept_stops_that_of_no_other(
    machine: Machine, one: Study
) -> None:
    other = one.model_copy(update={"request": one.request.model_copy(update={"name": "other"})})
    clock = machine.process()
    clock.start(one)
    clock.start(other)
    vault = machine.workspace / VAULTS / one.request.folder
    vault.parent.mkdir(parents=True)
    vault.touch()  # no folder can be made there
    for _ in range(60):
        machine.now_s += 1
        clock.beat()

    assert clock.elapsed_s(one) == clock.elapsed_s(other) == 60
    assert machine.process().elapsed_s(other) == 60  # it was kept


def test_a_second_in_which_two_processes_work_is_one(machine: Machine, one: Study) -> None:
    first, second = machine.process(), machine.process()
    first.start(one)
    machine.works(5, first)
    second.start(one)
    machine.works(5, first, second)
    machine.works(5, second)

    assert second.elapsed_s(one) == first.elapsed_s(one) == 15


def test_a_study_that_is_over_is_counted_no_more(machine: Machine, one: Study) -> None:
    clock = machine.process()
    clock.start(one)
    machine.works(5, clock)
    one.elapsed_s = clock.elapsed_s(one)
    clock.stop(one)
    machine.works(5, clock)

    assert clock.elapsed_s(one) == 5


def test_the_next_study_of_a_name_begins_at_zero(machine: Machine, one: Study) -> None:
    clock = machine.process()
    clock.start(one)
    machine.works(5, clock)
    following = one.model_copy(update={"started_at": one.started_at + 1})

    assert clock.elapsed_s(following) == 0
    clock.start(following)
    machine.works(2, clock)
    assert clock.elapsed_s(following) == 2


def test_a_file_that_is_damaged_costs_what_it_held(machine: Machine, one: Study) -> None:
    clock = machine.process()
    clock.start(one)
    machine.works(5, clock)
    (kept,) = machine.workspace.rglob("worked.json")
    kept.write_text('{"began')

    assert machine.process().elapsed_s(one) == 0
    machine.works(1, clock)
    assert machine.process().elapsed_s(one) == 6
