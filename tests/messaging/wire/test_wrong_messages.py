"""What is no message, or not the one that was declared, fails at once, clearly and only once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from messaging.bus import Bus
from messaging.errors import MessagingError, NotAMessageError
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.handler_table import Target
from messaging.handling.settlement import SettlementBuilder
from messaging.handling.subscription import Declared, Routed, Subscription
from messaging.testing import Recorder, eventually
from tests.messaging.buses import (
    Ask,
    Progress,
    Told,
    dead_letters,
    listening,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site

WRONG: Any = "hello"
CLASS: Any = Ask


class Special(Told):
    more: int = 0


async def send(_: Ask, context: Context) -> None:
    context.send(WRONG, "told")


async def send_anywhere(_: Ask, context: Context) -> None:
    context.send(WRONG)


async def emit(_: Ask, context: Context) -> None:
    context.emit(WRONG)


async def answer(_: Ask, context: Context) -> None:
    assert context.requester is not None
    context.answer(context.requester, WRONG)


async def ask(_: Ask, context: Context) -> None:
    await context.request("asks", WRONG)


@pytest.mark.parametrize("handler", [send, send_anywhere, emit, answer, ask])
async def test_a_handler_that_gives_no_message_is_told_so_and_not_tried_again(
    site: Site, handler: Callable[..., Awaitable[None]]
) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("wrong", handler))
        asking = asyncio.create_task(bus.request("asks", Ask(text="hello")))

        (letter,) = await dead_letters(bus)

        reason = reason_of(letter)
        assert (reason.error_type, len(reason.attempts)) == ("NotAMessageError", 1)
        assert reason.text == (
            "a message is an instance of a pydantic model, not str; nothing was sent"
        )
        with pytest.raises(MessagingError, match="an instance of a pydantic model, not str"):
            await asking


async def test_whoever_publishes_or_asks_no_message_is_told_so(site: Site) -> None:
    async with open_bus(site) as bus:
        for call in (
            bus.publish("asks", WRONG),
            bus.publish_many("asks", [Ask(text=""), WRONG]),
            bus.request("asks", WRONG),
            anext(bus.stream("asks", WRONG)),
        ):
            with pytest.raises(TypeError, match="model, not str; nothing was sent") as told:
                await call
            assert isinstance(told.value, NotAMessageError)
        with pytest.raises(NotAMessageError, match="not the class Ask: make one of it"):
            await bus.publish("asks", CLASS)
        with pytest.raises(NotAMessageError, match="not the class dict"):
            await bus.request("asks", dict)  # type: ignore[arg-type]


def declaring(result: Any, *classes: type[Any], may_be_none: bool = False) -> Subscription:
    plain = listening("teller", Recorder(result), output_topic="told")
    return replace(plain, declared={Ask: Declared("tell", classes, may_be_none)})


@pytest.mark.parametrize(
    ("result", "declared", "may_be_none", "problem"),
    [
        (Progress(step=1), (Told,), False, "tell is declared to return Told and returned Progress"),
        (Ask(text=""), (Told, Progress), True, "return Told or Progress or None and returned Ask"),
        ([Told(text=""), Ask(text="")], (Told,), False, "return Told and returned Ask"),
        (None, (Told,), False, "tell is declared to return Told and returned None"),
        (Told(text=""), (), True, "tell is declared to return None and returned Told"),
        ("text", (Told,), False, "return Told and returned str"),
        (Told(text=""), (Special,), False, "return Special and returned Told"),
    ],
)
async def test_an_answer_that_was_not_declared_is_a_failure_of_the_handling(
    site: Site, result: Any, declared: tuple[type[Any], ...], may_be_none: bool, problem: str
) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(declaring(result, *declared, may_be_none=may_be_none))
        await bus.publish("asks", Ask(text="hello"))

        (letter,) = await dead_letters(bus)

        reason = reason_of(letter)
        assert (reason.error_type, len(reason.attempts)) == ("HandlerResultError", 1)
        assert f"teller: tell is declared to return {declared_text(declared, may_be_none)}" in (
            reason.text
        )
        assert problem in reason.text


def declared_text(declared: tuple[type[Any], ...], may_be_none: bool) -> str:
    return str(Declared("", declared, may_be_none))


@pytest.mark.parametrize(
    ("result", "may_be_none", "sent"),
    [
        (Told(text="one"), False, ["one"]),
        (Special(text="two"), False, ["two"]),
        ([Told(text="three"), Special(text="four")], False, ["three", "four"]),
        (None, True, []),
        ([], False, []),
    ],
)
async def test_what_was_declared_or_is_a_subclass_of_it_is_answered(
    site: Site, result: Any, may_be_none: bool, sent: Sequence[str]
) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(declaring(result, Told, may_be_none=may_be_none))
        await bus.publish("asks", Ask(text="hello"))
        await settled_all(bus, "teller")

        if sent:
            bus.registry.add(Special)
            assert await texts_in(bus, "told", len(sent)) == sent
        assert not await bus.dead_letters.list()


async def test_if_nobody_looked_at_it_an_undeclared_answer_would_go_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "check", lambda *_: None)
    async with open_bus(site) as bus:
        await bus.subscribe(declaring(Told(text="anything"), Progress))
        await bus.publish("asks", Ask(text="hello"))

        assert await texts_in(bus, "told") == ["anything"]


def to_log(_: object, message: object) -> Sequence[Routed]:
    return [Routed("log", message)] if isinstance(message, Told) else []


async def answered_later(bus: Bus) -> None:
    requesters: list[Any] = []

    async def keep(ask: Ask, context: Context) -> None:
        requesters.append(context.requester)

    async def answer_all(progress: Progress, context: Context) -> None:
        for requester in requesters:
            context.answer(requester, Told(text="later"))

    plain = listening("late", keep, topics=["asks", "steps"], route=to_log)
    await bus.subscribe(replace(plain, handlers={Ask: keep, Progress: answer_all}))
    asking = asyncio.create_task(bus.request("asks", Ask(text="hello")))
    await eventually(lambda: bool(requesters))
    await bus.publish("steps", Progress(step=1))
    assert await asking == Told(text="later")
    await settled_all(bus, "late")


async def test_a_route_takes_what_is_answered_later_as_it_takes_what_is_returned(
    site: Site,
) -> None:
    async with open_bus(site) as bus:
        await answered_later(bus)

        assert await texts_in(bus, "log") == ["later"]


async def test_if_answers_passed_the_routes_by_nothing_would_come_of_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SettlementBuilder, "routed", lambda *_: ())
    async with open_bus(site) as bus:
        await answered_later(bus)

        assert "log" not in [info.topic for info in await bus.backend.topics()]
