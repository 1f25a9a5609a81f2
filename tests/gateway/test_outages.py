"""The gateway while its store is away, and afterwards."""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from guild.gateway import gateway_app
from guild.gateway.exposure import Listening
from guild.gateway.limits import DEFAULT_LIMITS, Limits
from guild.gateway.serving import Server, listening
from guild.runtime import Guild
from messaging.errors import BackendUnavailableError
from messaging.wire.envelope import new_id
from tests.gateway.conftest import LOCAL, asking
from tests.gateway.crew import began, crew_spec, gates, runs
from tests.gateway.test_streams import EVENTS, NOTE, events_from, saying, texts_in
from tests.sentinels import running_sentinels
from tests.servers import running_redis


async def test_redis_goes_and_comes_back_under_a_stream(tmp_path: Path) -> None:
    """firecrawl/firecrawl 4045: a probe that says yes whatever has become of the store."""
    with running_redis(tmp_path, "--appendfsync", "always") as redis:
        bus = f"{redis.url}?give_up_after_s=0.5"
        gate, text = new_id(), new_id()
        async with Guild.launch(crew_spec("outages"), bus=bus) as guild:
            app = gateway_app(guild.client)
            serving = listening(app, Listening(), limits=DEFAULT_LIMITS, streams=app.state.streams)
            async with serving as (_, url), httpx.AsyncClient(base_url=url, timeout=60) as http:
                asked = saying(text=text, words=6, gate=gate)
                path = "/api/v1/topics/says/requests"
                async with http.stream("POST", path, json=asked, headers=EVENTS) as stream:
                    events = events_from(stream)
                    seen = [await anext(events) for _ in range(4)]
                    redis.kill()
                    refused = await http.post(path, json=saying(text="while it is away"))
                    not_ready = await http.get("/readyz")
                    alive = await http.get("/healthz")
                    redis.start()
                    while (await http.get("/readyz")).status_code != 200:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                    gates.setdefault(gate, asyncio.Event()).set()
                    seen += [each async for each in events]

    assert (refused.status_code, refused.json()["error"]) == (503, "BackendUnavailableError")
    assert refused.headers["Retry-After"] == "1"
    assert (not_ready.status_code, not_ready.text) == (503, "the bus is away\n")
    assert alive.status_code == 200
    assert seen[-1][2]["data"] == {"text": text}
    assert texts_in(seen) == [str(number) for number in range(6)]
    assert runs[text] == 1


READS = ("agents", "agents/speaker", "messages?follow=false", "events?follow=false")
READS += ("dead-letters", "dead-letters/groups", f"dead-letters/{'0' * 32}")
READS += (f"conversations/{'0' * 32}",)


async def test_a_store_that_hangs_is_told_to_those_who_read(tmp_path: Path) -> None:
    """A server that was stopped, or whose disk hangs, takes what it is sent and answers nothing."""
    with running_redis(tmp_path) as redis:
        process = redis._process
        assert process is not None
        async with (
            Guild.launch(crew_spec("hanging"), bus=redis.url) as guild,
            asking(gateway_app(guild.client, limits=Limits(store_s=0.2))) as http,
        ):
            before = [await http.get(path) for path in READS]
            process.send_signal(signal.SIGSTOP)
            try:
                async with asyncio.timeout(20):  # the bus itself waits for 30 s
                    hung = await asyncio.gather(*map(http.get, READS))
            finally:
                process.send_signal(signal.SIGCONT)
            after = [await http.get(path) for path in READS]

    for answer in hung:
        problem = answer.json()
        assert (answer.status_code, problem["error"]) == (503, "BackendUnavailableError")
        assert answer.headers["Retry-After"] == "1"
    assert [answer.status_code for answer in before] == [answer.status_code for answer in after]


async def test_redis_goes_and_comes_back_under_those_who_watch(tmp_path: Path) -> None:
    """neochaotic/leoflow 1100: of an outage clients were told that it was their mistake, or nothing
    of when to come back."""
    with running_redis(tmp_path, "--appendfsync", "always") as redis:
        bus = f"{redis.url}?give_up_after_s=0.5"
        async with Guild.launch(crew_spec("watched"), bus=bus) as guild:
            app = gateway_app(guild.client)
            serving = listening(app, Listening(), limits=DEFAULT_LIMITS, streams=app.state.streams)
            async with serving as (_, url), httpx.AsyncClient(base_url=url, timeout=60) as http:
                http.base_url = f"{url}/api/v1/"
                async with (
                    http.stream("GET", "messages?topic=notes", headers=EVENTS) as messages,
                    http.stream("GET", "live", headers=EVENTS) as live,
                ):
                    rows, deltas = events_from(messages), events_from(live)
                    sent = [await http.post("topics/notes/messages", json=NOTE)]
                    _, place, seen = await anext(rows)
                    redis.kill()
                    lost = [each async for each in rows]
                    while not (told := (await anext(deltas))[2])["problem"]:
                        pass
                    reads = await asyncio.gather(*map(http.get, READS))
                    redis.start()
                    while (await anext(deltas))[2]["problem"]:
                        pass
                while (await http.get(f"{url}/readyz")).status_code != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                sent.append(await http.post("topics/notes/messages", json=NOTE))
                headers = {**EVENTS, "Last-Event-ID": place}
                again = http.stream("GET", "messages?topic=notes", headers=headers)
                async with again as stream:
                    _, _, behind = await anext(events_from(stream))

    assert [(name, data["error"]) for name, _, data in lost] == [
        ("problem", "BackendUnavailableError")
    ]
    assert "the server at" in told["problem"]
    for answer in reads:
        assert (answer.status_code, answer.json()["error"]) == (503, "BackendUnavailableError")
        assert answer.headers["Retry-After"] == "1"
    ids = [answer.json()["message_id"] for answer in sent]
    assert [row["id"] for row in (*seen["rows"], *behind["rows"])] == ids


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_a_failover_is_ridden_out_by_those_who_act_and_told_to_those_who_read(
    tmp_path: Path,
) -> None:
    with running_sentinels(tmp_path) as site:
        gate, text, key = new_id(), new_id(), {"Idempotency-Key": new_id()}
        note = {"type": "gw.note", "data": {"text": text}}
        async with (
            Guild.launch(crew_spec("failover"), bus=site.url) as guild,
            asking(gateway_app(guild.client, limits=Limits(store_s=0.1))) as http,
        ):
            asked = asyncio.create_task(
                http.post("topics/says/requests", json=saying(text=gate, gate=gate))
            )
            await began.setdefault(gate, asyncio.Event()).wait()
            await asyncio.to_thread(site.replicate)
            site.primary.kill()
            publishing = asyncio.create_task(
                http.post("topics/notes/messages", json=note, headers=key)
            )
            read = [await http.get(path) for path in READS]
            sent = await publishing
            while (await http.get(f"{LOCAL}/readyz")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            again = await http.post("topics/notes/messages", json=note, headers=key)
            gates.setdefault(gate, asyncio.Event()).set()
            answer = await asked
            now = [await http.get(path) for path in READS]

    for told in read:
        assert told.status_code in {200, 404, 503}
        assert told.status_code != 503 or told.json()["error"] == "BackendUnavailableError"
    assert 503 in {told.status_code for told in read}
    assert (sent.status_code, again.status_code) == (202, 202)
    assert sent.json()["message_id"] == again.json()["message_id"]
    assert answer.json()["data"] == {"text": gate}
    assert (runs[text], runs[gate]) == (1, 1)
    assert {told.status_code for told in now} == {200, 404}


async def test_a_gateway_of_a_guild_that_is_not_started_is_not_ready() -> None:
    guild = Guild.launch(crew_spec("not-started"))
    async with asking(gateway_app(lambda: guild.client)) as http:
        told = await http.get("guild")
        ready = await http.get(f"{LOCAL}/readyz")

    assert (told.status_code, told.json()["error"]) == (503, "GuildNotRunningError")
    assert (ready.status_code, ready.text) == (503, "the guild is not running\n")


async def test_figures_are_for_tokens_that_may_read(crew: Guild, tmp_path: Path) -> None:
    app = gateway_app(crew.client, metrics=lambda _: (b"up 1\n", "text/plain; version=0.0.4"))
    async with asking(app) as http:
        figures = await http.get(f"{LOCAL}/metrics")
    async with asking(gateway_app(crew.client)) as http:
        none = await http.get(f"{LOCAL}/metrics")
    (tmp_path / "tokens").touch()
    closed = gateway_app(
        crew.client, tokens=tmp_path / "tokens", metrics=lambda _: (b"up 1\n", "text/plain")
    )
    async with asking(closed) as http:
        refused = await http.get(f"{LOCAL}/metrics")

    assert (figures.text, figures.headers["Content-Type"]) == (
        "up 1\n",
        "text/plain; version=0.0.4",
    )
    assert (none.status_code, refused.status_code) == (404, 401)


@pytest.mark.parametrize(
    ("error", "status"),
    [(TypeError("hunter2"), 500), (BackendUnavailableError("the server is away"), 503)],
)
async def test_figures_that_cannot_be_made_are_a_problem(
    crew: Guild, error: Exception, status: int
) -> None:
    def broken(_: str) -> tuple[bytes, str]:
        raise error

    async with asking(gateway_app(crew.client, metrics=broken)) as http:
        figures = await http.get(f"{LOCAL}/metrics")

    assert figures.status_code == status
    assert figures.headers["Content-Type"] == "application/problem+json"
    assert "hunter2" not in figures.text


async def test_a_gateway_that_is_stopped_as_it_starts_leaves_no_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = asyncio.Event()

    async def startup(self: Server, sockets: object = None) -> None:
        begun.set()
        await asyncio.sleep(0.01)

    monkeypatch.setattr(Server, "startup", startup)
    before = asyncio.all_tasks()

    async def serve() -> None:
        async with listening(Starlette(), Listening()):
            raise AssertionError("it began")

    serving = asyncio.create_task(serve())
    await begun.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert asyncio.all_tasks() == before
