"""An agent that was taken out of the spec, from the command line."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.bus import connect
from messaging.handling.subscription import Subscription
from tests.cli.conftest import SPEC, Run
from tests.cli.crew import Work
from tests.servers import running_redis


@pytest.fixture
def changed(tmp_path: Path) -> Iterator[Path]:
    """A spec without the agent `old`, for which two messages wait on its bus."""
    with running_redis(tmp_path) as server:
        path = tmp_path / "crew.yaml"
        path.write_text(SPEC.format(bus=server.url))
        asyncio.run(_subscribe_and_publish(server.url))
        yield path


async def _subscribe_and_publish(url: str) -> None:
    async with connect(url, "crew") as bus:
        await bus.register(Subscription("old", ("jobs",), {}))
        await bus.publish_many("jobs", [Work(), Work()])


def test_an_agent_that_is_not_in_the_spec_is_listed_with_the_remedy(
    run: Run, changed: Path
) -> None:
    listed = run("agents", changed, "--json")

    (_, row) = listed.documents()
    assert (row["agent"], row["state"], row["waiting"]) == ("old", "not in the spec", 2)
    assert "another process may run it" in listed.err
    assert f"guildbus forget {changed} old" in listed.err


def test_the_doctor_finds_an_agent_that_nobody_runs(run: Run, changed: Path) -> None:
    outcome = run("doctor", changed, "--json")

    (finding,) = [each for each in outcome.documents() if each["subject"] == "agent"]
    assert (outcome.code, finding["state"]) == (1, "failed")
    assert f"guildbus forget {changed} old" in finding["text"]


def test_forgetting_is_counted_first_and_done_when_told(run: Run, changed: Path) -> None:
    dry = run("forget", changed, "old", "--json")
    (would,) = dry.documents()
    assert (would["waiting"], would["is_done"]) == (2, False)
    assert (would["timers"], would["state_keys"]) == (0, 0)
    assert "add --really" in dry.err

    done = run("forget", changed, "old", "--really")

    assert (done.code, "old is forgotten" in done.err) == (0, True)
    assert [row["agent"] for row in run("agents", changed, "--json").documents()] == ["worker"]
    assert run("doctor", changed).code == 0
    again = run("forget", changed, "old")
    assert (again.code, "has no agent 'old' besides those of the spec" in again.err) == (2, True)


def test_an_agent_of_the_spec_is_not_forgotten(run: Run, changed: Path) -> None:
    outcome = run("forget", changed, "worker", "--really")

    assert outcome.code == 1
    assert "Take it out of the spec first" in outcome.err
