"""Messages that nobody should send, where no test elsewhere has the whole row."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import pytest

from messaging.backend import Backend, Consumer, Delivery, Settlement
from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.retry import RetryPolicy
from messaging.handling.settlement import RetryInPlace, SettlementBuilder
from messaging.handling.subscription import Subscription, SubscriptionOptions
from messaging.testing import eventually
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import Message, MessageRegistry
from tests.messaging.buses import dead_letters
from tests.messaging.notes import everything_in, heirloom, joined, note, notes, take
from tests.reliability.fault_matrix.conftest import RECOVERY_S, patience_s
from tests.reliability.proxy import FaultyProxy
from tests.reliability.workers.orders import BUS, NewerInput
from tests.reliability.workers.scenario import scenario_on

ATTEMPTS = 4
BACKOFF_S = 1.0
OUTPUTS = 256
SENT_WITHIN_S = 0.5  # of the outputs, at the speed of the link

Outcome = Settlement | RetryInPlace
failed = SettlementBuilder.failed


class Sip(Message, wire_name="matrix.sip"):
    number: int
    sent_at: float = 0.0
    is_poison: bool = False


async def forget_the_attempt(
    self: SettlementBuilder, delivery: Delivery, error: BaseException
) -> Outcome:
    """Send what failed back as it came."""
    outcome = await failed(self, delivery, error)
    assert isinstance(outcome, Settlement)
    attempt = delivery.envelope.attempt
    return outcome._replace(outbox=tuple(e._replace(attempt=attempt) for e in outcome.outbox))


async def wait_in_place(
    self: SettlementBuilder, delivery: Delivery, error: BaseException
) -> Outcome:
    """Keep what failed in hand until its time has come."""
    await asyncio.sleep(BACKOFF_S)
    return await failed(self, delivery, error)


@pytest.mark.parametrize("fail", [failed, forget_the_attempt, wait_in_place])
async def test_poison_dies_after_exactly_n_attempts_and_delays_nobody(
    server_url: str, fail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SettlementBuilder, "failed", fail)
    tried: Counter[int] = Counter()
    late_s: list[float] = []

    async def drink(sip: Sip, _: Context) -> None:
        tried[sip.number] += 1
        if sip.is_poison:
            raise ValueError("poison")
        late_s.append(time.monotonic() - sip.sent_at)

    retry = RetryPolicy(attempts=ATTEMPTS, backoff_s=BACKOFF_S, factor=1.0, jitter=0.0)
    options = SubscriptionOptions(retry=retry, concurrency=2, drain_s=0.0)
    backend = open_backend(server_url, f"poison-{new_id()}")
    async with Bus(backend, registry=MessageRegistry(Sip)) as bus:
        await bus.subscribe(Subscription("drinkers", ("sips",), {Sip: drink}, options))
        for number in range(200):
            sip = Sip(number=number, sent_at=time.monotonic(), is_poison=number % 20 == 0)
            await bus.publish("sips", sip)
        if fail is forget_the_attempt:
            await eventually(lambda: max(tried.values()) > ATTEMPTS)
            assert not await bus.dead_letters.list()
            return
        await eventually(lambda: len(late_s) == 190)
        # In seconds, which no busy machine makes: others waited for the attempts at the poison.
        assert (max(late_s) > (ATTEMPTS - 1) * BACKOFF_S) == (fail is wait_in_place)
        if fail is wait_in_place:
            return
        letters = await dead_letters(bus, 10)
        assert len(letters) == 10
        assert {tried[number] for number in range(0, 200, 20)} == {ATTEMPTS}
        assert {len(reason_of(letter).attempts) for letter in letters} == {ATTEMPTS}


@pytest.mark.parametrize("kind", [BUS, "impatient"])
async def test_workers_of_two_versions_side_by_side(server_url: str, kind: str) -> None:
    """Two of the release before and one newer, which alone can read half of the inputs."""
    async with scenario_on(server_url, kind=kind, fails_every=0) as scenario:
        await scenario.workers.start(2)
        await scenario.workers.start(1, is_newer=True)
        for _ in range(5):
            await scenario.publish(30, kind=NewerInput)
            await scenario.publish(30)

        outcome = await scenario.outcome(patience_s=patience_s(kind))
        assert bool(await scenario.bus.dead_letters.list()) is (kind != BUS)
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


async def at_once(_: Backend, consumer: Consumer, job: Delivery) -> None:
    await consumer.commit([Settlement(job, _outputs())])


async def one_by_one(backend: Backend, consumer: Consumer, job: Delivery) -> None:
    """The mutant: outputs leave when they are made, and the receipt comes last."""
    for output in _outputs():
        await backend.append([output])
    await consumer.commit([Settlement(job)])


Answering = Callable[[Backend, Consumer, Delivery], Coroutine[Any, Any, None]]


@pytest.mark.parametrize("answer", [at_once, one_by_one])
async def test_256_outputs_are_all_there_or_none_wherever_their_sender_is_cut_off(
    server_url: str, answer: Answering
) -> None:
    """After a share of the time that it takes to send them, and as soon as they are there."""
    found = [await _cut_off(server_url, answer, share) for share in (0.0, 0.3, 0.9, None)]

    left = {left for left, _ in found}
    assert {0, OUTPUTS} <= left, str(found)
    assert (left == {0, OUTPUTS}) == (answer is at_once), str(found)
    assert ({all_in_all for _, all_in_all in found} == {OUTPUTS}) == (answer is at_once)


async def _cut_off(server_url: str, answer: Answering, share: float | None) -> tuple[int, int]:
    """How many outputs a sender leaves that is cut off and dead, and then it and its heir."""
    guild_id = f"many-{new_id()}"
    port = urlsplit(server_url).port
    assert port is not None
    async with FaultyProxy(port) as proxy:
        here, there = open_backend(server_url, guild_id), open_backend(proxy.url, guild_id)
        await here.open()
        await there.open()
        victim, heir = await joined(there, "workers"), await joined(here, "workers")
        await here.append([*notes(1), note("before", "results")])
        (job,) = await take(victim, 1)
        proxy.conditions.bytes_per_s = 200_000
        answering = asyncio.create_task(answer(there, victim, job))
        if share is None:
            while await _results(here) < OUTPUTS:  # noqa: ASYNC110 - as told by the server
                await asyncio.sleep(0.01)
        else:
            await asyncio.sleep(share * SENT_WITHIN_S)

        proxy.refuses = True
        proxy.reset_all()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        await there.close()

        left = await _results(here)
        for inherited in await heirloom(heir, victim):
            await answer(here, heir, inherited)
        all_in_all = await _results(here)
        await here.close()
    return left, all_in_all


def _outputs() -> tuple[Envelope, ...]:
    return tuple(note("x" * 200, "results") for _ in range(OUTPUTS))


async def _results(backend: Backend) -> int:
    return len(await everything_in(backend, "results")) - 1  # that which was there before
