"""Handlings of one group that use the same key of its state take turns at it.

A handling that loads a key has its turn at it until it is committed, or has failed; whatever else
loads the key in this process waits until then. So handlings wait before they act, instead of being
run again because another one was faster. Where handlings of a type leave a key as it was, three
times in a row, they read it without a turn from then on.

Between processes the version of a value decides, because that costs nothing. A handling that lost
by it takes a turn that the store gives, and runs again when that has come; and for a while all
handlings that load the key do so here.

No circle of handlings waits for itself, whichever agents they are of. In one process the one that
would close it goes on without a turn, and the version decides; what has a turn of the store waits
for nothing. Whatever a handling asked for by `request`, and waits for, goes on without a turn, too;
see `messaging.state.circles`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Collection, Sequence
from contextlib import suppress
from typing import NamedTuple

from messaging.backend import (
    RESERVED_PREFIX,
    TURN_S,
    Consumer,
    Delivery,
    Place,
    Settlement,
)
from messaging.errors import MessagingError, StateConflictError
from messaging.process.logs import get_logger
from messaging.state.circles import Circles
from messaging.state.contender import Contender, Lost
from messaging.state.key_habits import Contested, Readers

MOST_LOST_IN_TURN = 50
SHORTEST_LOOK_S, LONGEST_LOOK_S = 0.001, 0.05
REMEDY = (
    "many handlings write this key: ordered_by what they share, or a key for each entity, keeps "
    "handlers from running again"
)


class _Waiter(NamedTuple):
    contender: Contender
    turn: asyncio.Future[None]


class Contention:
    """The turns of one group in this process.

    Attributes:
        lost: the handlings that are to run again, by the place of their message.
    """

    def __init__(self, group: str, circles: Circles) -> None:
        self.lost: dict[Place, Lost] = {}
        self._group = group
        self._circles = circles
        self._holders: dict[str, Contender] = {}
        self._queues: dict[str, deque[_Waiter]] = {}
        self._settling: dict[Place, Contender] = {}
        self._contested = Contested()
        self._readers = Readers()

    async def prepare(self, delivery: Delivery, consumer: Consumer) -> Contender:
        """Return when the handling that lost has its turn at all that it wrote.

        Raises:
            StateConflictError: it had its turn often enough: no turn helps it.
        """
        lost = self.lost.pop(delivery.place)
        if lost.in_turn >= MOST_LOST_IN_TURN:
            raise StateConflictError(
                f"the state under {delivery.envelope.type} was changed {lost.times} times while it "
                f"was handled, {lost.in_turn} times although it had its turn at "
                f"{', '.join(lost.keys)}; does it ask for something that writes the same key?"
            )
        contender = self._settling[delivery.place] = Contender(delivery, consumer, lost)
        for key in sorted(lost.keys):
            await self._take(contender, key, is_first=True)
        await self._share(contender, lost.keys)
        return contender

    def enter(self, contender: Contender, key: str) -> Awaitable[None] | None:
        """Give `contender` its turn at `key`, which it is about to load; what to wait for first."""
        contender.entered[key] = None
        if contender.is_over or contender.shared or key in contender.mine:
            return None
        if key in self._holders:
            is_read = self._readers.has(contender.type, key)
            return None if is_read else self._enter(contender, key)
        if self._readers.has(contender.type, key):
            return None
        self._give(contender, key)
        return self._enter(contender, key) if key in self._contested else None

    async def _enter(self, contender: Contender, key: str) -> None:
        has_turn = key in contender.mine or await self._take(contender, key)
        if has_turn and key in self._contested:
            await self._share(contender, (key,))

    async def pass_by(self, contender: Contender, key: str) -> None:
        """Return when no other handling has its turn at `key`, to be written over unread."""
        if contender.shared or key in contender.mine:
            return
        is_free = key not in self._holders or await self._take(contender, key)
        if is_free and key in self._contested:
            await self._share(contender, (key,))

    def over(self, delivery: Delivery, contender: Contender) -> None:
        """Its handler has ended. Its turns last until it is settled, or given up."""
        contender.is_over, contender.patience = True, None
        self._settling[delivery.place] = contender

    def ended(
        self, delivery: Delivery, contender: Contender, written: Collection[str]
    ) -> Awaitable[None] | None:
        """Its handler did what it was there for: what it has `written` is to be committed.

        Returns what to wait for: the store has to hear of turns that were not used.
        """
        for key in self._readers.learn(contender.type, contender.entered, written):
            self._let_read(contender.type, key)
        if not written:
            self.let_go(delivery)
        unused = [key for key in contender.shared if key not in written]
        return self._end_turn(contender, unused) if unused else None

    async def give_up(self, delivery: Delivery) -> None:
        """It has failed or was cancelled, or its outcome is not committed."""
        contender = self._settling.pop(delivery.place, None) if self._settling else None
        if contender is not None:
            self._release(contender)
            if contender.shared:
                await self._end_turn(contender, contender.shared)

    def let_go(self, delivery: Delivery) -> None:
        """It is settled, given back or taken over."""
        self.lost.pop(delivery.place, None)
        contender = self._settling.pop(delivery.place, None)
        if contender is not None:
            self._release(contender)

    async def _end_turn(self, contender: Contender, keys: Sequence[str]) -> None:
        with suppress(MessagingError):  # a fence shows again in the commit
            await contender.consumer.end_turn(contender.message_id, keys)

    def conflicted(self, settlement: Settlement) -> None:
        """Others came first: the message has to be handled again."""
        place = settlement.delivery.place
        contender = self._settling.pop(place, None)
        keys = tuple(w.key for w in settlement.state if not w.key.startswith(RESERVED_PREFIX))
        if contender is None:
            return  # the bus's own state, which the bus reads anew
        self._release(contender)
        if not keys:
            return
        before = contender.before
        lost = Lost(keys, before.times + 1, before.in_turn + (set(keys) <= {*contender.shared}))
        self.lost[place] = lost
        for key in keys:
            self._contested.add(key)
            self._readers.conflicted(contender.type, key)
        get_logger().warning(
            "state.conflict",
            agent=self._group,
            key=", ".join(keys),
            message_id=settlement.delivery.envelope.id,
            times=lost.times,
            remedy=REMEDY,
        )

    def _release(self, contender: Contender) -> None:
        """End its turns in this process."""
        contender.is_over = True
        for key in contender.mine:
            self._pass_on(key)
        contender.mine.clear()

    # Turns in this process

    async def _take(self, contender: Contender, key: str, *, is_first: bool = False) -> bool:
        """Wait for the turn; False when it goes on without one, as the holder waits for it."""
        holder = self._holders.get(key)
        if holder is None:
            self._give(contender, key)
            return True
        if self._circles.waits_for(holder, contender):
            return False
        waiter = _Waiter(contender, asyncio.get_running_loop().create_future())
        queue = self._queues.setdefault(key, deque())
        (queue.appendleft if is_first else queue.append)(waiter)
        try:
            with contender.waiting(), self._circles.waiting(contender, key, self._holders):
                await self._wait(waiter.turn, key)
        finally:
            if waiter in queue:
                queue.remove(waiter)
        return True

    async def _wait(self, turn: asyncio.Future[None], key: str) -> None:
        """Until it comes, or one and the same holder has had it for too long."""
        holder = None
        while not turn.done() and holder is not self._holders[key]:
            holder = self._holders[key]
            await asyncio.wait((turn,), timeout=TURN_S)

    def _give(self, contender: Contender, key: str) -> None:
        self._holders[key] = contender
        contender.mine[key] = None

    def _pass_on(self, key: str) -> None:
        queue = self._queues.get(key)
        while queue:
            waiter = queue.popleft()
            if not waiter.turn.done() and not waiter.contender.is_over:
                self._give(waiter.contender, key)
                for other in (waiter, *queue):  # it may load a key twice at once
                    if other.contender is waiter.contender and not other.turn.done():
                        other.turn.set_result(None)
                return
            if not waiter.turn.done():
                waiter.turn.set_result(None)
        self._queues.pop(key, None)
        del self._holders[key]

    # Turns of the store

    async def _share(self, contender: Contender, keys: Sequence[str]) -> None:
        contender.shared = tuple(keys)
        loop = asyncio.get_running_loop()
        began, looks = loop.time(), 0
        with contender.waiting():
            while not await contender.consumer.take_turn(contender.message_id, keys):
                looks += 1
                waited_s = loop.time() - began
                await asyncio.sleep(min(max(SHORTEST_LOOK_S, waited_s / 20), LONGEST_LOOK_S))
        if looks:
            for key in keys:
                self._contested.add(key)

    def _let_read(self, type_: str, key: str) -> None:
        for waiter in self._queues.get(key, ()):
            if waiter.contender.type == type_ and not waiter.turn.done():
                waiter.turn.set_result(None)


class Contentions:
    """Those of one process, by group: replicas of a group in one process take turns, too."""

    def __init__(self) -> None:
        self._by_group: dict[str, Contention] = {}
        self._circles = Circles()

    def of(self, group: str) -> Contention:
        return self._by_group.setdefault(group, Contention(group, self._circles))
