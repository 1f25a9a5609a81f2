"""What is large is bounded by its bytes, and what was accepted near a limit gets everywhere."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import pytest

from messaging.backend import (
    ANY_VERSION,
    RESERVED_PREFIX,
    DeadLetter,
    Delivery,
    Settlement,
    StateWrite,
)
from messaging.backends import sizes
from messaging.backends.memory import MemoryConsumer
from messaging.backends.redis import entries
from messaging.backends.redis.consumer.consumer import RedisConsumer
from messaging.backends.sizes import MOST_BYTES_AT_ONCE, first_batch, size_of
from messaging.bus import Bus
from messaging.client.replay import Range, replay
from messaging.errors import PayloadTooLargeError
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.testing import eventually
from messaging.wire.envelope import payload_of
from messaging.wire.message import wire_type_of
from tests.messaging.buses import (
    Ask,
    Told,
    dead_letters,
    listening,
    open_bus,
    settled_all,
)
from tests.messaging.conftest import Site
from tests.messaging.notes import everything_in, joined, note, notes, take_one

KIB = 1024
LIMIT = 3_000


# -- commits -------------------------------------------------------------------------------------


async def test_a_commit_past_its_limit_writes_nothing_and_says_what_to_do(site: Site) -> None:
    backend = await site.open(max_commit_bytes=10_000)
    worker = await joined(backend, "workers")
    await backend.append([*notes(1), note("before", "results")])
    job = await take_one(worker)
    much = tuple(note("x" * 3_000, "results") for _ in range(4))

    state = tuple(StateWrite(f"{n}", b"x" * 3_000, ANY_VERSION) for n in range(4))

    with pytest.raises(PayloadTooLargeError, match=r"is 10,000; send less .* max_commit_bytes"):
        await worker.commit([Settlement(job, much)])
    with pytest.raises(PayloadTooLargeError, match="one commit"):
        await worker.commit([Settlement(job, much[:1], state)])

    assert len(await everything_in(backend, "results")) == 1
    assert await worker.commit([Settlement(job, much[:3])]) == []


async def test_a_dead_letter_is_past_no_limit_of_a_commit(site: Site) -> None:
    backend = await site.open(max_commit_bytes=1_000)
    worker = await joined(backend, "workers")
    await backend.append([note("x" * 2_000)])
    job = await take_one(worker)

    letter = DeadLetter(job.envelope, "workers", b"{}", 0.0)
    assert await worker.commit([Settlement(job, dead=letter)]) == []

    assert len(await backend.dead_letters()) == 1


async def test_a_value_past_the_cap_is_refused_and_what_the_bus_keeps_is_not(site: Site) -> None:
    backend = await site.open(max_envelope_bytes=1_000)
    assert backend.max_value_bytes == 1_000
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    job = await take_one(worker)

    with pytest.raises(PayloadTooLargeError, match="workers's seen is 1,001 bytes long"):
        await worker.commit([Settlement(job, (), (StateWrite("seen", b"x" * 1_001, ANY_VERSION),))])
    own = StateWrite(f"{RESERVED_PREFIX}attempts.x", b"x" * 1_001, ANY_VERSION)
    fits = StateWrite("seen", b"x" * 1_000, ANY_VERSION)
    assert await worker.commit([Settlement(job, (), (own, fits))]) == []


async def test_a_handling_that_sends_too_much_is_given_up_at_once_and_holds_up_nobody(
    site: Site,
) -> None:
    starts = Counter[str]()

    async def tell(ask: Ask, context: Context) -> None:
        starts[ask.text] += 1
        for _ in range(20 if ask.text == "much" else 1):
            context.send(Told(text="x" * 1_000), "told")

    backend = await site.open(max_commit_bytes=10_000)
    async with open_bus(site, backend=backend) as bus:
        await bus.subscribe(listening("teller", tell))
        await bus.publish_many("asks", [Ask(text=text) for text in ("one", "much", "two")])
        await settled_all(bus, "teller")

        told = await everything_in(backend, "told")
        letters = await bus.dead_letters.list()
    if site.kind == "memory":  # its messages travel by reference: there is nothing to send
        assert len(told) == 22
        return
    assert len(told) == 2
    (letter,) = letters
    reason = reason_of(letter)
    assert reason.error_type == "PayloadTooLargeError"
    assert "send less in one handling" in reason.text
    assert starts == {"one": 1, "much": 1, "two": 1}


def settlements(*sizes_bytes: int) -> Sequence[Settlement]:
    job = Delivery(note("job"), ("notes", "1"))
    return [
        Settlement(job, (note("x", "told")._replace(payload=b"x" * size, message=None),))
        for size in sizes_bytes
    ]


@pytest.mark.parametrize(
    ("sizes_kib", "count"),
    [
        ([1] * 600, sizes.MOST_AT_ONCE),
        ([1], 1),
        ([2048, 2048, 1], 2),
        ([2048, 2049, 1], 1),
        ([9000, 1], 1),
        ([0, 9000, 1], 1),
        ([4096], 1),
    ],
)
def test_a_batch_is_as_large_as_fits(sizes_kib: list[int], count: int) -> None:
    assert first_batch(settlements(*(KIB * size for size in sizes_kib))) == count


async def test_what_is_ready_at_once_is_committed_in_bounded_calls(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []
    consumer_class = MemoryConsumer if site.kind.startswith("memory") else RedisConsumer
    commit = consumer_class.commit

    async def measured(self: RedisConsumer, settlements: Sequence[Settlement]) -> list[int]:
        calls.append((len(settlements), sum(map(size_of, settlements))))
        return await commit(self, settlements)  # type: ignore[arg-type]

    monkeypatch.setattr(consumer_class, "commit", measured)

    async def tell(ask: Ask, context: Context) -> None:
        for _ in range(16):
            context.send(Told(text="x" * 60 * KIB), "told")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("teller", tell, concurrency=16))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(32)])
        await settled_all(bus, "teller")

        assert len(await everything_in(bus.backend, "told")) == 512
    assert sum(count for count, _ in calls) == 32
    assert all(size <= MOST_BYTES_AT_ONCE or count == 1 for count, size in calls)
    if not bus.backend.by_reference:
        assert len(calls) >= 8


# -- around the limit of an envelope -------------------------------------------------------------

SIZES = range(LIMIT - 420, LIMIT + 60, 7)
TOPIC = "asks." + "long." * 30 + "name"
AGENT = "agent-" + "x" * 60
ASK, _ = wire_type_of(Ask)


async def publish_all(bus: Bus) -> list[str]:
    """Messages of every size around the limit; the ids of those that were accepted."""
    accepted = []
    for size in SIZES:
        with suppress(PayloadTooLargeError):
            accepted.append(await bus.publish(TOPIC, Ask(text="x" * size), key="one"))
    assert 5 < len(accepted) < len(SIZES) or bus.backend.by_reference
    return accepted


@pytest.mark.parametrize("is_mutant", [False, True])
@pytest.mark.parametrize("partitions", [0, 2])
async def test_what_was_accepted_can_be_tried_again_requeued_and_replayed(
    site: Site, monkeypatch: pytest.MonkeyPatch, partitions: int, is_mutant: bool
) -> None:
    if is_mutant:
        if site.kind.startswith("memory"):
            pytest.skip("its limit is one on payloads, which do not grow")
        monkeypatch.setattr(entries, "_grown_by", lambda envelope: 0)
    tries, is_well = Counter[str](), False

    async def handle(ask: Ask, context: Context) -> None:
        tries[context.message_id] += 1
        if not is_well:
            raise RuntimeError("not yet")

    ordering = {"ordered_by": "key", "partitions": partitions} if partitions else {}
    backend = await site.open(max_envelope_bytes=LIMIT)
    async with open_bus(site, backend=backend) as bus:
        await bus.subscribe(listening(AGENT, handle, topics=(TOPIC,), **ordering))
        accepted = await publish_all(bus)
        letters = await dead_letters(bus, len(accepted))
        reasons = Counter(reason_of(letter).error_type for letter in letters)
        if is_mutant:
            assert reasons["PayloadTooLargeError"] + reasons["WireError"] > 0
            return
        assert reasons == {"RuntimeError": len(accepted)}
        assert set(tries.values()) == {3}

        is_well = True
        async for _ in bus.dead_letters.requeue_all(dry_run=False):
            pass
        await settled_all(bus, AGENT)
        assert not await bus.dead_letters.list()
        assert {tries[message_id] for message_id in accepted} == {4}

        await replay(backend, TOPIC, AGENT, Range(), types={ASK}, really=True)
        await settled_all(bus, AGENT)
        assert not await bus.dead_letters.list()
        assert sum(tries.values()) == 5 * len(accepted)


async def test_a_timer_near_the_limit_is_refused_at_once_or_rings(site: Site) -> None:
    rung: list[int] = []

    async def handle(ask: Ask, context: Context) -> None:
        size = int(ask.text)
        context.send(Told(text="x" * size), TOPIC, timer=f"{size}" + "ü" * 150, delay_s=0.01)

    async def hear(told: Told, context: Context) -> None:
        rung.append(len(told.text))

    backend = await site.open(max_envelope_bytes=LIMIT)
    async with open_bus(site, backend=backend) as bus:
        await bus.subscribe(listening(AGENT, handle))
        await bus.subscribe(listening("hearer", hear, Told, topics=(TOPIC,)))
        await bus.publish_many("asks", [Ask(text=str(size)) for size in SIZES])
        await settled_all(bus, AGENT)
        letters = await bus.dead_letters.list()
        refused = [
            int(Ask.model_validate_json(payload_of(letter.envelope)).text) for letter in letters
        ]
        assert {reason_of(letter).error_type for letter in letters} <= {"PayloadTooLargeError"}
        await eventually(lambda: sorted([*rung, *refused]) == list(SIZES))
        if not backend.by_reference:
            assert refused
            assert rung
