"""Thousands of tabs that nobody reads any more, each with a connection that is open."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from guild.gateway.limits import Limits
from tests.gateway.conftest import Serve, until
from tests.gateway.test_streams import saying

TABS = 3000
MOST_OF_ONE_BYTES = 256 * 1024
"""What waits in the gateway, in the transport and on its way there, and the machinery of it."""


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


@asynccontextmanager
async def stale_tabs(port: int, path: str) -> AsyncIterator[None]:
    """Clients that ask for events and read nothing."""
    head = f"GET /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    tabs, loop = list[socket.socket](), asyncio.get_running_loop()
    try:
        for _ in range(TABS):
            tab = socket.socket()
            tab.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            tab.setblocking(False)
            tabs.append(tab)
            await loop.sock_connect(tab, ("127.0.0.1", port))
            await loop.sock_sendall(tab, head.encode())
        yield
    finally:
        for tab in tabs:
            tab.close()


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_tabs_that_read_nothing_take_little_and_are_cut_off(serve: Serve) -> None:
    """HenryLach/taskplane 664, anomalyco/opencode 31923: each tab that was left open kept what it
    was to be sent, until the server had no memory left."""
    limits = Limits(
        streams=TABS, streams_of_one=TABS, burst=2 * TABS, waiting_bytes=16_384, stalled_s=30.0
    )
    served = await serve(limits, sent_bytes=4096)
    most_open, peak, before = 0, 0, resident_bytes()

    def all_are_cut_off() -> bool:
        nonlocal most_open, peak
        most_open = max(most_open, served.streams.open)
        peak = max(peak, resident_bytes())
        return not served.streams.open

    async with served.http() as http:
        asked = await http.post(
            "topics/says/requests", json=saying(text="much", words=200, size=1000)
        )
        path = f"requests/{asked.json()['message_id']}"
        async with stale_tabs(served.port, path):
            await until(lambda: served.streams.open > 0)
            meanwhile = await http.get("guild")
            await until(all_are_cut_off)

    assert meanwhile.status_code == 200
    assert peak - before < most_open * MOST_OF_ONE_BYTES
