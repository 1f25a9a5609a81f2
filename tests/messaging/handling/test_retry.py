"""Another attempt, or none: the policy, and what the replica makes of it."""

import asyncio
import sys
import time
from collections.abc import Iterator

import pytest
import structlog

from messaging.errors import RequestFailedError
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Handler
from messaging.process.error_text import is_retryable
from messaging.testing import Recorder, eventually
from messaging.wire.message import Message
from tests.messaging.buses import (
    Ask,
    Told,
    dead_letters,
    listening,
    lying_in,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site


class HopelessError(Exception):
    retryable = False


class Spilled(Message):
    secret: str


class FickleError(Exception):
    @property
    def retryable(self) -> bool:
        raise KeyError("who knows")


async def raise_it(_: Ask, context: Context) -> None:
    raise HopelessError


def raise_it_in_a_thread(_: Ask, context: Context) -> None:
    raise HopelessError


async def raise_it_in_a_step(_: Ask, context: Context) -> None:
    async def fail() -> None:
        raise HopelessError

    await context.step("one", fail)


async def raise_it_in_a_thread_of_a_step(_: Ask, context: Context) -> None:
    def fail() -> None:
        raise HopelessError

    await context.step("one", fail)


async def raise_it_in_a_group(_: Ask, context: Context) -> None:
    async def fail() -> None:
        raise HopelessError

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail())


async def say_it_of_anothers_error(_: Ask, context: Context) -> None:
    try:
        int("not a number")
    except ValueError as error:
        error.retryable = False  # type: ignore[attr-defined]
        raise


@pytest.mark.parametrize(
    "handler",
    [
        raise_it,
        raise_it_in_a_thread,
        raise_it_in_a_step,
        raise_it_in_a_thread_of_a_step,
        raise_it_in_a_group,
        say_it_of_anothers_error,
    ],
)
async def test_an_error_that_says_it_cannot_be_cured_is_not_tried_again(
    site: Site, handler: Handler
) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("hopeless", handler))
        await bus.publish("asks", Ask(text="hello"))

        (letter,) = await dead_letters(bus)

        assert len(reason_of(letter).attempts) == 1


def test_an_error_that_cannot_say_whether_it_can_be_cured_is_tried_again() -> None:
    assert is_retryable(FickleError())
    assert is_retryable(ExceptionGroup("several", [OSError(), FickleError()]))
    assert not is_retryable(
        ExceptionGroup("several", [OSError(), ExceptionGroup("inner", [HopelessError()])])
    )


class TestPolicy:
    def test_waits_grow_by_the_factor_up_to_the_limit(self) -> None:
        policy = RetryPolicy(backoff_s=0.5, factor=3, max_backoff_s=10, jitter=0)

        assert [policy.wait_s(attempt) for attempt in (1, 2, 3, 4, 250)] == [0.5, 1.5, 4.5, 10, 10]

    def test_an_absurd_number_of_attempts_still_has_a_wait(self) -> None:
        policy = RetryPolicy(backoff_s=1e300, factor=1e300, max_backoff_s=7, jitter=0)

        assert policy.wait_s(255) == 7

    def test_jitter_only_shortens_a_wait(self) -> None:
        policy = RetryPolicy(backoff_s=1, jitter=0.5)

        waits = {policy.wait_s(1) for _ in range(100)}

        assert len(waits) > 1
        assert all(0.5 <= wait_s <= 1 for wait_s in waits)

    def test_the_last_attempt_is_the_last(self) -> None:
        policy = RetryPolicy(attempts=3)

        assert [policy.allows_another(OSError(), attempt) for attempt in (1, 2, 3)] == [
            True,
            True,
            False,
        ]

    def test_errors_may_rule_out_another_attempt(self) -> None:
        policy = RetryPolicy(give_up_on=(LookupError,))

        assert not policy.allows_another(KeyError("x"), 1)
        assert not policy.allows_another(HopelessError(), 1)
        assert policy.allows_another(OSError(), 1)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"attempts": 0},
            {"attempts": 256},
            {"backoff_s": -1},
            {"factor": 0.5},
            {"jitter": 1.5},
            {"max_backoff_s": -1},
        ],
    )
    def test_a_policy_that_makes_no_sense_is_refused(self, wrong: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="must"):
            RetryPolicy(**wrong)  # type: ignore[arg-type]


async def test_a_failed_attempt_comes_back_to_its_own_agent_only(site: Site) -> None:
    other = Recorder()

    async def fail_once(ask: Ask, context: Context) -> None:
        if context.attempt == 1:
            raise RuntimeError("not yet")
        assert context.envelope.published_to == "asks"
        context.send(Told(text=f"attempt {context.attempt}"), "told")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("hasty", fail_once))
        await bus.subscribe(listening("other", other))

        asked = await bus.publish("asks", Ask(text="go"))

        (entry,) = await lying_in(bus, "told")
        assert entry.envelope.cause == asked
        assert bus._decoder.read(entry.envelope) == Told(text="attempt 2")
        for group in ("hasty", "other"):
            await settled_all(bus, group)
        assert len(await other.messages(1)) == 1
        assert await bus.backend.load_state("hasty", f"_bus.attempts.{asked}") is None


async def test_a_dead_letter_tells_every_attempt_wherever_it_was_made(site: Site) -> None:
    async def fail(ask: Ask, context: Context) -> None:
        raise RuntimeError(f"attempt {context.attempt} failed")

    async with open_bus(site) as one, open_bus(site) as two:
        for bus in (one, two):
            await bus.subscribe(listening("team", fail))

        asked = await one.publish("asks", Ask(text="go"))

        (letter,) = await dead_letters(one)
        reason = reason_of(letter)
        assert (letter.envelope.id, letter.group, reason.agent) == (asked, "team", "team")
        assert (reason.error_type, reason.text) == ("RuntimeError", "attempt 3 failed")
        assert "raise RuntimeError" in reason.traceback
        assert [(a.number, a.text) for a in reason.attempts] == [
            (number, f"attempt {number} failed") for number in (1, 2, 3)
        ]
        await settled_all(one, "team")
        assert await one.backend.load_state("team", f"_bus.attempts.{asked}") is None


async def test_an_error_that_says_so_is_not_tried_again(site: Site) -> None:
    hopeless = Recorder(HopelessError("never"))
    async with open_bus(site) as bus:
        await bus.subscribe(listening("hopeless", hopeless))

        with pytest.raises(RequestFailedError, match="HopelessError: never"):
            await bus.request("asks", Ask(text="go"))

        assert len(await hopeless.messages(1)) == 1


async def test_a_retry_waits_for_its_backoff(site: Site) -> None:
    at: list[float] = []

    async def fail_once(ask: Ask, context: Context) -> Told:
        at.append(time.monotonic())
        if context.attempt == 1:
            raise RuntimeError("not yet")
        return Told(text="now")

    async with open_bus(site) as bus:
        policy = RetryPolicy(backoff_s=0.4, jitter=0)
        await bus.subscribe(listening("patient", fail_once, retry=policy))

        assert await bus.request("asks", Ask(text="go")) == Told(text="now")

        assert at[1] - at[0] >= 0.35


async def test_a_handler_that_takes_too_long_has_failed(site: Site) -> None:
    async def dawdle(ask: Ask, context: Context) -> Told:
        if context.attempt == 1:
            await asyncio.Future()
        return Told(text=f"attempt {context.attempt}")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("dawdler", dawdle, timeout_s=0.2))

        assert await bus.request("asks", Ask(text="go")) == Told(text="attempt 2")


async def test_timeouts_lead_to_a_dead_letter_that_says_so(site: Site) -> None:
    async def dawdle(ask: Ask, context: Context) -> None:
        await asyncio.Future()

    async with open_bus(site) as bus:
        await bus.subscribe(listening("dawdler", dawdle, timeout_s=0.1))

        with pytest.raises(RequestFailedError, match=r"HandlerTimeoutError.*0\.1 s for Ask"):
            await bus.request("asks", Ask(text="go"))


async def test_a_timeout_of_the_handlers_own_is_told_apart(site: Site) -> None:
    async with open_bus(site) as bus:
        failing = Recorder(TimeoutError("the database is slow"))
        await bus.subscribe(listening("slow", failing, timeout_s=30))

        with pytest.raises(RequestFailedError, match="TimeoutError: the database is slow"):
            await bus.request("asks", Ask(text="go"))


async def test_a_handler_that_exits_does_not_end_the_process(site: Site) -> None:
    async def leave(ask: Ask, context: Context) -> None:
        sys.exit(3)

    def leave_thread(ask: Ask, context: Context) -> None:
        sys.exit(3)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("leaver", leave))
        await bus.subscribe(listening("thread", leave_thread, topics=["threads"]))

        with pytest.raises(RequestFailedError, match="SystemExit"):
            await bus.request("asks", Ask(text="go"))
        with pytest.raises(RequestFailedError, match="SystemExit"):
            await bus.request("threads", Ask(text="go"))


async def test_a_slow_retry_holds_nobody_up(site: Site) -> None:
    async def fail_for_one(ask: Ask, context: Context) -> None:
        if ask.text == "bad":
            raise RuntimeError("not today")
        context.send(Told(text=ask.text), "told")

    async with open_bus(site) as bus:
        policy = RetryPolicy(backoff_s=600)
        await bus.subscribe(listening("team", fail_for_one, retry=policy, concurrency=1))

        await bus.publish_many("asks", [Ask(text=text) for text in ("bad", "good", "better")])

        assert await texts_in(bus, "told", 2) == ["good", "better"]
        await settled_all(bus, "team")


async def test_a_thread_that_timed_out_is_told_and_its_outcome_dropped(site: Site) -> None:
    seen: list[bool] = []

    def dawdle(ask: Ask, context: Context) -> Told:
        if context.attempt == 1:
            while not context.cancelled:
                time.sleep(0.002)
            seen.append(True)
            return Told(text="too late")
        return Told(text="in time")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("dawdler", dawdle, timeout_s=0.3))

        assert await bus.request("asks", Ask(text="go")) == Told(text="in time")
        await eventually(lambda: seen == [True])


@pytest.fixture
def shown_by_structlog() -> Iterator[None]:
    """Its renderer for people, which shows as much as it is given."""
    structlog.configure()
    yield
    structlog.reset_defaults()


async def test_failures_never_write_payloads_to_the_log(
    site: Site, capsys: pytest.CaptureFixture[str], shown_by_structlog: None
) -> None:
    async def fail(spilled: Spilled, context: Context) -> None:
        raise RuntimeError("failed")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("leaky", fail, Spilled))

        await bus.publish("asks", Spilled(secret="open-sesame"))

        await dead_letters(bus)
    printed = capsys.readouterr()
    assert "delivery.dead_lettered" in printed.out + printed.err
    assert "open-sesame" not in printed.out + printed.err
