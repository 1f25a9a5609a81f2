"""`context.step`: what is finished is not repeated, whatever happens to the handling."""

import asyncio
import threading
from typing import Any

import pytest

from messaging.bus import Bus
from messaging.errors import StepError
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.testing import eventually
from messaging.wire.message import Message
from tests.messaging.buses import Ask, Told, dead_letters, listening, open_bus, settled_all
from tests.messaging.conftest import Site


class Receipt(Message):
    number: int


class Clerk:
    """Pays once per run of its step, then does as told."""

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.seen: list[Any] = []

    async def pay(self, amount: int, *, tip: int = 0) -> Receipt:
        self.paid.append(amount + tip)
        return Receipt(number=len(self.paid))

    def pay_blocking(self, amount: int) -> dict[str, int]:
        self.paid.append(amount)
        return {"thread": int(threading.current_thread() is threading.main_thread())}


async def journals(bus: Bus, group: str, ids: list[str]) -> list[str]:
    return [i for i in ids if await bus.backend.load_state(group, f"_bus.steps.{i}") is not None]


async def test_a_retry_finds_the_result_of_a_finished_step(site: Site) -> None:
    clerk = Clerk()

    async def handle(ask: Ask, ctx: Context) -> Told:
        receipt = await ctx.step("pay", clerk.pay, 3, tip=1, returns=Receipt)
        clerk.seen.append(receipt)
        if ctx.attempt < 3:
            raise RuntimeError("after it paid")
        return Told(text=str(receipt.number))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("clerks", handle))
        assert await bus.request("asks", Ask(text="pay"), timeout_s=10) == Told(text="1")

        assert clerk.paid == [4]
        assert clerk.seen == [Receipt(number=1)] * 3


async def test_a_journal_vanishes_when_its_message_is_settled(site: Site) -> None:
    clerk = Clerk()

    async def handle(ask: Ask, ctx: Context) -> None:
        if ask.text == "skips" and ctx.attempt > 1:
            return
        await ctx.step("pay", clerk.pay, 1, returns=Receipt)
        if ctx.attempt == 1 and ask.text != "once":
            raise RuntimeError("again")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("clerks", handle))
        ids = [await bus.publish("asks", Ask(text=text)) for text in ("once", "twice", "skips")]
        await settled_all(bus, "clerks")

        assert len(clerk.paid) == 3
        assert await journals(bus, "clerks", ids) == []


async def test_who_takes_over_finds_the_steps_of_a_process_that_died(site: Site) -> None:
    clerk = Clerk()
    has_paid = asyncio.Event()

    async def handle(ask: Ask, ctx: Context) -> None:
        clerk.seen.append(await ctx.step("pay", clerk.pay, 1, returns=Receipt))
        has_paid.set()
        if ctx.attempt == 1:
            await asyncio.Event().wait()

    async with open_bus(site) as one, open_bus(site) as two:
        victim = await one.subscribe(listening("clerks", handle, lease_s=1.0))
        await one.publish("asks", Ask(text="pay"))
        await has_paid.wait()
        await victim.kill()
        await two.subscribe(listening("clerks", handle, lease_s=1.0))
        await settled_all(two, "clerks")

    assert clerk.paid == [1]
    assert clerk.seen == [Receipt(number=1)] * 2


async def test_a_requeued_dead_letter_does_not_pay_again_and_leaves_nothing(site: Site) -> None:
    clerk = Clerk()
    is_mended = False

    async def handle(ask: Ask, ctx: Context) -> None:
        await ctx.step("pay", clerk.pay, 1, returns=Receipt)
        if not is_mended:
            raise RuntimeError("not yet")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("clerks", handle))
        sent = await bus.publish("asks", Ask(text="pay"))
        (letter,) = await dead_letters(bus)
        is_mended = True
        assert await bus.dead_letters.requeue(letter.id)
        await settled_all(bus, "clerks")

        assert clerk.paid == [1]
        assert await journals(bus, "clerks", [sent]) == []


async def test_plain_steps_run_in_a_thread_and_plain_handlers_take_steps(site: Site) -> None:
    clerk = Clerk()

    def handle(ask: Ask, ctx: Context) -> Told:
        result = ctx.wait_for(ctx.step("pay", clerk.pay_blocking, 2))
        if ctx.attempt == 1:
            raise RuntimeError("again")
        return Told(text=str(result))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("clerks", handle))
        answer = await bus.request("asks", Ask(text="pay"), timeout_s=10)

    assert answer == Told(text="{'thread': 0}")
    assert clerk.paid == [2]


async def test_steps_at_the_same_time_are_all_kept(site: Site) -> None:
    clerk = Clerk()

    async def handle(ask: Ask, ctx: Context) -> Told:
        paid = [ctx.step(f"pay {n}", clerk.pay, n, returns=Receipt) for n in range(8)]
        numbers = [receipt.number for receipt in await asyncio.gather(*paid)]
        if ctx.attempt == 1:
            raise RuntimeError("again")
        return Told(text=str(sorted(numbers)))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("clerks", handle))
        answer = await bus.request("asks", Ask(text="pay"), timeout_s=10)

    assert sorted(clerk.paid) == list(range(8))
    assert answer == Told(text="[1, 2, 3, 4, 5, 6, 7, 8]")


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (None, None),
        ((1, 2), [1, 2]),
        (2**80, 2**80),
        ("a\0é", "a\0é"),
        ({"a": [1.5]}, {"a": [1.5]}),
    ],
)
async def test_a_result_looks_the_same_the_first_time_and_later(
    site: Site, value: Any, back: Any
) -> None:
    seen: list[Any] = []

    async def handle(ask: Ask, ctx: Context) -> None:
        seen.append(await ctx.step("make", lambda: value))
        if ctx.attempt == 1:
            raise RuntimeError("again")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("makers", handle))
        await bus.publish("asks", Ask(text="x"))
        await settled_all(bus, "makers")

    assert seen == [back, back]


async def _twice(ctx: Context) -> None:
    await ctx.step("a", lambda: 1)
    await ctx.step("a", lambda: 2)


async def _unwritable(ctx: Context) -> None:
    await ctx.step("a", object)


async def _model_without_type(ctx: Context) -> None:
    await ctx.step("a", lambda: Receipt(number=1))


async def _wrong_type(ctx: Context) -> None:
    await ctx.step("a", lambda: "text", returns=int)


runs: list[int] = []


async def _nameless(ctx: Context) -> None:
    await ctx.step("", lambda: 1)


async def _odd_name(ctx: Context) -> None:
    await ctx.step("a file \udce9", lambda: runs.append(1))


@pytest.mark.parametrize(
    ("misuse", "says"),
    [
        (_twice, "two steps called 'a'"),
        (_unwritable, "cannot be written as JSON"),
        (_model_without_type, "returns=Receipt"),
        (_wrong_type, "does not fit"),
        (_nameless, "needs a name"),
        (_odd_name, "no store can keep the name"),
    ],
)
async def test_a_misused_step_is_dead_lettered_at_once_with_what_to_do(
    site: Site, misuse: Any, says: str
) -> None:
    async def handle(ask: Ask, ctx: Context) -> None:
        await misuse(ctx)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("makers", handle))
        await bus.publish("asks", Ask(text="x"))
        (letter,) = await dead_letters(bus)

    assert says in letter.reason.decode()
    assert StepError.__name__ in letter.reason.decode()
    assert not runs


async def test_a_step_that_fails_runs_again(site: Site) -> None:
    tries: list[int] = []

    async def handle(ask: Ask, ctx: Context) -> None:
        async def flaky() -> int:
            tries.append(ctx.attempt)
            if ctx.attempt < 3:
                raise RuntimeError("not yet")
            return 1

        await ctx.step("flaky", flaky)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("makers", handle))
        await bus.publish("asks", Ask(text="x"))
        await eventually(lambda: tries == [1, 2, 3])
        await settled_all(bus, "makers")


async def test_a_step_that_ended_is_journalled_although_its_handling_was_cancelled(
    site: Site,
) -> None:
    """A timeout while the record is on its way: the next attempt still finds it."""
    clerk = Clerk()

    async def handle(ask: Ask, ctx: Context) -> None:
        write = ctx.steps._write

        async def slow(*args: Any) -> int:
            await asyncio.sleep(0.1)
            return await write(*args)

        if ctx.attempt == 1:
            ctx.steps._write = slow
        await ctx.step("pay", clerk.pay, 1, returns=Receipt)
        clerk.seen.append(ctx.attempt)

    later = RetryPolicy(attempts=3, backoff_s=0.3, jitter=0.0)
    async with open_bus(site) as bus:
        await bus.subscribe(listening("clerks", handle, timeout_s=0.05, retry=later))
        await bus.publish("asks", Ask(text="pay"))
        await eventually(lambda: clerk.seen == [2])

    assert clerk.paid == [1]
