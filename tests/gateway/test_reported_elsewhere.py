"""What other gateways and servers were reported for, tried here."""

import asyncio
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from guild.gateway import gateway_app, serving
from guild.gateway.exposure import Listening
from guild.gateway.limits import Limits
from guild.gateway.serving import listening
from guild.runtime import Guild
from messaging.wire.envelope import new_id
from tests.certificates import Authority
from tests.gateway.conftest import Serve, asking, until
from tests.gateway.crew import runs
from tests.gateway.test_gateway import events_in
from tests.gateway.test_streams import EVENTS, NOTE, saying

STREAMS = ["messages", "events", "live", f"requests/{'0' * 32}"]


async def spoken(port: int, *lines: str) -> str:
    """All that the server says to these lines, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    said = await reader.read()
    writer.close()
    return said.decode()


@pytest.mark.parametrize("path", STREAMS)
async def test_the_head_of_a_stream_has_no_body_and_leaves_nothing_open(
    serve: Serve, path: str
) -> None:
    """Kludex/uvicorn 83, 272: the body of a stream came behind a HEAD, or was waited for."""
    served = await serve()
    lines = [f"HEAD /api/v1/{path} HTTP/1.1", "Host: localhost", "Accept: text/event-stream"]
    said = await spoken(served.port, *lines, "Connection: close")
    await until(lambda: served.streams.open == 0)

    assert said.startswith("HTTP/1.1 200 ")
    assert "text/event-stream" in said
    assert said.endswith("\r\n\r\n")
    assert said.count("\r\n\r\n") == 1


async def test_nothing_is_done_that_comes_behind_the_wish_to_close(serve: Serve) -> None:
    """Kludex/uvicorn 2238: a request was answered that came behind `Connection: close`."""
    served, text = await serve(), new_id()
    note = f'{{"type": "gw.note", "data": {{"text": "{text}"}}}}'
    said = await spoken(
        served.port,
        "GET /api/v1/guild HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        "",
        "POST /api/v1/topics/notes/messages HTTP/1.1",
        "Host: localhost",
        f"Content-Length: {len(note)}",
        "",
        note,
    )

    assert said.count("HTTP/1.1 ") == 1
    assert runs[text] == 0


@pytest.mark.parametrize("path", STREAMS)
async def test_a_reader_that_has_gone_before_its_stream_begins_leaves_nothing_over(
    crew: Guild, path: str
) -> None:
    """sysid/sse-starlette 156: what was to be cleaned up behind a generator that never began."""
    app = gateway_app(crew.client)
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/api/v1/{path}",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"accept", b"text/event-stream")],
    }
    sent = list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    for _ in range(10):
        await app(scope, receive, send)  # type: ignore[arg-type]

    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    assert not [name for name in names if name.startswith("EventStream")]
    assert app.state.streams.open == 0
    assert not list(crew.client.bus._requests._attachments.everybody())


async def test_only_places_to_go_on_from_have_an_id(http: httpx.AsyncClient) -> None:
    """NVIDIA-AI-Blueprints/aiq 272: events of the connection itself had ids, too, and a reader that
    came back with one of them skipped what it had not seen."""
    answered = await http.post("topics/says/requests", json=saying(words=2), headers=EVENTS)
    failed = await http.post("topics/breaks/requests", json={"type": "gw.break"}, headers=EVENTS)
    events = [*events_in(answered.text), *events_in(failed.text)]

    assert {name for name, place, _ in events if place} == {"emitted", "answer"}
    assert {name for name, place, _ in events if not place} == {"accepted", "problem"}


async def test_when_to_come_back_is_told_in_seconds_and_not_by_a_clock(crew: Guild) -> None:
    """wso2/carbon-apimgt 7059, allegro/hermes 844: a date of another clock, or nothing, let clients
    come back at once, or never."""
    limits = Limits(rate_per_s=0.01, burst=3, streams_of_one=0)
    async with asking(gateway_app(crew.client, limits=limits)) as http:
        streams = await http.get("messages")
        answers = [await http.get("guild") for _ in range(3)]

    assert (streams.status_code, streams.headers["Retry-After"]) == (429, "1")
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 90 <= int(answers[-1].headers["Retry-After"]) <= 100


@pytest.mark.parametrize(
    "odd",
    [
        lambda key: f"{key}, {key}",
        lambda key: f'"{key}"',
        lambda key: key.upper(),
    ],
    ids=["twice", "quoted", "capitals"],
)
async def test_keys_that_look_alike_are_two(serve: Serve, odd: Callable[[str], str]) -> None:
    """ietf-wg-httpapi/idempotency 2: whether a key was the same was left to each proxy on the way.
    Here what reaches the gateway counts, letter by letter."""
    key, other = "an order", odd("an order")
    path, served = "topics/notes/messages", await serve()
    async with served.http() as http:
        answers = [
            await http.post(path, json=NOTE, headers={"Idempotency-Key": each})
            for each in (key, other, other)
        ]
    ids = [answer.json()["message_id"] for answer in answers]

    assert ids[1] == ids[2]
    assert ids[0] != ids[1]


@pytest.mark.parametrize("is_mutant", [False, True], ids=["", "mutant"])
async def test_a_gateway_that_stops_waits_for_no_goodbye_of_a_client_that_does_not_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_mutant: bool
) -> None:
    """A pool of connections reads none of them before the next request: with TLS, a stop took ten
    seconds.
    """
    monkeypatch.setattr(serving, "GOODBYE_S", 3600.0 if is_mutant else 0.02)
    monkeypatch.setattr(serving, "GRACE_S", 1 if is_mutant else 3600)
    authority = Authority(tmp_path)
    made = authority.issue("gateway", "localhost")
    place = Listening(certificate=made.file, private_key=made.key_file)
    trusted = ssl.create_default_context(cafile=str(authority.file))
    async with listening(gateway_app(None, console=False), place) as (server, url):
        client = await asyncio.open_connection(
            "127.0.0.1", int(url.rpartition(":")[2]), ssl=trusted, server_hostname="localhost"
        )
        client[1].write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await client[0].readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
        client[1].transport.pause_reading()  # type: ignore[attr-defined]

    assert bool(server.server_state.connections) is is_mutant
    client[1].transport.abort()


async def test_a_certificate_that_was_renewed_is_shown_and_one_that_is_spoilt_is_not(
    tmp_path: Path,
) -> None:
    """kserve/kserve 6093: the one of the start was shown until somebody started the server anew."""
    authority = Authority(tmp_path)
    made = authority.issue("gateway", "localhost")
    place = Listening(certificate=made.file, private_key=made.key_file)
    trusted = ssl.create_default_context(cafile=str(authority.file))

    async def shown(port: int) -> object:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusted, server_hostname="localhost"
        )
        certificate = writer.get_extra_info("peercert")["serialNumber"]
        writer.transport.abort()
        return certificate

    app = gateway_app(None, console=False)
    async with listening(app, place, silent_s=0.05) as (_, url):
        port = int(url.rpartition(":")[2])
        first = await shown(port)
        authority.issue("gateway", "localhost")
        while (second := await shown(port)) == first:  # noqa: ASYNC110  it looks now and then
            await asyncio.sleep(0)
        with structlog.testing.capture_logs() as logs:
            made.file.write_text("spoilt")
            await until(lambda: bool(logs))
        third = await shown(port)

    assert (third, logs[0]["event"]) == (second, "gateway.certificate_not_taken")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_a_certificate_that_may_not_be_looked_at_any_more_ends_no_server(
    tmp_path: Path,
) -> None:
    """As when it is renewed into a folder of root's alone."""
    made = Authority(tmp_path).issue("gateway", "localhost")
    place = Listening(certificate=made.file, private_key=made.key_file)
    async with listening(gateway_app(None, console=False), place, silent_s=0.05) as (server, _):
        os.seteuid(65_534)
        try:
            with structlog.testing.capture_logs() as logs:
                await until(lambda: bool(logs) or server.running.done())
        finally:
            os.seteuid(0)
        assert not server.running.done()

    assert logs[0]["event"] == "gateway.certificate_not_taken"
