"""Messages that nobody should send, where no test elsewhere has the whole row."""

import asyncio
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest

from messaging.backend import Settlement
from messaging.bus import Bus
from messaging.context import Context
from messaging.dead_letters import reason_of
from messaging.envelope import new_id
from messaging.message import Message, MessageRegistry
from messaging.retry import RetryPolicy
from messaging.subscription import Subscription, SubscriptionOptions
from messaging.testing import eventually
from messaging.urls import open_backend
from tests.faults import FaultyProxy
from tests.messaging.buses import dead_letters
from tests.messaging.notes import everything_in, heirloom, joined, note, notes, take, texts

ATTEMPTS = 4
OUTPUTS = 256


class Sip(Message, wire_name="matrix.sip"):
    number: int
    sent_at: float = 0.0
    is_poison: bool = False


@pytest.mark.parametrize("attempts", [ATTEMPTS, ATTEMPTS + 1], ids=["bus", "mutant"])
async def test_poison_dies_after_exactly_n_attempts_and_delays_nobody(
    server_url: str, attempts: int
) -> None:
    """The mutant tries once more than it was told."""
    tried: Counter[int] = Counter()
    late_s: list[float] = []

    async def drink(sip: Sip, _: Context) -> None:
        tried[sip.number] += 1
        if sip.is_poison:
            raise ValueError("poison")
        late_s.append(time.monotonic() - sip.sent_at)

    retry = RetryPolicy(attempts=attempts, backoff_s=1.0, factor=1.0, jitter=0.0)
    options = SubscriptionOptions(retry=retry)
    backend = open_backend(server_url, f"poison-{new_id()}")
    async with Bus(backend, registry=MessageRegistry(Sip)) as bus:
        await bus.subscribe(Subscription("drinkers", ("sips",), {Sip: drink}, options))
        for number in range(200):
            sip = Sip(number=number, sent_at=time.monotonic(), is_poison=number % 20 == 0)
            await bus.publish("sips", sip)
        letters = await dead_letters(bus, 10)
        await eventually(lambda: len(late_s) == 190)

        assert len(letters) == 10
        counts = {tried[number] for number in range(0, 200, 20)}
        assert (counts == {ATTEMPTS}) == (attempts == ATTEMPTS)
        assert {len(reason_of(letter).attempts) for letter in letters} == counts
        assert max(late_s) < ATTEMPTS - 1  # seconds: nobody waited for the attempts at the poison


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 2.0])
async def test_256_outputs_are_all_there_or_none_wherever_their_sender_is_cut_off(
    server_url: str, share: float
) -> None:
    """Cut off when that share of the commit has left, and dead then; its heir does it anew."""
    guild_id = f"many-{new_id()}"
    outputs = tuple(note("x" * 200, "results") for _ in range(OUTPUTS))
    port = urlsplit(server_url).port
    assert port is not None
    async with FaultyProxy(port) as proxy:
        here, there = open_backend(server_url, guild_id), open_backend(proxy.url, guild_id)
        await here.open()
        await there.open()
        victim, heir = await joined(there, "workers"), await joined(here, "workers")
        await here.append([*notes(1), note("before", "results")])
        (job,) = await take(victim, 1)
        proxy.conditions.bytes_per_s = 200_000  # the commit needs about half a second
        committing = asyncio.create_task(victim.commit([Settlement(job, outputs)]))
        await asyncio.sleep(0.5 * share)

        proxy.refuses = True
        proxy.reset_all()
        committing.cancel()
        await asyncio.gather(committing, return_exceptions=True)
        await there.close()

        found = len(await everything_in(here, "results")) - 1
        assert found in (0, OUTPUTS)
        for inherited in await heirloom(heir, victim):
            await heir.commit([Settlement(inherited, outputs)])
        assert len(texts(await everything_in(here, "results"))) == OUTPUTS + 1
        await here.close()
