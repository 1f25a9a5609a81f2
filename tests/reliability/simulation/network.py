"""A network that delays, loses requests, loses answers and delivers copies late."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from messaging.errors import BackendUnavailableError
from tests.reliability.simulation.loop import NOBODY, Process

T = TypeVar("T")

REPLY_TIMEOUT_S = 0.5
GIVE_UP_AFTER_S = 3.0


@dataclass
class Network:
    """What happens on the way. All of it is drawn from the seed.

    Attributes:
        loss: the share of requests and of answers that are lost, each.
        lateness: the share of requests that arrive when nobody expects them any more.
        is_down: the server cannot be reached.
        latency_s: on average, each way.
    """

    random: random.Random
    loss: float = 0.0
    lateness: float = 0.0
    is_down: bool = False
    latency_s: float = 0.002
    lost_answers: int = 0
    late_copies: int = 0

    def send(self, step: Callable[[], Any], reply: "asyncio.Future[Any]") -> None:
        loop, draw = asyncio.get_running_loop(), self.random.random()
        travel_s = self.random.expovariate(1 / self.latency_s)
        if draw < self.loss:
            return
        is_answered = True
        if draw < 2 * self.loss:
            self.lost_answers += 1
            is_answered = False
        elif draw < 2 * self.loss + self.lateness:
            self.late_copies += 1
            is_answered = False
            travel_s += self.random.uniform(0, 3 * GIVE_UP_AFTER_S)
        loop.call_later(travel_s, self._arrive, step, reply, is_answered, context=NOBODY)

    def _arrive(
        self, step: Callable[[], Any], reply: "asyncio.Future[Any]", is_answered: bool
    ) -> None:
        if self.is_down:
            return
        outcome: Any
        try:
            outcome = step()
        except Exception as error:  # noqa: BLE001 - it is the answer
            outcome = error
        if is_answered:
            travel_s = self.random.expovariate(1 / self.latency_s)
            loop = asyncio.get_running_loop()
            loop.call_later(travel_s, _answer, reply, outcome, context=NOBODY)


class Wire:
    """The connection of one process."""

    def __init__(self, process: Process, network: Network, give_up_after_s: float) -> None:
        self.process = process
        self._network = network
        self._give_up_after_s = give_up_after_s

    async def call(self, step: Callable[[], T]) -> T:
        """What `step`, run at the server, answers; it is sent again until it does.

        `step` has to be harmless to repeat, or the server has to recognise it.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._give_up_after_s
        while not self.process.is_dead and loop.time() < give_up_at:
            reply: asyncio.Future[T] = loop.create_future()
            self._network.send(step, reply)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPLY_TIMEOUT_S):
                    return await reply
        raise BackendUnavailableError(f"{self.process.name} cannot reach the server")


def once(step: Callable[[], T]) -> Callable[[], T]:
    """`step` as a server runs it that knows a request which it has answered already."""
    outcomes: list[T] = []

    def recognised() -> T:
        if not outcomes:
            outcomes.append(step())
        return outcomes[0]

    return recognised


def _answer(reply: "asyncio.Future[Any]", outcome: Any) -> None:
    if reply.done():
        return
    if isinstance(outcome, Exception):
        reply.set_exception(outcome)
    else:
        reply.set_result(outcome)
