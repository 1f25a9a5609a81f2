"""Deadlines and hop counts hold whatever a message goes through."""

import time

import pytest

from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.retry import RetryPolicy
from messaging.testing import Recorder
from tests.messaging.buses import (
    Ask,
    Told,
    dead_letters,
    listening,
    lying_in,
    open_bus,
    settled_all,
)
from tests.messaging.conftest import Site


async def test_a_deadline_that_passes_between_two_attempts_ends_them(site: Site) -> None:
    recorder = Recorder(RuntimeError("not yet"))
    slow = RetryPolicy(attempts=5, backoff_s=0.4, jitter=0.0)
    async with open_bus(site) as bus:
        await bus.subscribe(listening("workers", recorder, retry=slow))
        await bus.publish("asks", Ask(text="soon"), deadline_s=0.2)

        (letter,) = await dead_letters(bus)

    reason = reason_of(letter)
    assert reason.error_type == "DeadlineExceededError"
    assert [attempt.error_type for attempt in reason.attempts] == [
        "RuntimeError",
        reason.error_type,
    ]
    assert len(recorder.contexts) == 1


async def test_a_deadline_that_passes_while_it_is_held_back_ends_it_unhandled(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("workers", recorder))
        await bus.publish("asks", Ask(text="late"), delay_s=0.2, deadline_s=0.05)

        (letter,) = await dead_letters(bus)

    assert reason_of(letter).error_type == "DeadlineExceededError"
    assert recorder.contexts == []


async def test_a_deadline_holds_back_no_successor_for_longer_than_it_lasts(site: Site) -> None:
    recorder = Recorder(RuntimeError("not yet"))
    slow = RetryPolicy(attempts=5, backoff_s=0.4, jitter=0.0)
    async with open_bus(site) as bus:
        await bus.subscribe(listening("workers", recorder, retry=slow, ordered_by="key"))
        await bus.publish("asks", Ask(text="first"), deadline_s=0.2, key="a")
        await bus.publish("asks", Ask(text="second"), deadline_s=0.2, key="a")

        first, second = await dead_letters(bus, 2)

    assert [context.attempt for context in recorder.contexts] == [1]
    assert {reason_of(letter).error_type for letter in (first, second)} == {"DeadlineExceededError"}


async def test_what_is_requeued_has_its_time_again(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("workers", recorder))
        await bus.publish("asks", Ask(text="late"), delay_s=0.2, deadline_s=0.05)
        (letter,) = await dead_letters(bus)

        await bus.dead_letters.requeue(letter.id)

        assert await recorder.messages(1) == [Ask(text="late")]


@pytest.mark.parametrize(
    ("own_s", "keep", "sent_s", "expected_s"),
    [
        (60.0, False, None, None),
        (60.0, True, None, 60.0),
        (60.0, True, 10.0, 10.0),
        (60.0, True, 90.0, 60.0),
        (None, True, 10.0, 10.0),
        (None, True, None, None),
    ],
)
async def test_what_follows_may_keep_the_deadline(
    site: Site, own_s: float | None, keep: bool, sent_s: float | None, expected_s: float | None
) -> None:
    async def handle(ask: Ask, context: Context) -> None:
        context.send(Told(text="x"), "told", deadline_s=sent_s, keep_deadline=keep)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("workers", handle))
        published_at = time.time()
        await bus.publish("asks", Ask(text="x"), deadline_s=own_s)
        (told,) = await lying_in(bus, "told")

    deadline = told.envelope.deadline
    assert (
        (deadline == 0.0) if expected_s is None else abs(deadline - published_at - expected_s) < 5
    )


async def test_hops_are_counted_through_retries_delays_and_requeues(site: Site) -> None:
    seen: list[tuple[int, int]] = []

    async def handle(ask: Ask, context: Context) -> None:
        seen.append((context.attempt, context.envelope.hops))
        if context.envelope.hops == 0:
            context.send(Ask(text="on"), "asks", delay_s=0.05)
        elif len(seen) <= 4:
            raise RuntimeError("not yet")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("workers", handle))
        await bus.publish("asks", Ask(text="go"))
        (letter,) = await dead_letters(bus)
        await bus.dead_letters.requeue(letter.id)
        await settled_all(bus, "workers")

    assert seen == [(1, 0), (1, 1), (2, 1), (3, 1), (1, 1)]


async def test_a_loop_stays_a_loop_when_it_is_requeued(site: Site) -> None:
    async def handle(ask: Ask, context: Context) -> Ask:
        return ask

    async with open_bus(site) as bus:
        await bus.subscribe(listening("workers", handle, max_hops=3))
        await bus.publish("asks", Ask(text="round"))
        (letter,) = await dead_letters(bus)
        assert reason_of(letter).error_type == "HopLimitError"

        await bus.dead_letters.requeue(letter.id)

        await settled_all(bus, "workers")
        (again,) = await dead_letters(bus)
        assert (reason_of(again).error_type, again.envelope.hops) == ("HopLimitError", 4)
