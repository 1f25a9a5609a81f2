"""Lines logged inside a handler say which message it was, without the handler's doing."""

import asyncio
import json

import structlog

from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.handling.context import Context
from tests.messaging.buses import Ask, listening

_render = structlog.processors.JSONRenderer()


def line() -> dict[str, object]:
    """What a log line written here and now would hold."""
    event = structlog.contextvars.merge_contextvars(None, "info", {"event": "here"})
    rendered: dict[str, object] = json.loads(_render(None, "info", event))
    return rendered


async def test_a_line_from_a_handler_names_guild_agent_message_conversation_and_attempt() -> None:
    lines: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    async def write(ask: Ask, context: Context) -> None:
        lines.put_nowait(line())

    async with Bus(open_backend("memory://", guild_id="lab"), guild_id="lab") as bus:
        await bus.subscribe(listening("writer", write, concurrency=1))
        for conversation in ("first", ""):
            asked = await bus.publish("asks", Ask(text="x"), conversation=conversation)

            assert await lines.get() == {
                "event": "here",
                "guild": "lab",
                "agent": "writer",
                "message_id": asked,
                "conversation": conversation or asked,
                "attempt": 1,
            }


async def test_a_task_that_a_handler_started_goes_on_naming_its_message() -> None:
    lines: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    others_came = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def write_later() -> None:
        await others_came.wait()
        lines.put_nowait(line())

    async def handle(ask: Ask, context: Context) -> None:
        if tasks:
            others_came.set()
        else:
            tasks.append(asyncio.create_task(write_later()))

    async with Bus(open_backend("memory://", guild_id="lab"), guild_id="lab") as bus:
        await bus.subscribe(listening("writer", handle, concurrency=1))
        first = await bus.publish("asks", Ask(text="first"))
        await bus.publish("asks", Ask(text="second"))

        assert (await lines.get())["message_id"] == first


async def test_a_name_reads_as_its_value_wherever_it_is_shown() -> None:
    shown: asyncio.Queue[object] = asyncio.Queue()

    async def write(ask: Ask, context: Context) -> None:
        name = structlog.contextvars.get_contextvars()["message_id"]
        shown.put_nowait((name == context.message_id, f"{name} {name!r}"))

    async with Bus(open_backend("memory://", guild_id="lab"), guild_id="lab") as bus:
        await bus.subscribe(listening("writer", write))
        asked = await bus.publish("asks", Ask(text="x"))

        assert await shown.get() == (True, f"{asked} {asked}")
