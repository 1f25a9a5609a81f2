"""Handling that an onlooker glances at: nearly as cheap as if there were none."""

import asyncio
from typing import Self

from pydantic import BaseModel

from messaging.backend import Delivery
from messaging.errors import MessagingError
from messaging.glancing import Glance
from messaging.handling.handler_table import Target
from messaging.handling.observed import ObservedRunner
from messaging.handling.runner import HandlerRunner, WorkerSlot
from messaging.handling.settlement import Outcome
from messaging.handling.unsettled import UnsettledError
from messaging.observing import Ending
from messaging.state.contender import Contender

_run = HandlerRunner._run  # noqa: SLF001 - `super()` takes longer, and each message takes this way


class WatchedRunner(ObservedRunner):
    """Tells of the handlings that a glance takes and of those that fail, and counts the others."""

    _glance: Glance

    def at(self, glance: Glance) -> Self:
        """This one, with what says which handlings are told."""
        self._glance = glance
        return self

    async def _run(
        self,
        delivery: Delivery,
        target: Target,
        message: BaseModel,
        slot: WorkerSlot,
        contender: Contender | None = None,
        *,
        is_first: bool = True,
    ) -> Outcome:
        glance = self._glance
        glance.left -= 1
        if not glance.left:
            glance.take()
            return await super()._run(delivery, target, message, slot, contender, is_first=is_first)
        try:
            outcome = await _run(
                self, delivery, target, message, slot, contender, is_first=is_first
            )
        except asyncio.CancelledError as error:
            if slot.is_leaving():  # otherwise another worker settles it
                self._broken_off(delivery, error)
            raise
        except UnsettledError:
            if slot.is_leaving():  # likewise
                self._broken_off(delivery, None)
            raise
        except MessagingError as error:
            self._broken_off(delivery, error)
            raise
        if slot.task.cancelling() and slot.is_leaving():  # its handler has swallowed that
            self._broken_off(delivery, None)
        elif self._endings and delivery.place in self._endings:
            self._ended(delivery)
        else:
            envelope = delivery.envelope
            glance.counts[envelope.type, envelope.sender] += 1
        return outcome

    async def settle(self, left: UnsettledError, slot: WorkerSlot) -> Outcome:
        outcome = await HandlerRunner.settle(self, left, slot)
        delivery = left.delivery
        if delivery.place in self._under_way or delivery.place in self._endings:
            self._ended(delivery)
        else:
            self._glance.counts[delivery.envelope.type, delivery.envelope.sender] += 1
        return outcome

    def _broken_off(self, delivery: Delivery, error: BaseException | None) -> None:
        self._endings[delivery.place] = Ending("interrupted", error)
        self._ended(delivery)
