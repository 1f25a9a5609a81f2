"""One trace, without a gap: through agents in processes of their own, one of which is killed."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from guild.client import GuildClient
from messaging.telemetry import OpenTelemetryObserver
from messaging.testing import eventually
from tests.guild.processes import line, running_module
from tests.guild.traced_worker import ALLOW, Done, Order, near
from tests.messaging.telemetry.spans import Spans
from tests.servers import running_redis

WORKER = "tests.guild.traced_worker"
Span = Mapping[str, Any]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path) as server:
        yield server.url


def spans_in(*files: Path) -> list[Span]:
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines if line.endswith("}")]


def parents_in(spans: Sequence[Span]) -> list[tuple[str, str]]:
    """Each span's name and its parent's: "" at the root, "?" for an orphan."""
    names = {span["context"]["span_id"]: span["name"] for span in spans} | {None: ""}
    return sorted((span["name"], names.get(span["parent_id"], "?")) for span in spans)


@pytest.mark.long
@pytest.mark.parametrize("is_mutant", [False, True], ids=["observer", "mutant"])
async def test_a_request_through_five_agents_is_one_trace_without_an_orphan(
    url: str, tmp_path: Path, is_mutant: bool
) -> None:
    files = [tmp_path / f"{name}.jsonl" for name in ("first", "killed", "heir")]
    here = Spans()
    environ = {"ENDS_AT_ONCE": "1"} if is_mutant else {}
    observer = OpenTelemetryObserver(here.provider)
    async with (
        GuildClient.connect(near(url), observer=observer, allow=ALLOW) as client,
        running_module(WORKER, url, str(files[0]), "front", "checker", "flaky", "herald"),
        running_module(WORKER, url, str(files[1]), "builder", HANGS="1", **environ) as killed,
    ):
        asking = asyncio.create_task(client.request("inbox.front", Order(text="x"), timeout_s=60))
        await line(killed, "hanging")
        killed.kill()
        async with running_module(WORKER, url, str(files[2]), "builder", "listener"):
            assert await asking == Done()
            await eventually(lambda: "process news" in str(spans_in(*files)))

    spans = [*(json.loads(span.to_json()) for span in here.all), *spans_in(*files)]
    assert len({span["context"]["trace_id"] for span in spans}) == 1
    parents = parents_in(spans)
    if is_mutant:  # it tells of what its lost handling would have sent
        assert ("publish inbox.herald", "?") in parents
        return
    assert parents == sorted(EXPECTED)
    assert spans_in(files[1]) == []
    (taken_over,) = [span for span in spans if span["name"] == "process inbox.builder"]
    assert taken_over["attributes"]["messaging.guildbus.attempt"] == 2


EXPECTED = (
    ("publish inbox.front", ""),
    ("process inbox.front", "publish inbox.front"),
    ("publish inbox.checker", "process inbox.front"),
    ("process inbox.checker", "publish inbox.checker"),
    ("publish", "process inbox.checker"),
    ("publish inbox.flaky", "process inbox.front"),
    ("process inbox.flaky", "publish inbox.flaky"),  # failed
    ("publish inbox.builder", "process inbox.flaky"),  # never sent
    ("process inbox.flaky", "publish inbox.flaky"),  # tried again
    ("publish inbox.builder", "process inbox.flaky"),
    ("process inbox.builder", "publish inbox.builder"),  # taken over
    ("publish inbox.herald", "process inbox.builder"),
    ("process inbox.herald", "publish inbox.herald"),
    ("publish news", "process inbox.herald"),
    ("process outbox.listeners", "publish news"),  # the relay
    ("process news", "publish news"),  # in the other guild
    ("publish inbox.front", "process inbox.herald"),
    ("process inbox.front", "publish inbox.front"),
    ("publish", "process inbox.front"),
)
