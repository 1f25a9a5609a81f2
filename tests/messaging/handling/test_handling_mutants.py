"""Handlings with one look less: what tests of messages that nobody should send would see."""

import asyncio
from functools import partial
from typing import Any

import pytest

from messaging.handling import settlement
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.handler_table import HandlerTable
from messaging.handling.runner import HandlerRunner
from messaging.testing import Recorder, memory_bus
from messaging.wire.envelope import Envelope, seal
from messaging.wire.message import Message
from tests.messaging.buses import Ask, dead_letters, listening, lying_in, settled_all

MOST_HOPS = 7

with_mutant = pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])


class Newer(Message, wire_name="Ask", version=2):
    text: str


@with_mutant
async def test_if_nobody_counted_hops_a_loop_would_not_end(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:

        def seal_as_if_new(*parts: Any, hops: int = 0, **fields: Any) -> Envelope:
            return seal(*parts, **fields)

        monkeypatch.setattr(settlement, "seal", seal_as_if_new)
    handled, is_endless = 0, asyncio.Event()

    async def ping(ask: Ask, _: Context) -> Ask | None:
        nonlocal handled
        handled += 1
        if handled < 10 * MOST_HOPS:
            return ask
        is_endless.set()
        return None

    async with memory_bus(Ask) as bus:
        await bus.subscribe(listening("ping", ping, max_hops=MOST_HOPS))
        await bus.publish("asks", Ask(text="to and fro"))

        if is_mutant:
            await is_endless.wait()
            assert not await bus.dead_letters.list()
        else:
            await dead_letters(bus)
            assert handled == MOST_HOPS + 1


@with_mutant
async def test_if_nobody_looked_at_the_deadline_it_would_be_handled_late(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(HandlerRunner, "_check", lambda self, delivery: None)
    recorder = Recorder()
    async with memory_bus(Ask) as bus:
        await bus.subscribe(listening("late", recorder))
        stale = partial(bus.publisher.seal, "asks", deadline_s=-1.0, reply_to="inbox.asker")
        await bus.backend.append([stale(Ask(text="now"))])
        await settled_all(bus, "late")

        assert await recorder.messages(0) == ([Ask(text="now")] if is_mutant else [])
        if not is_mutant:
            (entry,) = await lying_in(bus, "inbox.asker")
            assert entry.envelope.type == "bus.request_failed"


@with_mutant
async def test_if_everything_strange_were_for_others_it_would_vanish(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(HandlerTable, "_is_for_others", lambda self, name, version: True)
    async with memory_bus(Ask) as bus:
        await bus.subscribe(listening("strict", Recorder(), only_known_types=True, lease_s=0.2))
        await bus.publish("asks", Unknown())
        if not is_mutant:
            await dead_letters(bus)  # it was left to others first
        await settled_all(bus, "strict")

        letters = await bus.dead_letters.list()
        assert [letter.envelope.type for letter in letters] == ([] if is_mutant else ["unknown"])


class Unknown(Message, wire_name="unknown"):
    """Nobody handles it."""


@with_mutant
async def test_if_a_newer_version_passed_for_ours_it_would_be_misread(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = HandlerTable._find_other
    if is_mutant:

        def find_ours(self: HandlerTable, name: str, version: int) -> object:
            return find(self, name, 1)

        monkeypatch.setattr(HandlerTable, "_find_other", find_ours)
    recorder = Recorder()
    async with memory_bus(Ask) as bus:
        await bus.subscribe(listening("reader", recorder, lease_s=0.2))
        await bus.publish("asks", Newer(text="in other words"))
        if not is_mutant:
            await dead_letters(bus)  # as above
        await settled_all(bus, "reader")

        letters = [reason_of(letter).error_type for letter in await bus.dead_letters.list()]
        assert letters == ([] if is_mutant else ["TooNewError"])
        misread = [Ask(text="in other words")] if is_mutant else []
        assert await recorder.messages(0) == misread
