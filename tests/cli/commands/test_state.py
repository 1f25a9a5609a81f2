"""The state of agents, from the command line."""

import asyncio
from pathlib import Path

import pytest

from guild.agent.registry import Registry
from guild.checking.loader import load_file
from guild.client import GuildClient
from messaging.backend import Settlement, StateWrite
from messaging.wire.envelope import seal
from tests.cli.conftest import Run
from tests.cli.crew import Missing

KEPT = {"count": b'{"value":3}', "note": '"größer"'.encode(), "_bus.timer.x": b"0123"}


@pytest.fixture
def kept(spec: Path) -> Path:
    """The spec of a crew whose worker keeps some state."""

    async def keep() -> None:
        registry = Registry(["tests.cli"])
        async with GuildClient.connect(
            load_file(spec, allow=registry.allow), registry=registry
        ) as client:
            backend = client.bus.backend
            await backend.subscribe("worker", ["jobs"])
            consumer = await backend.join("worker")
            await backend.append([seal(Missing(), "jobs", by_reference=False)])
            (job,) = await consumer.read(1, 5.0)
            writes = tuple(StateWrite(key, value, 0) for key, value in KEPT.items())
            await consumer.commit([Settlement(job, (), writes)])
            await consumer.leave([])

    asyncio.run(keep())
    return spec


def test_keys_are_listed_with_revision_and_size_and_without_the_buses_own(
    run: Run, kept: Path
) -> None:
    listed = run("state", kept, "worker", "--json")

    rows = [
        {"agent": "worker", "key": key, "revision": 1, "size_bytes": len(KEPT[key])}
        for key in ("count", "note")
    ]
    assert listed.code == 0
    assert sorted(listed.documents(), key=lambda row: row["key"]) == rows
    assert run("state", kept, "--json").documents() == listed.documents()
    assert len(run("state", kept, "worker", "--all", "--json").documents()) == 3


def test_a_table_is_in_order_and_says_when_there_is_more(run: Run, kept: Path) -> None:
    whole, part = run("state", kept, "worker"), run("state", kept, "--count", "1")

    assert [line.split() for line in whole.out.splitlines()] == [
        ["agent", "key", "revision", "size_bytes"],
        ["worker", "count", "1", "11"],
        ["worker", "note", "1", str(len(KEPT["note"]))],
    ]
    assert len(part.out.splitlines()) == 2
    assert "there are more than 1" in part.err


def test_a_value_is_shown_as_json(run: Run, kept: Path) -> None:
    shown = run("state", kept, "worker", "count")

    assert (shown.code, shown.out) == (0, '{\n  "value": 3\n}\n')
    (document,) = run("state", kept, "worker", "note", "--json").documents()
    assert document == {"agent": "worker", "key": "note", "revision": 1, "value": "größer"}
    (timer,) = run("state", kept, "worker", "_bus.timer.x", "--json").documents()
    assert timer["value"] == "0123"


def test_a_key_or_an_agent_that_is_not_there_is_told(run: Run, kept: Path) -> None:
    no_key, no_agent = run("state", kept, "worker", "coutn"), run("state", kept, "wroker")

    assert no_key.code == 1
    assert "worker keeps nothing under 'coutn'" in no_key.err
    assert f"guildbus state {kept} worker" in no_key.err
    assert no_agent.code == 2
    assert "'crew' has no agent 'wroker'; did you mean 'worker'?" in no_agent.err


def test_an_agent_that_keeps_nothing_says_so(run: Run, spec: Path) -> None:
    nothing = run("state", spec, "worker")

    assert (nothing.code, nothing.out) == (0, "")
    assert "worker keeps no state" in nothing.err
