"""Gateways that are killed in the middle of a request, which is sent again to another gateway.

The agents run in this process, on a Redis of their own; each gateway is a process, and ends by
SIGKILL some milliseconds after it was asked.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import pytest

from guild.approvals import ApprovalDecided
from guild.checking.loader import load_yaml
from guild.runtime import Guild
from messaging.wire.envelope import new_id
from tests.cli.conftest import ROOT, started
from tests.gateway.conftest import until
from tests.gateway.crew import SPEC, gates, runs
from tests.gateway.test_operating import APPROVAL, DESK
from tests.gateway.test_streams import EVENTS, events_from, saying, texts_in

ID = "killed"
DELAYS_S = (0.0, 0.002, 0.005, 0.01, 0.02)

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


class Gateway:
    """A gateway in a process of its own."""

    def __init__(self, process: "Popen[str]") -> None:
        self._process = process
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, process.stderr and process.stderr.read()
        self.http = httpx.AsyncClient(base_url=f"{url}api/v1/", timeout=60.0)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()


class Gateways:
    """As many as are wanted; the next one starts while this one is killed."""

    def __init__(self, spec: Path, bus: str) -> None:
        self._words = ("console", spec, "--port", "0", "--bus", bus, "--allow", "tests.gateway")
        self._started = [self._start() for _ in range(2)]
        self._all = list(self._started)

    def next(self) -> Gateway:
        self._started.append(self._start())
        self._all.append(self._started[-1])
        return Gateway(self._started.pop(0))

    def end(self) -> None:
        for process in self._all:
            process.kill()
            process.communicate()

    def _start(self) -> "Popen[str]":
        return started(*self._words, cwd=ROOT)


@pytest.fixture(scope="module")
def spec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("spec") / "crew.yaml"
    file.write_text(SPEC.format(id=ID) + DESK.strip("\n"))
    return file


@pytest.fixture(scope="module")
def gateways(spec_file: Path, redis_url: str) -> Iterator[Gateways]:
    started_ones = Gateways(spec_file, redis_url)
    yield started_ones
    started_ones.end()


@pytest.fixture(scope="module")
def survivor_process(gateways: Gateways) -> Gateway:
    return gateways.next()


@pytest.fixture
async def guild(redis_url: str) -> AsyncIterator[Guild]:
    spec = load_yaml(SPEC.format(id=ID) + DESK.strip("\n"), allow=["tests.gateway"])
    async with Guild.launch(spec, bus=redis_url) as launched:
        yield launched


@pytest.fixture
async def survivor(guild: Guild, survivor_process: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    """Asks the gateway that nobody kills."""
    url = survivor_process.http.base_url
    async with httpx.AsyncClient(base_url=url, timeout=60.0) as http:
        yield http


async def asked_of_one_that_is_killed(
    gateways: Gateways, delay_s: float, path: str, **request: Any
) -> httpx.Response | None:
    """What it still answers, if it does."""
    victim = gateways.next()
    async with victim.http as http:
        await http.get("guild")
        asking = asyncio.create_task(http.post(path, **request))
        await asyncio.wait({asking}, timeout=delay_s)
        victim.kill()
        with suppress(httpx.TransportError):
            return await asking
    return None


@pytest.mark.parametrize("delay_s", DELAYS_S)
async def test_a_message_is_stored_once(
    gateways: Gateways, survivor: httpx.AsyncClient, delay_s: float
) -> None:
    text, key = new_id(), {"Idempotency-Key": new_id()}
    request: dict[str, Any] = {
        "json": {"type": "gw.note", "data": {"text": text}},
        "headers": key,
    }
    path = "topics/notes/messages"

    first = await asked_of_one_that_is_killed(gateways, delay_s, path, **request)
    again = [await survivor.post(path, **request) for _ in range(2)]
    await survivor.post("agents/listener/drain", json={"timeout_s": 30})
    await survivor.post("agents/listener/resume")

    ids = {answer.json()["message_id"] for answer in (first, *again) if answer is not None}
    assert len(ids) == 1
    await until(lambda: runs[text] > 0)
    assert runs[text] == 1


@pytest.mark.parametrize("delay_s", DELAYS_S)
async def test_a_request_is_handled_once_and_answered(
    gateways: Gateways, survivor: httpx.AsyncClient, delay_s: float
) -> None:
    text, key = new_id(), {"Idempotency-Key": new_id()}
    request: dict[str, Any] = {"json": saying(text=text, words=3), "headers": key}
    path = "topics/says/requests"

    await asked_of_one_that_is_killed(gateways, delay_s, path, **request)
    answer = await survivor.post(path, **request)

    assert answer.json()["data"] == {"text": text}
    assert runs[text] == 1


async def test_a_stream_goes_on_at_another_gateway(
    gateways: Gateways, survivor: httpx.AsyncClient
) -> None:
    victim, gate = gateways.next(), new_id()
    asked = saying(text=gate, words=40, gate=gate)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(victim.http)
        streaming = http.stream("POST", "topics/says/requests", json=asked, headers=EVENTS)
        stream = await stack.enter_async_context(streaming)
        place, events = stream.headers["Location"].removeprefix("../../"), events_from(stream)
        seen = [await anext(events) for _ in range(21)]
        victim.kill()
        with suppress(httpx.TransportError):
            seen += [each async for each in events]
    gates.setdefault(gate, asyncio.Event()).set()
    headers = {**EVENTS, "Last-Event-ID": seen[-1][1]}
    async with survivor.stream("GET", place, headers=headers) as stream:
        seen += [each async for each in events_from(stream)]

    assert texts_in(seen) == [str(number) for number in range(40)]
    assert (seen[-1][0], seen[-1][2]["data"]) == ("answer", {"text": gate})
    assert runs[gate] == 1


async def test_a_request_whose_answer_comes_later_is_fetched_from_another_gateway(
    gateways: Gateways, survivor: httpx.AsyncClient
) -> None:
    gate, headers = new_id(), {"Prefer": "respond-async"}
    victim = gateways.next()
    async with victim.http as http:
        asked = await http.post(
            "topics/says/requests", json=saying(text=gate, gate=gate), headers=headers
        )
        victim.kill()
    place = asked.json()["location"].removeprefix("../../")
    not_yet = await survivor.get(place, headers=headers)
    gates.setdefault(gate, asyncio.Event()).set()
    answer = await survivor.get(place)

    assert (asked.status_code, not_yet.status_code) == (202, 202)
    assert answer.json()["data"] == {"text": gate}


@pytest.mark.parametrize("delay_s", DELAYS_S[1:3])
async def test_a_cancelling_is_repeated(
    gateways: Gateways, survivor: httpx.AsyncClient, delay_s: float
) -> None:
    gate = new_id()
    asked = await survivor.post(
        "topics/says/requests",
        json=saying(text=gate, gate=gate),
        headers={"Prefer": "respond-async"},
    )
    path = f"requests/{asked.json()['message_id']}"

    await asked_of_one_that_is_killed(gateways, delay_s, f"{path}/cancel", json={})
    again = await survivor.post(f"{path}/cancel", json={"reason": "enough"})
    told = await survivor.get(path)

    assert again.status_code == 202
    assert (told.status_code, told.json()["error"]) == (409, "RequestCancelledError")


@pytest.mark.parametrize("delay_s", DELAYS_S[1:])
async def test_a_dead_letter_is_requeued_once(
    gateways: Gateways, survivor: httpx.AsyncClient, delay_s: float
) -> None:
    why = new_id()
    await survivor.post("topics/breaks/requests", json={"type": "gw.break", "data": {"why": why}})
    (letter,) = (await survivor.get("dead-letters")).json()
    path = f"dead-letters/{letter['id']}/requeue"

    await asked_of_one_that_is_killed(gateways, delay_s, path, json={})
    again = await survivor.post(path, json={})
    while not (left := (await survivor.get("dead-letters")).json()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await survivor.post(f"dead-letters/{left[0]['id']}/drop", json={"reason": "seen"})

    assert again.status_code in {200, 404}
    assert [each["message_id"] for each in left] == [letter["message_id"]]
    assert runs[why] == 2


@pytest.mark.parametrize("delay_s", DELAYS_S[1:3])
async def test_a_pause_is_repeated(
    gateways: Gateways, survivor: httpx.AsyncClient, delay_s: float
) -> None:
    await asked_of_one_that_is_killed(gateways, delay_s, "agents/speaker/pause")
    again = await survivor.post("agents/speaker/pause")
    state = (await survivor.get("agents/speaker")).json()["state"]
    await survivor.post("agents/speaker/resume")

    assert (again.status_code, state) == (200, "paused")


@pytest.mark.parametrize("delay_s", DELAYS_S[1:])
async def test_an_approval_is_decided_once(
    gateways: Gateways, guild: Guild, survivor: httpx.AsyncClient, delay_s: float
) -> None:
    asked = await survivor.post(
        "topics/desk/messages", json={"type": "guild.approval_request", "data": APPROVAL}
    )
    approval_id = asked.json()["message_id"]
    while (await survivor.get(f"approvals/{approval_id}")).status_code != 200:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    path, headers = f"approvals/{approval_id}/approve", {"Idempotency-Key": new_id()}
    request: dict[str, Any] = {"json": {"option": "now"}, "headers": headers}

    await asked_of_one_that_is_killed(gateways, delay_s, path, **request)
    again = await survivor.post(path, **request)
    other = await survivor.post(f"approvals/{approval_id}/reject", json={})
    told = [
        each.message
        async for each in guild.client.tap(["guild.events"], from_start=True, follow=False)
        if isinstance(each.message, ApprovalDecided) and each.message.id == approval_id
    ]

    assert (again.status_code, again.json()["option"]) == (200, "now")
    assert (other.status_code, other.json()["error"]) == (409, "DecisionRefusedError")
    assert [each.approved for each in told] == [True]
