"""Gateways in processes of their own: the clock jumps, the spec changes, they are told to stop."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from guild.runtime import Guild
from messaging.wire.envelope import new_id
from tests.cli.conftest import ROOT, started
from tests.clocks import Clock
from tests.gateway.crew import SPEC, began, crew_spec, gates
from tests.gateway.test_killed import Gateway
from tests.gateway.test_streams import EVENTS, NOTE, events_from, saying
from tests.servers import free_port

DAY_S = 86_400

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


def gateway_of(folder: Path, guild_id: str, bus: str, port: int = 0, **options: Any) -> Any:
    """A process that serves a guild that runs here."""
    file = folder / f"{guild_id}.yaml"
    file.write_text(SPEC.format(id=guild_id))
    words = ("console", file, "--port", str(port), "--bus", bus, "--allow", "tests.gateway")
    return started(*words, cwd=ROOT, **options)


@pytest.mark.parametrize("ahead_s", [DAY_S, -DAY_S])
async def test_a_clock_that_jumps_stops_no_stream_and_loses_no_place(
    crew: Guild, redis_url: str, tmp_path: Path, ahead_s: int
) -> None:
    """What a gateway tells has the store's clock, and what it waits for one that goes on."""
    clock = Clock(tmp_path / "clock")
    process = gateway_of(tmp_path, crew.spec.id, redis_url, env={**os.environ, **clock.environment})
    gateway, gate = Gateway(process), new_id()
    async with gateway.http as http:
        wanted = {"topic": "notes"}
        async with AsyncExitStack() as stack:
            asked = saying(text=gate, words=4, gate=gate)
            answering = await stack.enter_async_context(
                http.stream("POST", "topics/says/requests", json=asked, headers=EVENTS)
            )
            watching = await stack.enter_async_context(
                http.stream("GET", "messages", params=wanted, headers=EVENTS)
            )
            answer, rows = events_from(answering), events_from(watching)
            await anext(answer)
            sent = [(await http.post("topics/notes/messages", json=NOTE)).json()["message_id"]]
            _, place, seen = await anext(rows)
            clock.set(ahead_s)
            gates.setdefault(gate, asyncio.Event()).set()
            told = [each async for each in answer]
            sent += [(await http.post("topics/notes/messages", json=NOTE)).json()["message_id"]]
        headers = {**EVENTS, "Last-Event-ID": place}
        async with http.stream("GET", "messages", params=wanted, headers=headers) as again:
            _, _, behind = await anext(events_from(again))
        plain = await http.post("topics/says/requests", json=saying(text="plain"))
    gateway.kill()
    process.communicate()

    assert (told[-1][0], plain.status_code) == ("answer", 200)
    assert [row["id"] for row in (*seen["rows"], *behind["rows"])] == sent


async def test_a_page_learns_that_another_guild_is_served_at_its_address(
    crew: Guild, redis_url: str, tmp_path: Path
) -> None:
    port, other_id = free_port(), f"crew-{new_id()}"
    process = gateway_of(tmp_path, crew.spec.id, redis_url, port)
    gateway = Gateway(process)
    async with gateway.http as http, Guild.launch(crew_spec(other_id), bus=redis_url):
        async with http.stream("GET", "messages", headers=EVENTS) as stream:
            await http.post("topics/notes/messages", json=NOTE)
            events = events_from(stream)
            _, place, _ = await anext(events)
            process.send_signal(signal.SIGTERM)
            rest = [each async for each in events]
        process.communicate()
        with pytest.raises(httpx.TransportError):
            await http.get("guild")
        successor = gateway_of(tmp_path, other_id, redis_url, port)
        Gateway(successor)
        now = (await http.get("guild")).json()
        headers = {**EVENTS, "Last-Event-ID": place}
        async with http.stream("GET", "messages?topic=notes", headers=headers) as stream:
            sent = await http.post("topics/notes/messages", json=NOTE)
            _, _, seen = await anext(events_from(stream))
        successor.kill()
        successor.communicate()

    assert (process.returncode, rest) == (0, [])
    assert now["id"] == other_id
    assert [row["id"] for row in seen["rows"]] == [sent.json()["message_id"]]


async def test_a_gateway_that_is_told_to_stop_ends_in_time_whoever_looks(
    crew: Guild, redis_url: str, tmp_path: Path
) -> None:
    process = gateway_of(tmp_path, crew.spec.id, redis_url)
    gateway, gate = Gateway(process), new_id()
    async with gateway.http as http, AsyncExitStack() as stack:
        for path in ("messages", "events", "live") * 5:
            stream = await stack.enter_async_context(http.stream("GET", path, headers=EVENTS))
            assert stream.status_code == 200
        asked = asyncio.create_task(
            http.post("topics/says/requests", json=saying(text=gate, gate=gate))
        )
        await began.setdefault(gate, asyncio.Event()).wait()
        process.send_signal(signal.SIGTERM)
        told = await asked
        async with asyncio.timeout(60):  # answers have ten seconds, on a machine that is not busy
            await asyncio.to_thread(process.wait)
    gates.setdefault(gate, asyncio.Event()).set()
    _, err = process.communicate()

    assert (told.status_code, told.json()["error"]) == (503, "GatewayClosingError")
    assert process.returncode == 0
    assert "Traceback" not in err
