"""Each mutant still fits the product, and a worker that one does not fit says so at once."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from messaging.consuming.committer import Committer
from messaging.consuming.liveness import Watch
from tests.reliability.workers.mutants import MUTANTS, nothing
from tests.reliability.workers.replacing import replace
from tests.reliability.workers.scenario import Scenario, scenario_on
from tests.servers import running_redis


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("mutants")) as server:
        yield server.url


@pytest.fixture
async def scenario(server_url: str) -> AsyncIterator[Scenario]:
    async with scenario_on(server_url) as scenario:
        yield scenario


@pytest.mark.parametrize("name", MUTANTS)
async def test_what_a_mutant_replaces_is_still_there(
    name: str, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = []

    def replace_until_the_end(owner: Any, name: str, instead: Any) -> None:
        there = getattr(owner, name)
        monkeypatch.setattr(owner, name, there)  # which it is again at the end
        replace(owner, name, instead)
        replaced.append(getattr(owner, name) is not there)

    before = vars(scenario.server.scripts).copy()

    await MUTANTS[name].patch(scenario.server, replace_until_the_end)

    assert replaced or vars(scenario.server.scripts) != before
    assert all(replaced)


def test_what_has_another_name_by_now_is_not_replaced() -> None:
    with pytest.raises(AttributeError, match="_hold_back"):
        replace(Committer, "_hold_back", nothing)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("look", lambda self, beats: []),  # it lacks one
        ("look", lambda self, beats, at_s: []),  # it would be called by another name
        ("look", 4.0),
    ],
)
def test_what_takes_other_parameters_is_not_replaced(name: str, instead: object) -> None:
    with pytest.raises(TypeError, match="does not fit any more"):
        replace(Watch, name, instead)


async def test_a_worker_that_ends_before_it_is_ready_is_not_waited_for(scenario: Scenario) -> None:
    with pytest.raises(ChildProcessError, match="ended with status 1"):
        await scenario.workers.start(kind="no such mutant")
