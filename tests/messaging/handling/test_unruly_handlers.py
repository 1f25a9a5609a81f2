"""A worker's place survives anything that a handler does: the next message is handled there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
import structlog

from messaging.consuming.replica import Running
from messaging.consuming.workers import Workers
from messaging.errors import RequestFailedError, RequestTimeoutError
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.subscription import Subscription
from messaging.handling.worker_slot import UnsettledError
from tests.messaging.buses import (
    Ask,
    Count,
    Told,
    dead_letters,
    echo,
    listening,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site

ATTEMPTS = 2
SOON_S = 5.0

colour: ContextVar[str] = ContextVar("colour", default="none")


class OfItsOwn(BaseException):
    """Neither an error nor anything that Python raises."""


class Mute(Exception):  # noqa: N818 - it is what it is
    def __str__(self) -> str:
        raise KeyboardInterrupt

    @property
    def retryable(self) -> bool:
        raise SystemExit

    __repr__ = __str__


class Endless(Exception):  # noqa: N818 - as above
    def __str__(self) -> str:
        return "x" * 5_000_000


async def cancel_and_wait(_: Context) -> None:
    _me().cancel()
    await asyncio.sleep(0)


async def cancel_and_raise(_: Context) -> None:
    _me().cancel()
    raise ValueError("after it")


async def cancel_again_and_again(_: Context) -> None:
    for _attempt in range(5):
        _me().cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
    raise ValueError("enough")


async def cancel_and_take_back(_: Context) -> None:
    """Nothing but the next `await`, which is none of this handler, shows of it."""
    _me().cancel()
    _me().uncancel()
    raise ValueError("behind it")


async def take_back_what_was_never_cancelled(_: Context) -> None:
    _me().uncancel()
    raise ValueError("anyway")


async def be_cancelled_later(_: Context) -> None:
    asyncio.get_running_loop().call_soon(_me().cancel)
    await asyncio.Future()


async def wait_for_what_is_cancelled(_: Context) -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def wait_for_what_exits(_: Context) -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_exception(GeneratorExit())
    await future


async def leave_a_timeout_open(_: Context) -> None:
    await asyncio.timeout(0).__aenter__()
    await asyncio.Future()


async def leave_a_scope_open(_: Context) -> None:
    """It goes on cancelling the task for as long as that lives."""
    anyio.CancelScope().__enter__().cancel()
    await asyncio.sleep(0)


async def fail_in_a_group(_: Context) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_raise(ValueError("one")))
        group.create_task(_raise(OfItsOwn()))
        await asyncio.Future()


async def be_cancelled_in_a_group(_: Context) -> None:
    raise BaseExceptionGroup("both", [asyncio.CancelledError(), ValueError("one")])


async def recurse(context: Context) -> None:
    await recurse(context)


async def raise_what_says_nothing(_: Context) -> None:
    raise Mute


async def raise_what_says_too_much(_: Context) -> None:
    raise Endless from Mute()


async def make_an_iterator(_: Context) -> Any:
    return iter(())


async def forget_to_await(_: Context) -> Any:
    return _raise(ValueError("never"))


async def make_an_async_generator(_: Context) -> Any:
    async def generate() -> AsyncIterator[int]:
        yield 1

    return generate()


# What follows returns as if nothing had been.


async def cancel_and_return(_: Context) -> None:
    _me().cancel()


async def cancel_take_back_and_return(_: Context) -> None:
    """On Python 3.11 the next `await` is cancelled all the same."""
    _me().cancel()
    _me().uncancel()


async def cancel_and_swallow(_: Context) -> None:
    _me().cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


async def cancel_and_swallow_and_go_on(_: Context) -> None:
    for _attempt in range(3):
        await cancel_and_swallow(_)
        await asyncio.sleep(0)


async def catch_what_fails_in_a_group(_: Context) -> None:
    """Python 3.11 cancels the parent for it, and does not take that back."""
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(_raise(ValueError("one")))
            await asyncio.Future()


async def catch_what_fails_in_groups_in_groups(_: Context) -> None:
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(catch_what_fails_in_a_group(_))
            await catch_what_fails_in_a_group(_)
            async with asyncio.TaskGroup() as inner:
                inner.create_task(_raise(ValueError("one")))
                await asyncio.Future()


async def catch_its_timeout(_: Context) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Future()


async def catch_its_timeout_after_a_failed_group(_: Context) -> None:
    await catch_what_fails_in_a_group(_)
    with contextlib.suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(0):
            await asyncio.Future()


async def leave_a_scope_open_and_return(_: Context) -> None:
    """It goes on cancelling the task for as long as that lives."""
    anyio.CancelScope().__enter__().cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


def raiser(error: BaseException) -> Any:
    async def raise_it(_: Context) -> None:
        raise error

    return raise_it


def plain_raiser(error: BaseException) -> Any:
    def raise_it(_: Context) -> None:
        raise error

    return raise_it


def yield_by_mistake(_: Context) -> Iterator[int]:
    yield 1


RAISED: tuple[BaseException, ...] = (
    KeyboardInterrupt(),
    SystemExit(1),
    GeneratorExit(),
    OfItsOwn("mine"),
    StopIteration(1),
    StopAsyncIteration(),
    asyncio.CancelledError(),
    Mute(),
)
DEEDS: dict[str, Callable[[Context], Any]] = {
    deed.__name__: deed
    for deed in (
        cancel_and_wait,
        cancel_and_raise,
        cancel_again_and_again,
        cancel_and_take_back,
        take_back_what_was_never_cancelled,
        be_cancelled_later,
        wait_for_what_is_cancelled,
        wait_for_what_exits,
        leave_a_timeout_open,
        leave_a_scope_open,
        fail_in_a_group,
        be_cancelled_in_a_group,
        recurse,
        raise_what_says_nothing,
        raise_what_says_too_much,
        make_an_iterator,
        forget_to_await,
        make_an_async_generator,
        yield_by_mistake,
    )
}
HARMLESS: dict[str, Callable[[Context], Any]] = {
    deed.__name__: deed
    for deed in (
        cancel_and_return,
        cancel_take_back_and_return,
        cancel_and_swallow,
        cancel_and_swallow_and_go_on,
        catch_what_fails_in_a_group,
        catch_what_fails_in_groups_in_groups,
        catch_its_timeout,
        catch_its_timeout_after_a_failed_group,
        leave_a_scope_open_and_return,
    )
}
DEEDS |= {f"raise {type(error).__name__}": raiser(error) for error in RAISED}
DEEDS |= {f"raise {type(error).__name__} in a thread": plain_raiser(error) for error in RAISED}


def _me() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def _raise(error: BaseException) -> None:
    raise error


async def _nothing() -> str:
    return ""


def unruly(deed: Callable[[Context], Any], **changes: Any) -> Subscription:
    """An agent with one place, whose handler does `deed` when it is told so, and else answers."""
    if asyncio.iscoroutinefunction(deed):

        async def handle(ask: Ask, context: Context) -> Any:
            return await deed(context) if ask.text == "bad" else Told(text=ask.text)
    else:

        def handle(ask: Ask, context: Context) -> Any:  # type: ignore[misc] # a plain one
            return deed(context) if ask.text == "bad" else Told(text=ask.text)

    changes = {"concurrency": 1, "drain_s": 0.0} | changes
    team = listening("team", handle, **changes)
    retry = team.options.retry.__class__(attempts=ATTEMPTS, backoff_s=0.0, jitter=0.0)
    return listening("team", handle, retry=retry, **changes)


async def ends_soon(running: Running) -> None:
    async with asyncio.timeout(SOON_S):
        await running.drain()


@pytest.mark.parametrize("timeout_s", [None, 20.0], ids=["", "with a timeout"])
@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
async def test_whatever_a_handler_does_its_message_fails_and_the_next_is_handled(
    site: Site, deed: Callable[[Context], Any], timeout_s: float | None
) -> None:
    async with open_bus(site) as bus:
        running = await bus.subscribe(unruly(deed, timeout_s=timeout_s))

        with pytest.raises(RequestFailedError):
            await bus.request("asks", Ask(text="bad"), timeout_s=SOON_S)

        answer = await bus.request("asks", Ask(text="good"), timeout_s=SOON_S)
        assert answer == Told(text="good")
        (letter,) = await dead_letters(bus)
        is_curable = reason_of(letter).error_type != "HandlerResultError"
        assert len(reason_of(letter).attempts) == (ATTEMPTS if is_curable else 1)
        await settled_all(bus, "team")
        await ends_soon(running)


@pytest.mark.parametrize("timeout_s", [None, 20.0], ids=["", "with a timeout"])
@pytest.mark.parametrize("is_plain", [True, False], ids=["sends", "keeps state"])
@pytest.mark.parametrize("deed", HARMLESS.values(), ids=HARMLESS)
async def test_a_handler_that_swallowed_its_own_cancellation_and_returned_is_done(
    site: Site, deed: Callable[[Context], Any], is_plain: bool, timeout_s: float | None
) -> None:
    calls = 0

    async def survive(context: Context) -> Told:
        nonlocal calls
        calls += 1
        if not is_plain:
            count = await context.state.load("calls", Count) or Count()
            context.state.save("calls", Count(value=count.value + 1))
        context.send(Told(text="sent"), "told")
        await deed(context)
        return Told(text="done")

    async with open_bus(site) as bus:
        running = await bus.subscribe(unruly(survive, timeout_s=timeout_s))

        answer = await bus.request("asks", Ask(text="bad"), timeout_s=SOON_S)

        assert answer == Told(text="done")
        answer = await bus.request("asks", Ask(text="good"), timeout_s=SOON_S)
        assert answer == Told(text="good")
        await settled_all(bus, "team")
        assert await texts_in(bus, "told") == ["sent"]
        assert (await bus.backend.load_state("team", "calls") is None) == is_plain
        assert calls == 1
        assert not await bus.dead_letters.list()
        await ends_soon(running)


async def test_what_swallowed_its_own_cancellation_at_a_second_attempt_is_done(site: Site) -> None:
    """Its settlement has more to write: the history of its attempts goes."""

    async def survive(context: Context) -> Told:
        if context.attempt == 1:
            raise ValueError("at first")
        await context.step("first", _nothing)
        await cancel_take_back_and_return(context)
        return Told(text="done")

    async with open_bus(site) as bus:
        running = await bus.subscribe(unruly(survive))

        answer = await bus.request("asks", Ask(text="bad"), timeout_s=SOON_S)

        assert answer == Told(text="done")
        await settled_all(bus, "team")
        assert not await bus.dead_letters.list()
        await ends_soon(running)


async def test_what_swallowed_its_own_cancellation_while_its_agent_leaves_is_done(
    site: Site,
) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    calls = 0

    async def survive(context: Context) -> Told:
        nonlocal calls
        calls += 1
        begun.set()
        await release.wait()
        await catch_what_fails_in_a_group(context)
        return Told(text="done")

    async with open_bus(site) as bus:
        running = await bus.subscribe(unruly(survive, drain_s=SOON_S))
        asking = asyncio.create_task(bus.request("asks", Ask(text="bad"), timeout_s=SOON_S))
        await begun.wait()
        leaving = asyncio.create_task(running.drain())
        await asyncio.sleep(0)
        release.set()
        await leaving

        assert await asking == Told(text="done")
        assert calls == 1
        await settled_all(bus, "team")


@pytest.mark.parametrize("takes_back", [False, True], ids=["", "and takes it back"])
async def test_a_handler_that_the_end_cancels_is_given_back_although_it_swallows_that(
    site: Site, takes_back: bool
) -> None:
    begun = asyncio.Event()

    async def swallow(context: Context) -> Told:
        begun.set()
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            if takes_back:
                _me().uncancel()
        return Told(text="half of it")

    async with open_bus(site) as bus:
        running = await bus.subscribe(unruly(swallow))
        asking = asyncio.create_task(bus.request("asks", Ask(text="bad"), timeout_s=SOON_S))
        await begun.wait()
        await ends_soon(running)

        await bus.subscribe(listening("team", echo))

        assert await asking == Told(text="bad")
        await settled_all(bus, "team")


async def test_a_handler_that_swallows_that_its_time_is_over_has_failed(site: Site) -> None:
    async def swallow(_: Context) -> Told:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Future()
        return Told(text="half of it")

    async with open_bus(site) as bus:
        await bus.subscribe(unruly(swallow, timeout_s=0.05))

        with pytest.raises(RequestFailedError, match="HandlerTimeoutError"):
            await bus.request("asks", Ask(text="bad"), timeout_s=SOON_S)


async def test_a_handler_that_is_late_after_a_failed_group_has_failed_for_that(site: Site) -> None:
    async def dawdle(context: Context) -> None:
        await catch_what_fails_in_a_group(context)
        await asyncio.Future()

    async with open_bus(site) as bus:
        await bus.subscribe(unruly(dawdle, timeout_s=0.05))

        with pytest.raises(RequestFailedError, match="HandlerTimeoutError"):
            await bus.request("asks", Ask(text="bad"), timeout_s=SOON_S)


async def test_a_request_for_another_cancellation_than_its_own_is_told_apart(site: Site) -> None:
    """A user cancels a handling that cancels itself as well."""

    begun = asyncio.Event()

    async def dig(context: Context) -> None:
        begun.set()
        try:
            await asyncio.Future()
        finally:
            _me().cancel()

    async with open_bus(site) as bus:
        running = await bus.subscribe(unruly(dig))
        doomed = await bus.publish("asks", Ask(text="bad"))
        await begun.wait()

        await bus.cancel(doomed)

        answer = await bus.request("asks", Ask(text="good"), timeout_s=SOON_S)
        assert answer == Told(text="good")
        await settled_all(bus, "team")
        assert not await bus.dead_letters.list()
        await ends_soon(running)


async def test_what_a_handler_leaves_in_context_variables_no_other_message_sees(
    site: Site,
) -> None:
    seen: list[str] = []

    async def paint(ask: Ask, context: Context) -> Told:
        seen.append(colour.get())
        colour.set(ask.text)
        structlog.contextvars.clear_contextvars()
        return Told(text=colour.get())

    async with open_bus(site) as bus:
        await bus.subscribe(listening("team", paint, concurrency=1))
        for text in ("red", "green", "blue"):
            assert await bus.request("asks", Ask(text=text)) == Told(text=text)

    assert seen == ["none"] * 3


async def test_a_handler_that_leaves_nothing_behind_keeps_its_task(site: Site) -> None:
    tasks: set[asyncio.Task[Any]] = set()

    async def work(ask: Ask, context: Context) -> Told:
        tasks.add(_me())
        token = colour.set("mine")
        with structlog.contextvars.bound_contextvars(ask=ask.text):
            await asyncio.sleep(0)
        colour.reset(token)
        return Told(text=ask.text)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("team", work, concurrency=1))
        for number in range(5):
            await bus.request("asks", Ask(text=str(number)))

    assert len(tasks) == 1


async def test_a_handler_that_will_not_be_cancelled_holds_up_no_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.consuming.workers.CLEANUP_S", 0.1)
    monkeypatch.setattr("messaging.consuming.workers.LAST_WORD_S", 0.1)
    begun, release = asyncio.Event(), asyncio.Event()
    refused = 0

    async def stay(context: Context) -> None:
        nonlocal refused
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                refused += 1

    async with open_bus(site) as bus:
        running = await bus.subscribe(unruly(stay))
        await bus.publish("asks", Ask(text="bad"))
        await begun.wait()

        await ends_soon(running)

        assert refused == 2
        release.set()
        await bus.subscribe(unruly(cancel_and_wait))  # it was given back
        (letter,) = await dead_letters(bus)
        assert len(reason_of(letter).attempts) == ATTEMPTS


async def test_a_place_that_nobody_takes_again_would_be_lost(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: the first test proves something."""
    start = Workers.start

    def start_only_once(self: Workers, left: UnsettledError | None = None) -> None:
        if not self._tasks:
            start(self, left)

    monkeypatch.setattr(Workers, "start", start_only_once)
    async with open_bus(site) as bus:
        await bus.subscribe(unruly(cancel_and_wait))

        with pytest.raises(RequestTimeoutError):
            await bus.request("asks", Ask(text="bad"), timeout_s=0.5)
