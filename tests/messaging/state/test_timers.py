"""Messages for later: they come once, in time, or not at all when they were called off."""

from datetime import UTC, datetime, timedelta

import pytest

from messaging.backend import Backend
from messaging.errors import DelayError
from messaging.handling.context import Context
from messaging.wire.topic import retry_topic_of
from tests.messaging.buses import (
    Ask,
    Told,
    listening,
    lying_in,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site

SOON_S = 0.3


async def everything_is_due(backend: Backend) -> None:
    """Return once no message is held back any more."""
    while (wait_s := await backend.release_due()) is not None:
        assert wait_s < SOON_S + 1


def soon(delay_s: float = SOON_S) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=delay_s)


async def test_a_message_is_held_back_until_its_time(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.register(listening("late", tell_later, topics=("told",)))
        await bus.publish("told", Told(text="later"), at=soon())
        await bus.publish("told", Told(text="past"), at=soon(-60))
        await bus.publish("told", Told(text="now"))

        assert await texts_in(bus, "told", 2) == ["past", "now"]
        await everything_is_due(bus.backend)
        assert await texts_in(bus, "told", 3) == ["past", "now", "later"]


async def tell_later(ask: Ask, context: Context) -> None:
    context.send(Told(text=ask.text), "told", at=soon())


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ({"delay_s": -1.0}, "not negative"),
        ({"delay_s": float("inf")}, "finite"),
        ({"delay_s": float("nan")}, "finite"),
        ({"delay_s": 1e30}, "over by the year 9999"),
        ({"at": datetime(2030, 1, 1)}, "time zone"),  # noqa: DTZ001 - that is the point
        ({"at": datetime(2030, 1, 1, tzinfo=UTC), "delay_s": 1.0}, "not both"),
    ],
)
async def test_a_time_that_is_none_is_refused_and_nothing_is_stored(
    site: Site, when: dict[str, float | datetime], problem: str
) -> None:
    async with open_bus(site) as bus:
        for publish, what in ((bus.publish, Told(text="?")), (bus.publish_many, [Told(text="?")])):
            with pytest.raises(DelayError, match=problem):
                await publish("told", what, **when)  # type: ignore[operator]  # one of both

        assert await bus.backend.release_due() is None
        assert await texts_in(bus, "told", 0) == []


async def test_a_message_may_wait_until_the_last_year_there_is(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.publish("told", Told(text="last"), at=datetime.max.replace(tzinfo=UTC))
        await bus.publish("told", Told(text="last"), delay_s=250e9)
        await bus.publish("told", Told(text="now"))

        assert await texts_in(bus, "told", 1) == ["now"]


async def clock(ask: Ask, context: Context) -> None:
    """`set x`, `off x` or `fail x`: what to do with the timer x."""
    verb, _, name = ask.text.partition(" ")
    if verb in ("set", "fail"):
        context.send(Told(text=f"{name} rang"), "told", delay_s=SOON_S, timer=name)
    if verb == "off":
        context.cancel_timer(name)
    if verb == "fail":
        raise RuntimeError("after setting it")


async def test_a_timer_rings_once_unless_it_was_called_off(site: Site) -> None:
    async with open_bus(site) as here, open_bus(site) as there:
        for bus in (here, there):
            await bus.subscribe(listening("clock", clock, concurrency=1))
        await here.publish_many("asks", [Ask(text="set tea"), Ask(text="set egg")])
        await settled_all(here, "clock")
        await here.publish_many("asks", [Ask(text="off egg"), Ask(text="off nothing")])
        await settled_all(here, "clock")
        told = await lying_in(here, "told")
        await everything_is_due(here.backend)
        await settled_all(here, "clock")

        assert await texts_in(here, "told") == ["tea rang"]
        assert (told[0].envelope.sender, told[0].envelope.origin) == ("clock", "")
        for name in ("tea", "egg"):
            assert await here.backend.load_state("clock", f"_bus.timer.{name}") is None


async def test_a_timer_that_is_set_again_rings_for_the_last_time_it_was_set(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("clock", clock, concurrency=1))
        for _ in range(3):
            await bus.publish("asks", Ask(text="set tea"))
        await settled_all(bus, "clock")
        await lying_in(bus, "told")
        await everything_is_due(bus.backend)
        await settled_all(bus, "clock")

        assert await texts_in(bus, "told") == ["tea rang"]


async def test_a_handler_that_fails_has_set_no_timer(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("clock", clock))
        await bus.publish("asks", Ask(text="fail tea"))
        await settled_all(bus, "clock")
        await everything_is_due(bus.backend)
        await settled_all(bus, "clock")

        assert await bus.backend.load_state("clock", "_bus.timer.tea") is None
        assert "told" not in [info.topic for info in await bus.backend.topics()]


async def test_a_timer_waits_for_its_agent_and_rings_when_it_is_back(site: Site) -> None:
    async with open_bus(site) as first:
        running = await first.subscribe(listening("clock", clock))
        await first.publish("asks", Ask(text="set tea"))
        await settled_all(first, "clock")
        await running.drain()
        await everything_is_due(first.backend)
        await lying_in(first, retry_topic_of("clock"))

        async with open_bus(site) as second:
            await second.subscribe(listening("clock", clock))
            assert await texts_in(second, "told") == ["tea rang"]


async def test_a_handler_may_set_and_call_off_in_one_go(site: Site) -> None:
    async def handle(ask: Ask, context: Context) -> None:
        context.send(Told(text="no"), "told", delay_s=0.0, timer="a")
        context.cancel_timer("a")
        context.send(Told(text="no"), "told", delay_s=0.0, timer="b")
        context.send(Told(text="yes"), "told", delay_s=0.0, timer="b")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("clock", handle))
        await bus.publish("asks", Ask(text="go"))

        assert await texts_in(bus, "told") == ["yes"]
        await settled_all(bus, "clock")
        assert await texts_in(bus, "told") == ["yes"]


async def test_an_agent_that_reminds_itself_for_ever_is_no_loop(site: Site) -> None:
    rung: list[int] = []

    async def handle(ask: Ask, context: Context) -> None:
        rung.append(context.envelope.hops)
        if len(rung) < 6:
            context.send(Ask(text="again"), timer="tick", detached=True)
        else:
            context.send(Told(text="enough"), "told")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("clock", handle, max_hops=2))
        await bus.publish("asks", Ask(text="go"))
        (told,) = await lying_in(bus, "told")

    assert rung == [0] * 6
    assert told.envelope.hops == 1


@pytest.mark.parametrize("name", ["a\nb", "x" * 201])
async def test_a_timer_needs_a_name(site: Site, name: str) -> None:
    errors: list[Exception] = []

    async def handle(ask: Ask, context: Context) -> None:
        try:
            context.send(Told(text="?"), "told", timer=name)
        except ValueError as error:
            errors.append(error)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("clock", handle))
        await bus.publish("asks", Ask(text="go"))
        await settled_all(bus, "clock")

    assert "printable" in str(errors[0])
