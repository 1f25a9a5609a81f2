"""Going on with what lost replicas held: bit by bit, and alone with what may kill its process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from messaging.backend import Consumer, Delivery, Incident, Place
from messaging.consuming.task_scope import TaskScope
from messaging.control.incidents import Incidents

ISOLATE_FROM = 2
ALONE_S = 30.0
FEW_ATTEMPTS = 3
AT_ONCE = 64


class Takeover:
    """Goes on with what dead incarnations held.

    A lent message that killed its process may kill the next one too. So what dead incarnations
    held is taken over bit by bit, and what was lent to two of them is handled alone: nothing else
    of that pile is begun in this process meanwhile, so that only the culprit's starts are counted,
    see `messaging.handling.starts`. After `attempts` of those it is dead-lettered.

    Args:
        scope: its tasks; what runs here ends with it.
        attempts: how often a message may be started.
        in_order: take nothing over before `lead`; from then on the oldest first, whoever held it.
        room: for how many more deliveries there is room.
        room_comes: returns when there is some.
        take: is given what was lent.

    Attributes:
        turn: held while something older than what can be read is lent.
        alone: what is handled alone, with what is set once that is settled.
    """

    def __init__(
        self,
        consumer: Consumer,
        scope: TaskScope,
        incidents: Incidents,
        *,
        attempts: int,
        in_order: bool,
        room: Callable[[], int],
        room_comes: Callable[[], Awaitable[None]],
        take: Callable[[Sequence[Delivery]], None],
    ) -> None:
        self.turn = asyncio.Lock()
        self._consumer = consumer
        self._scope = scope
        self._incidents = incidents
        self._alone_from = ISOLATE_FROM if attempts >= FEW_ATTEMPTS else 1
        self._in_order = in_order
        self._leads = False
        self._room = room
        self._room_comes = room_comes
        self._take = take
        self._lost: dict[str, None] = {}
        self._changed = asyncio.Event()
        self.alone: dict[Place, asyncio.Event] = {}

    def add(self, lost: Iterable[str]) -> None:
        """These incarnations are gone."""
        self._lost.update(dict.fromkeys(lost))
        if self._lost:
            self._changed.set()

    async def run(self) -> None:
        """Take over from those that are added, until the scope ends."""
        while not self._scope.is_stopping:
            await self._changed.wait()
            self._changed.clear()
            while self._lost and not self._scope.is_stopping:
                incarnation = next(iter(self._lost))
                del self._lost[incarnation]
                if self._in_order:  # it may have led, and never will again
                    await self._consumer.take_over(incarnation, 0)
                else:
                    await self._take_over(incarnation)
            if self._leads and not self._scope.is_stopping:
                await self._inherit()

    async def lead(self) -> None:
        """Begin with what lost replicas held: from now on that is up to this one."""
        self._leads = not self._scope.is_stopping
        await self._inherit()

    def settled(self, deliveries: Iterable[Delivery]) -> None:
        """Let the others come when one was handled alone."""
        for delivery in deliveries:
            if delivery.place in self.alone:
                self.alone.pop(delivery.place).set()

    def end(self) -> None:
        """Wake all that wait: the scope has ended."""
        self._changed.set()
        for settled in self.alone.values():
            settled.set()

    async def _take_over(self, incarnation: str) -> None:
        count, alone_from = 0, self._alone_from
        while not self._scope.is_stopping:
            most = max(1, min(self._room(), AT_ONCE))
            lent = await self._consumer.take_over(incarnation, most, alone_from=alone_from)
            if not lent:
                break
            count += len(lent)
            await self._take_in(lent)
        if count:
            text = f"{self._consumer.group} took {count} deliveries over from {incarnation}"
            self._incidents.report(Incident("takeover", text))

    async def _inherit(self) -> None:
        """Go on with what lost replicas held, the oldest first whichever held it."""
        count = 0
        self._consumer.rouse()  # a reader has its turn for as long as it waits
        async with self.turn:  # two at once would overtake each other
            while not self._scope.is_stopping and (lent := await self._consumer.inherit(1)):
                count += lent[0].redelivery_count > 0
                await self._take_in(lent)
        if count:
            text = f"{self._consumer.group} goes on with {count} deliveries of a lost replica"
            self._incidents.report(Incident("takeover", text))

    async def _take_in(self, lent: Sequence[Delivery]) -> None:
        if lent[0].redelivery_count >= self._alone_from:
            await self._handle_alone(lent[0])
        else:
            self._take(lent)
            await self._room_comes()

    async def _handle_alone(self, delivery: Delivery) -> None:
        settled = self.alone[delivery.place] = asyncio.Event()
        self._take([delivery])
        with suppress(TimeoutError):  # a long job must not keep the others waiting for ever
            async with asyncio.timeout(ALONE_S):
                await settled.wait()
