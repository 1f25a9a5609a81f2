"""Small words for tests of backends: envelopes that carry one text, and what was read of them."""

import asyncio
from collections.abc import Iterable, Sequence

from messaging.backend import Backend, Consumer, DeadLetter, Delivery, Entry, Settlement
from messaging.wire.envelope import Envelope, new_id

PATIENCE_S = 10.0


def note(text: str, topic: str = "notes", *, delay_s: float = 0.0, reply_to: str = "") -> Envelope:
    return Envelope(
        id=new_id(),
        type="Note",
        version=1,
        topic=topic,
        payload=text.encode(),
        sender="tests",
        reply_to=reply_to,
        delay_s=delay_s,
    )


def notes(count: int, topic: str = "notes") -> list[Envelope]:
    return [note(f"{topic} {number}", topic) for number in range(count)]


def texts(read: Iterable[Delivery | Entry | DeadLetter]) -> list[str]:
    return [one.envelope.payload.decode() for one in read]


def numbered(count: int, topic: str = "notes", start: int = 0) -> list[str]:
    """The texts of `notes(count, topic)`."""
    return [f"{topic} {number}" for number in range(start, count)]


def settled(deliveries: Iterable[Delivery]) -> list[Settlement]:
    return [Settlement(delivery) for delivery in deliveries]


def given_up(delivery: Delivery, group: str) -> Settlement:
    letter = DeadLetter(delivery.envelope, group, b'{"cause": "boom"}', at=1_700_000_000.5)
    return Settlement(delivery, dead=letter)


async def joined(backend: Backend, group: str, *patterns: str) -> Consumer:
    """A consumer of `group`, which is subscribed to `patterns`."""
    await backend.subscribe(group, patterns or ["notes"])
    return await backend.join(group)


async def take(consumer: Consumer, count: int) -> list[Delivery]:
    """Exactly `count` deliveries, however the backend slices them."""
    taken: list[Delivery] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(taken) < count:
            taken += await consumer.read(count - len(taken), wait_s=1.0)
    return taken


async def take_one(consumer: Consumer) -> Delivery:
    (delivery,) = await take(consumer, 1)
    return delivery


async def heirloom(heir: Consumer, victim: Consumer, max_count: int = 100) -> list[Delivery]:
    """Everything that `heir` gets by taking `victim` over."""
    taken: list[Delivery] = []
    while batch := await heir.take_over(victim.incarnation, max_count):
        assert len(batch) <= max_count
        taken += batch
    return taken


async def is_owed_nothing(backend: Backend, consumer: Consumer, topic: str = "notes") -> bool:
    """Whether the next thing this consumer reads is something published only now."""
    await backend.append([note("marker", topic)])
    marker = await take(consumer, 1)
    await consumer.commit(settled(marker))
    return texts(marker) == ["marker"] and await consumer.read(10, wait_s=0) == []


async def passed(backend: Backend, wait_s: float = 0.002) -> float:
    """Return once the store's clock has gone on by `wait_s`, with what it shows then."""
    begun_at = await backend.time()
    while (now := await backend.time()) < begun_at + wait_s:
        await backend.tail({}, max_count=1, wait_s=wait_s)
    return now


async def everything_in(backend: Backend, topic: str, count: int = 1_000) -> Sequence[Entry]:
    return await backend.tail({topic: ""}, max_count=count, wait_s=0)
