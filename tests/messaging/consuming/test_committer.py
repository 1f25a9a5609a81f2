"""What becomes of settlements that the store refuses: each alone, and none holds up the others."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from messaging.backend import Consumer, Delivery, Settlement
from messaging.consuming.committer import Committer
from messaging.control.incidents import Incidents
from messaging.errors import MessagingError, PayloadTooLargeError
from messaging.handling.emitter import Emitter
from messaging.handling.settlement import Outcome, RetryInPlace
from messaging.testing import eventually
from messaging.wire.envelope import Envelope

MARK = "refused"


def settlement(text: str) -> Settlement:
    return Settlement(Delivery(Envelope(text, "Note", 1, "notes", b""), ("notes", text)))


def text_of(settled: Settlement) -> str:
    return settled.delivery.envelope.id


class Store:
    """Refuses each batch that holds something of the texts in `refuses`."""

    def __init__(self, *refuses: str, conflicts: str = "") -> None:
        self.refuses = refuses
        self.conflicts = conflicts
        self.batches: list[list[str]] = []

    async def commit(self, settlements: Sequence[Settlement]) -> list[int]:
        texts = [text_of(each) for each in settlements]
        self.batches.append(texts)
        if set(texts) & set(self.refuses):
            raise PayloadTooLargeError("a note", 2, 1)
        return [index for index, text in enumerate(texts) if text == self.conflicts]


class Desk:
    """Notes what the committer says of each settlement."""

    def __init__(self, *, retries: bool = False) -> None:
        self.retries = retries
        self.settled: list[str] = []
        self.conflicted: list[str] = []
        self.again: list[str] = []

    async def refuse(self, delivery: Delivery, error: MessagingError) -> Outcome:
        if self.retries:
            return RetryInPlace(delivery, 1.0)
        return settlement(f"{MARK} {delivery.envelope.id}")

    @asynccontextmanager
    async def committer(self, store: Store, *, is_alone: bool = False) -> AsyncIterator[Committer]:
        async def send(_: Any) -> None: ...

        committer = Committer(
            cast(Consumer, store),
            Emitter(send),
            Incidents(),
            is_alone=lambda: is_alone,
            refused=self.refuse,
            settled=lambda settled: self.settled.extend(map(text_of, settled)),
            conflicted=lambda each: self.conflicted.append(text_of(each)),
            again=lambda retry: self.again.append(retry.delivery.envelope.id),
        )
        running = asyncio.create_task(committer.run())
        try:
            yield committer
        finally:
            committer.finish()
            await running


async def test_one_that_cannot_be_stored_is_replaced_and_the_others_keep_their_order() -> None:
    store, desk = Store("b"), Desk()

    async with desk.committer(store) as committer:
        for text in "abc":
            committer.add(settlement(text))

    assert desk.settled == ["a", f"{MARK} b", "c"]
    assert store.batches == [["a", "b", "c"], ["a"], ["b"], [f"{MARK} b"], ["c"]]


async def test_after_that_they_are_committed_together_again() -> None:
    store, desk = Store("b"), Desk()

    async with desk.committer(store) as committer:
        for text in "ab":
            committer.add(settlement(text))
        await eventually(lambda: len(desk.settled) == 2)
        for text in "xyz":
            committer.add(settlement(text))

    assert store.batches[-1] == ["x", "y", "z"]


async def test_one_that_is_alone_waits_for_no_others() -> None:
    store, desk = Store(), Desk()

    async with desk.committer(store, is_alone=True) as committer:
        await asyncio.sleep(0)  # now it waits
        for text in "abc":
            committer.add(settlement(text))

    assert store.batches == [["a"], ["b", "c"]]


async def test_one_that_is_handled_again_is_not_settled() -> None:
    desk = Desk(retries=True)

    async with desk.committer(Store("b")) as committer:
        for text in "abc":
            committer.add(settlement(text))

    assert (desk.settled, desk.again) == (["a", "c"], ["b"])


async def test_what_others_came_before_is_told_apart() -> None:
    desk = Desk()

    async with desk.committer(Store(conflicts="b")) as committer:
        for text in "abc":
            committer.add(settlement(text))

    assert (desk.settled, desk.conflicted) == (["a", "c"], ["b"])


async def test_when_not_even_the_failure_can_be_stored_it_ends() -> None:
    with pytest.raises(PayloadTooLargeError):
        async with Desk().committer(Store("b", f"{MARK} b")) as committer:
            committer.add(settlement("b"))
