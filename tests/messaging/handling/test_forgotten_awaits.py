"""What only fills the commit is done at once; what has to be awaited and is not, is an error."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from messaging.errors import PayloadTooLargeError
from messaging.handling.context import Context
from tests.messaging.buses import Ask, Count, Told, dead_letters, listening, open_bus, settled_all
from tests.messaging.conftest import Site

Forget = Callable[[Context], Any]


async def test_state_is_saved_and_deleted_with_and_without_await(site: Site) -> None:
    async def keep(ask: Ask, context: Context) -> Told:
        context.state.save("plain", Count(value=1))
        await context.state.save("awaited", Count(value=2))
        await asyncio.gather(context.state.save("gathered", Count(value=3)))
        context.state.save("gone", Count(value=4))
        context.state.delete("gone")
        await context.state.delete("never there")
        assert await context.state.load("plain", Count) == Count(value=1)
        return Told(text="kept")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("keeper", keep))
        await bus.request("asks", Ask(text="keep"))

        for key, value in {"plain": 1, "awaited": 2, "gathered": 3}.items():
            stored = await bus.backend.load_state("keeper", key)
            assert stored is not None
            assert Count.model_validate_json(stored.value) == Count(value=value)
        assert await bus.backend.load_state("keeper", "gone") is None


async def test_a_plain_handler_saves_without_waiting_and_may_wait_as_before(site: Site) -> None:
    def keep(ask: Ask, context: Context) -> Told:
        context.state.save("one", Count(value=1))
        context.wait_for(context.state.save("other", Count(value=2)))
        context.wait_for(context.state.delete("third"))
        return Told(text="kept")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("keeper", keep))
        await bus.request("asks", Ask(text="keep"))

        assert await bus.backend.load_state("keeper", "one") is not None
        assert await bus.backend.load_state("keeper", "other") is not None


@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize(
    ("forget", "called"),
    [
        (lambda context: context.state.load("count", Count), "ctx.state.load('count')"),
        (lambda context: context.step("pay", print, "paid"), "ctx.step('pay', …)"),
        (lambda context: context.request("asks", Ask(text="?")), "ctx.request('asks', …)"),
    ],
)
async def test_what_is_never_awaited_fails_the_handling_and_is_named(
    site: Site, forget: Forget, called: str, is_plain: bool
) -> None:
    starts = 0

    async def handle(ask: Ask, context: Context) -> None:
        nonlocal starts
        starts += 1
        context.send(Told(text="never"), "told")
        forget(context)

    def handle_plainly(ask: Ask, context: Context) -> None:
        nonlocal starts
        starts += 1
        context.send(Told(text="never"), "told")
        forget(context)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("forgetful", handle_plainly if is_plain else handle))
        await bus.publish("asks", Ask(text="go"))

        (letter,) = await dead_letters(bus)

        assert b"ForgottenAwaitError" in letter.reason
        assert called.encode() in letter.reason
        assert not await bus.backend.tail({"told": ""}, max_count=1, wait_s=0)
    assert starts == 1  # no further attempt can cure it


async def test_if_nobody_looked_for_it_a_handling_would_commit_without_what_it_forgot(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = Context.forgotten

    def overlook(self: Context) -> None:
        forgotten(self)

    monkeypatch.setattr(Context, "forgotten", overlook)

    async def handle(ask: Ask, context: Context) -> Told:
        context.step("pay", print, "paid")  # type: ignore[unused-coroutine]
        return Told(text="paid, really")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("forgetful", handle))

        assert await bus.request("asks", Ask(text="go")) == Told(text="paid, really")


async def test_what_is_awaited_elsewhere_counts_as_awaited(site: Site) -> None:
    async def handle(ask: Ask, context: Context) -> Told:
        task = asyncio.create_task(context.state.load("count", Count))
        first, second = await asyncio.gather(
            context.step("one", str, 1), context.step("two", str, 2)
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(context.state.load("other", Count))
        await task
        return Told(text=f"{first}{second}")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("awaiting", handle))

        assert await bus.request("asks", Ask(text="go")) == Told(text="12")


@pytest.mark.parametrize("key", ["", "_bus.mine", "\udce9"])
async def test_a_key_that_is_none_is_refused_where_it_is_used(site: Site, key: str) -> None:
    async def handle(ask: Ask, context: Context) -> Told:
        for use in (
            lambda: context.state.load(key, Count),
            lambda: context.state.save(key, Count()),
            lambda: context.state.delete(key),
        ):
            with pytest.raises(ValueError, match="is no key"):
                use()
        return Told(text="refused")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("strange", handle))

        assert await bus.request("asks", Ask(text="go")) == Told(text="refused")


async def test_a_value_past_the_cap_is_refused_where_it_is_saved(site: Site) -> None:
    starts = 0

    async def hoard(ask: Ask, context: Context) -> None:
        nonlocal starts
        starts += 1
        context.state.save("hoard", Told(text="x" * 2_000))

    backend = await site.open(max_envelope_bytes=2_000)
    async with open_bus(site, backend=backend) as bus:
        await bus.subscribe(listening("hoarder", hoard))
        await bus.publish("asks", Ask(text="go"))

        (letter,) = await dead_letters(bus)
        await settled_all(bus, "hoarder")

    assert PayloadTooLargeError.__name__.encode() in letter.reason
    assert b"the state 'hoard' is 2,011 bytes long and the limit is 2,000" in letter.reason
    assert starts == 1
