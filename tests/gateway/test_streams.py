"""Streams on a real server: connections that are lost, readers that are slow, gateways that end."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount

from guild.gateway import gateway_app
from guild.gateway.batches import MOST_BYTES, in_batches
from guild.gateway.limits import Limits
from guild.gateway.routes.watching import _last
from guild.gateway.streams import Event, EventStream, Streams
from guild.gateway.tokens import add_token, remove_token
from guild.runtime import Guild
from messaging.bus import Bus
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope, new_id
from tests.gateway.conftest import Serve, asking, reading, until
from tests.gateway.crew import began, gates, runs
from tests.gateway.test_gateway import events_in

NOTE = {"type": "gw.note"}
EVENTS = {"Accept": "text/event-stream"}


def saying(**data: Any) -> dict[str, Any]:
    return {"type": "gw.say", "data": data}


def texts_in(events: list[tuple[str, str, Any]]) -> list[str]:
    return [data["data"]["text"].strip(".") for name, _, data in events if name == "emitted"]


def id_in(text: str) -> str:
    return text.partition('"message_id":"')[2][:32]


async def events_from(response: httpx.Response) -> AsyncGenerator[tuple[str, str, Any], None]:
    """Each event of a stream, as it comes."""
    text = ""
    async for chunk in response.aiter_text():
        *blocks, text = (text + chunk).split("\n\n")
        for each in events_in("\n\n".join(blocks)):
            yield each


async def lines_of(response: httpx.Response, count: int) -> list[tuple[str, str, Any]]:
    """The first `count` events of a stream."""
    text = ""
    async for chunk in response.aiter_text():
        text += chunk
        if len(events := events_in(text.rpartition("\n\n")[0])) >= count:
            return events[:count]
    raise AssertionError(f"the stream ended after {text}")


async def test_connections_that_are_lost_again_and_again_lose_and_repeat_nothing(
    serve: Serve,
) -> None:
    """feder-cr/invisible_playwright_mcp 1263, modelcontextprotocol/typescript-sdk 2809: a reader
    that came back got all of it once more, or waited for what it had missed."""
    served = await serve()
    gate = new_id()
    async with served.http() as http:
        asked = saying(text="all", words=200, gate=gate)
        async with http.stream("POST", "topics/says/requests", json=asked, headers=EVENTS) as first:
            seen = await lines_of(first, 8)
            place = str(first.url.join(first.headers["Location"]))
        while seen[-1][0] != "answer":
            headers = {**EVENTS, "Last-Event-ID": seen[-1][1]}
            async with http.stream("GET", place, headers=headers) as again:
                seen += await lines_of(again, 1)
            if len(seen) == 50:
                gates.setdefault(gate, asyncio.Event()).set()

    assert texts_in(seen) == [str(number) for number in range(200)]
    assert seen[-1][2]["data"] == {"text": "all"}


async def test_a_request_outlives_its_page(serve: Serve) -> None:
    served = await serve()
    gate = new_id()
    asked = saying(text=gate, words=2, gate=gate)
    async with reading(served.port, "POST", "topics/says/requests", asked) as page:
        accepted = await page.until("emitted")
        page.cut()
        await until(lambda: served.streams.open == 0)
    gates.setdefault(gate, asyncio.Event()).set()
    async with served.http() as http:
        answer = await http.get(f"requests/{id_in(accepted)}")

    assert answer.json()["data"] == {"text": gate}
    assert runs[gate] == 1


async def test_an_answered_request_outlives_its_gateway(serve: Serve, crew: Guild) -> None:
    one, other = await serve(), await serve()
    gate = new_id()
    async with one.http() as http:
        asking = asyncio.create_task(
            http.post("topics/says/requests", json=saying(text="late", gate=gate))
        )
        await began.setdefault(gate, asyncio.Event()).wait()
        one.streams.close()
        one.server.should_exit = True
        told = await asking
    await one.server.running
    gates.setdefault(gate, asyncio.Event()).set()
    async with other.http() as http:
        answer = await http.get(told.headers["Location"].replace("../../", ""))

    assert told.status_code == 503
    assert told.json()["error"] == "GatewayClosingError"
    assert answer.json()["data"] == {"text": "late"}


async def test_a_gateway_that_ends_does_not_wait_for_its_streams(serve: Serve) -> None:
    """Kludex/uvicorn 2943, modelcontextprotocol/python-sdk 514: one page kept a server alive."""
    served = await serve()
    async with served.http() as http, http.stream("GET", "messages", headers=EVENTS) as stream:
        await until(lambda: served.streams.open == 1)
        served.streams.close()
        served.server.should_exit = True
        await stream.aread()
    await served.server.running


async def test_a_stream_that_comes_too_late_is_told_to_come_again(serve: Serve) -> None:
    served = await serve()
    async with served.http(**EVENTS) as http:
        served.streams.close()
        late = await http.get("messages")

    assert (late.status_code, late.json()["error"]) == (503, "GatewayClosingError")
    assert late.headers["Retry-After"] == "1"


async def test_a_reader_that_takes_nothing_is_cut_off_and_the_others_get_all(
    serve: Serve,
) -> None:
    """sysid/sse-starlette 89: a client that was stopped (Ctrl-Z) held its stream for good."""
    served = await serve(Limits(waiting_bytes=65_536, stalled_s=0.5))
    asked = saying(text="much", words=6000, size=1000)
    async with reading(served.port, "POST", "topics/says/requests", asked) as slow:
        accepted = await slow.until("accepted")
        await until(lambda: served.streams.open == 1)
        await until(lambda: served.streams.open == 0)
        cut_off = await slow.rest()
    async with served.http(**EVENTS) as http:
        whole = await http.get(f"requests/{id_in(accepted + cut_off.decode())}")

    assert not cut_off.endswith(b"0\r\n\r\n")
    assert texts_in(events_in(whole.text)) == [str(number) for number in range(6000)]


@pytest.mark.timeout(60)
async def test_pages_do_not_keep_the_server_of_a_host_alive(crew: Guild) -> None:
    """simonw/datasette 2890, sysid/sse-starlette 132: the server waits for the pages, and the
    pages for the app to be told that it stops, which comes behind that. modelcontextprotocol/
    python-sdk 3494: of a second server in the same process every stream ended at once."""
    host = Starlette(routes=[Mount("/guild", app=gateway_app(crew.client))])
    for _ in range(2):
        config = uvicorn.Config(host, port=0, ws="none", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        await until(lambda server=server: server.started)  # type: ignore[misc]
        port = server.servers[0].sockets[0].getsockname()[1]
        gate, url = new_id(), f"http://127.0.0.1:{port}/guild/api/v1/"
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            async with http.stream("GET", "live", headers=EVENTS) as page:
                seen = await lines_of(page, 2)
                asked = asyncio.create_task(
                    http.post("topics/says/requests", json=saying(text="late", gate=gate))
                )
                await began.setdefault(gate, asyncio.Event()).wait()
                server.should_exit = True
                await running
            told = await asked
        gates.setdefault(gate, asyncio.Event()).set()

        assert [name for name, _, _ in seen] == ["snapshot", "delta"]
        assert (told.status_code, told.json()["error"]) == (503, "GatewayClosingError")


async def test_a_reader_that_is_behind_gets_all_in_order_when_it_reads(serve: Serve) -> None:
    """What it does not take waits on the bus, and no more than the limit in the gateway."""
    served = await serve(Limits(waiting_bytes=65_536))
    asked = saying(text="much", words=6000, size=1000)
    async with (
        served.http() as http,
        reading(served.port, "POST", "topics/says/requests", asked) as slow,
    ):
        text = await slow.until("conversation")
        await http.get(f"requests/{id_in(text)}")
        text += await slow.until("event: answer")

    numbers = [part.partition('"')[0].strip(".") for part in text.split('"text":"')[1:]]
    assert [number for number in numbers if number != "much"] == [str(n) for n in range(6000)]


async def test_more_streams_than_may_be_are_refused(serve: Serve) -> None:
    served = await serve(Limits(streams_of_one=1))
    async with served.http(**EVENTS) as http:
        async with http.stream("GET", "messages"):
            await until(lambda: served.streams.open == 1)
            refused = await http.get("messages")
            text = new_id()
            not_asked = await http.post("topics/says/requests", json=saying(text=text))
        await until(lambda: served.streams.open == 0)
        await http.post("topics/says/requests", json=saying(text="the next"))

    assert (refused.status_code, not_asked.status_code) == (429, 429)
    assert runs[text] == 0
    assert refused.json()["error"] == "TooManyStreamsError"
    assert refused.headers["Retry-After"] == "1"


@pytest.mark.parametrize("path", ["live", "messages", "events"])
async def test_readers_that_come_at_once_get_no_more_streams_than_may_be(
    serve: Serve, path: str
) -> None:
    """As after an outage, when all pages come back in one moment."""
    served = await serve(Limits(streams_of_one=3))
    asked, statuses, ends = 20, list[int](), asyncio.Event()

    async def read(http: httpx.AsyncClient) -> None:
        async with http.stream("GET", path) as response:
            statuses.append(response.status_code)
            await ends.wait()

    async with served.http(**EVENTS) as http, asyncio.TaskGroup() as readers:
        for _ in range(asked):
            readers.create_task(read(http))
        await until(lambda: len(statuses) == asked)
        most_open = served.streams.open
        ends.set()
    await until(lambda: served.streams.open == 0)

    assert most_open == 3
    assert sorted(statuses) == [200] * 3 + [429] * (asked - 3)


async def test_a_stream_that_is_dropped_before_it_begins_gives_its_place_back() -> None:
    async def nothing(_: str) -> AsyncGenerator[Event, None]:
        return
        yield

    limits = Limits(streams_of_one=1)
    streams = Streams(limits)
    for _ in range(3):
        stream = EventStream(
            nothing, limits, streams, caller="ada", is_still_known=lambda: True, headers={}
        )
        assert streams.open == 1
        del stream

    assert streams.open == 0


async def test_a_request_that_was_accepted_is_not_refused_for_want_of_a_stream(
    crew: Guild,
) -> None:
    texts = [new_id() for _ in range(4)]
    app = gateway_app(crew.client, limits=Limits(streams_of_one=1))
    async with asking(app) as http:
        asked = [
            http.post("topics/says/requests", json=saying(text=text), headers=EVENTS)
            for text in texts
        ]
        answers = await asyncio.gather(*asked)
        later = [answer for answer in answers if answer.status_code == 202]
        found = [await http.get(answer.json()["location"][6:]) for answer in later]

    assert sorted(answer.status_code for answer in answers) == [200, 202, 202, 202]
    assert {answer.json()["data"]["text"] for answer in found} < set(texts)
    assert [runs[text] for text in texts] == [1, 1, 1, 1]


async def test_a_quiet_stream_shows_that_it_lives(serve: Serve) -> None:
    served = await serve(Limits(quiet_s=0.05))
    async with reading(served.port, "GET", "messages") as watching:
        await watching.until(": quiet\n\n")
    await until(lambda: served.streams.open == 0)


@pytest.mark.parametrize(
    ("position", "error"),
    [
        ("nonsense", "InvalidParameterError"),
        ("1" * 101, "InvalidParameterError"),
        ("1-1-1", "InvalidParameterError"),
        ("../../x", "InvalidParameterError"),
        ("9999999999999-0", "PositionLostError"),
        ("1-1", "PositionLostError"),
    ],
)
async def test_a_position_that_is_none_is_refused_with_a_status(
    http: httpx.AsyncClient, position: str, error: str
) -> None:
    asked = await http.post("topics/says/requests", json=saying(text="x", words=3))
    place = f"requests/{asked.json()['message_id']}"

    answer = await http.get(place, headers={**EVENTS, "Last-Event-ID": position})

    assert answer.json()["error"] == error
    assert answer.status_code == (410 if error == "PositionLostError" else 422)


async def test_a_message_that_passes_is_shown_and_what_does_not_fit_is_not(
    http: httpx.AsyncClient, serve: Serve
) -> None:
    served = await serve()
    async with served.http() as client:
        wanted = {"topic": "notes,says", "text": "needle"}
        async with client.stream("GET", "messages", params=wanted, headers=EVENTS) as stream:
            await until(lambda: served.streams.open == 1)
            for text in ("hay", "a needle in hay"):
                note = {"type": "gw.note", "data": {"text": text}}
                await client.post("topics/notes/messages", json=note)
            ((name, _, data),) = await lines_of(stream, 1)

    assert name == "rows"
    assert [row["data"]["text"] for row in data["rows"]] == ["a needle in hay"]
    assert data["left_off"] == 0


async def test_what_passed_while_a_reader_was_away_is_told_when_it_comes_back(
    serve: Serve,
) -> None:
    """Also at another gateway, of topics that came into being meanwhile, and nothing twice."""
    one, other = await serve(), await serve()
    seen, topics = list[str](), ["notes", "says", "later.a", "later.b"]
    headers, count = dict(EVENTS), 0
    async with one.http() as http, other.http() as http_of_other:
        for round_ in range(6):
            for topic in topics[: 2 + round_ // 2] if round_ else ():
                await http.post(f"topics/{topic}/messages", json=NOTE)
                count += 1
            reader = (http, http_of_other)[round_ % 2]
            wanted = {"topic": "notes,says,later.*"}
            async with reader.stream("GET", "messages", params=wanted, headers=headers) as stream:
                if not round_:
                    await until(lambda: one.streams.open == 1)
                    await http.post("topics/notes/messages", json=NOTE)
                    count += 1
                async for _, place, data in events_from(stream):
                    seen += [row["id"] for row in data["rows"]]
                    headers["Last-Event-ID"] = place
                    assert data["left_off"] == 0
                    if len(seen) == count:
                        break

    assert len(set(seen)) == len(seen) == count


async def test_events_of_the_guild_go_on_behind_the_last_that_came(serve: Serve) -> None:
    one, other = await serve(), await serve()
    acts, headers = list[str](), dict(EVENTS)
    async with one.http() as http:
        for served in (one, other, one):
            async with (
                served.http() as reader,
                reader.stream("GET", "events", headers=headers) as stream,
            ):
                await until(lambda served=served: served.streams.open == 1)  # type: ignore[misc]
                await http.post("agents/listener/pause")
                async for _, place, data in events_from(stream):
                    acts.append(data["event"].get("act", ""))
                    headers["Last-Event-ID"] = place
                    if acts[-1] == "pause":
                        break
            await until(lambda served=served: served.streams.open == 0)  # type: ignore[misc]
            await http.post("agents/listener/resume")

    assert [act for act in acts if act] == ["pause", "resume", "pause", "resume", "pause"]


async def test_the_live_view_goes_on_behind_the_last_delta_that_came(serve: Serve) -> None:
    """A page that was away for a moment does not begin to count anew."""
    served = await serve()
    headers, handled, names = dict(EVENTS), list[int](), list[str]()
    async with served.http() as http:
        for _ in range(3):
            async with http.stream("GET", "live", headers=headers) as stream:
                async for name, place, data in events_from(stream):
                    names.append(name)
                    headers["Last-Event-ID"] = place
                    await http.post("topics/says/requests", json=saying(text="x"))
                    count = data["agents"].get("speaker", {}).get("handled", 0)
                    if count > sum(handled[-1:]):
                        handled.append(count)
                        break
            await until(lambda: served.streams.open == 0)
        headers["Last-Event-ID"] = "unknown"
        async with http.stream("GET", "live", headers=headers) as stream:
            anew = await lines_of(stream, 1)

    assert names[0] == "snapshot"
    assert set(names[1:]) == {"delta"}
    assert handled == sorted(handled)
    assert anew[0][0] == "snapshot"


@pytest.mark.parametrize("path", ["messages?topic=notes", "events"])
@pytest.mark.parametrize(
    "place", ["x", "1", "nan;", "1e999;", "1;notes=x,guild.events=x", "1;" * 5000]
)
async def test_a_place_that_is_none_is_refused(
    http: httpx.AsyncClient, path: str, place: str
) -> None:
    answer = await http.get(path, headers={**EVENTS, "Last-Event-ID": place})

    assert (answer.status_code, answer.json()["error"]) == (422, "InvalidParameterError")


async def test_a_place_opens_no_topic_that_was_not_asked_for(serve: Serve) -> None:
    served = await serve()
    headers = {**EVENTS, "Last-Event-ID": "1;says=0-1,_live=0-1"}
    async with served.http() as http:
        await http.post("agents/speaker/pause")
        await http.post("topics/says/messages", json=saying(text="not asked for"))
        await http.post("topics/notes/messages", json=NOTE)
        async with http.stream("GET", "messages?topic=notes", headers=headers) as stream:
            ((_, _, data),) = await lines_of(stream, 1)

    assert {row["topic"] for row in data["rows"]} == {"notes"}


async def test_the_messages_of_an_agent_are_those_that_it_sends_or_takes(
    http: httpx.AsyncClient,
) -> None:
    await http.post("agents/speaker/pause")
    await http.post("agents/listener/pause")
    for topic, type_, tags in (
        ("notes", "gw.note", []),
        ("notes", "gw.note", ["speaker"]),
        ("notes", "gw.break", []),
        ("says", "gw.say", []),
        ("elsewhere", "gw.note", []),
    ):
        await http.post(f"topics/{topic}/messages", json={"type": type_, "tags": tags})
    told = {
        agent: (await http.get("messages", params={"agent": agent, "follow": False})).json()["rows"]
        for agent in ("listener", "speaker", "nobody", "client")
    }

    assert [(row["topic"], row["type"]) for row in told["listener"]] == [("notes", "gw.note")]
    assert [row["topic"] for row in told["speaker"]] == ["says"]
    assert told["nobody"] == []
    assert len(told["client"]) >= 5


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    "bound", [{"most": 3}, {"most": 1000, "size_of": lambda _: MOST_BYTES // 3}]
)
async def test_of_a_million_rows_the_last_are_told_and_no_more_are_kept(
    is_stream: bool, bound: dict[str, Any]
) -> None:
    """A thousand messages of four megabytes are as much as a million small ones."""

    class Row:
        alive = 0

        def __init__(self, number: int) -> None:
            self.number = number
            Row.alive += 1

        def __del__(self) -> None:
            Row.alive -= 1

    most_alive = 0

    async def passing() -> AsyncGenerator[Row, None]:
        nonlocal most_alive
        for number in range(200_000):
            yield Row(number)
            most_alive = max(most_alive, Row.alive)

    if is_stream:
        told = await anext(in_batches(passing(), **bound))
    else:
        told = await _last(passing(), **bound)

    assert [row.number for row in told.items] == [199_997, 199_998, 199_999]
    assert told.left_off == 199_997
    assert most_alive < 10


async def test_what_the_topics_hold_is_told_once(http: httpx.AsyncClient) -> None:
    await http.post("agents/listener/pause")
    for number in range(5):
        note = {"type": "gw.note", "data": {"text": str(number)}}
        await http.post("topics/notes/messages", json=note)
    wanted = {"topic": "notes", "follow": False, "count": 2}
    told = (await http.get("messages", params=wanted)).json()
    events = (await http.get("events", params={"follow": False, "count": 1})).json()

    assert [row["data"]["text"] for row in told["rows"]] == ["3", "4"]
    assert told["left_off"] == 3
    assert events["events"][0]["event"]["act"] == "pause"


@pytest.mark.parametrize("is_mutant", [False, True], ids=["", "mutant"])
async def test_of_all_that_passes_only_what_is_told_is_decoded(
    http: httpx.AsyncClient, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, decoded = Decoder.read, list[str]()
    tap = Bus.tap

    def noted(self: Decoder, envelope: Envelope) -> BaseModel:
        if envelope.type == "gw.note":
            decoded.append(envelope.id)
        return read(self, envelope)

    def decoding(self: Bus, *each: Any, decode: bool = True, **more: Any) -> Any:
        return tap(self, *each, **more)

    await http.post("agents/listener/pause")
    for number in range(20):
        note = {"type": "gw.note", "data": {"text": str(number)}}
        await http.post("topics/notes/messages", json=note)
    monkeypatch.setattr(Decoder, "read", noted)
    if is_mutant:
        monkeypatch.setattr(Bus, "tap", decoding)
    wanted = {"topic": "notes", "follow": False, "count": 2}
    told = (await http.get("messages", params=wanted)).json()

    assert [row["data"]["text"] for row in told["rows"]] == ["18", "19"]
    assert (len(decoded) == 2) is not is_mutant


async def test_rows_that_are_too_much_together_are_left_off(http: httpx.AsyncClient) -> None:
    """Fifty messages of a megabyte, four times a second, are more than any page can take."""
    await http.post("agents/listener/pause")
    for number in range(4):
        note = {"type": "gw.note", "data": {"text": f"{number}".ljust(400_000)}}
        await http.post("topics/notes/messages", json=note)
    told = (await http.get("messages", params={"topic": "notes", "follow": False})).json()

    assert [row["data"]["text"].strip() for row in told["rows"]] == ["2", "3"]
    assert told["left_off"] == 2


async def test_a_stream_ends_with_the_token_that_opened_it(serve: Serve, tmp_path: Path) -> None:
    """arita-yuto/video-review 214, wazuh/wazuh 38616: revoked, a token was good until a restart."""
    file = tmp_path / "tokens"
    secret = add_token(file, "ada", ["read"])
    served = await serve(Limits(quiet_s=0.05), gateway={"tokens": file})
    headers = {**EVENTS, "Authorization": f"Bearer {secret}"}
    async with served.http(**headers) as http, http.stream("GET", "messages") as stream:
        await until(lambda: served.streams.open == 1)
        remove_token(file, "ada")
        seen = [each async for each in events_from(stream)]
        again = await http.get("guild")

    assert (seen[-1][0], seen[-1][2]["status"]) == ("problem", 401)
    assert again.status_code == 401
