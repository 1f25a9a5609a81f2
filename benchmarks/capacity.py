"""`python -m benchmarks capacity`: how much one server can take, and how many a million a second.

The costs of its calls are measured; what comes of them under load is simulated: publishers send
what came in since their last calls, two calls in flight; workers read what waits, handle it and
settle it with their next read. One server answers everybody in turn. So calls grow with the load,
and what a call costs by itself is shared by more and more messages.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from benchmarks.contestant import AWAITED
from benchmarks.costs import Costs, measure_costs
from benchmarks.guildbus_peer import GuildPeer
from benchmarks.measure import Meter, percentile

MOST_IN_FLIGHT = 2
MOST_AT_ONCE = 512
WAY_S = 50e-6  # to the server or back, in one data centre
TARGET_P99_S = 0.050
CLIENT_LOAD = 0.5
LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.05)
MILLION = 1_000_000
SEED = 1


class Outcome(NamedTuple):
    """One simulated stretch of time.

    Attributes:
        utilisation: share of the time in which the server worked.
        per_append: messages in an average append.
        latencies_s: from the call of `publish` to the commit, of each message.
    """

    rate: float
    utilisation: float
    per_append: float
    latencies_s: tuple[float, ...]

    @property
    def p99_s(self) -> float:
        return percentile(self.latencies_s, 99)


async def measure(url: str, meter: Meter, messages: int) -> str:
    """The costs, the table of loads, and what a million messages a second take."""
    costs = await measure_costs(url, meter, messages)
    client_us = await _client_us(url, meter, messages)
    ceiling = MILLION / costs.each_us
    outcomes = [simulate(costs, client_us, load * ceiling) for load in LOADS]
    return "\n".join(
        [*_costs(costs, client_us), "", *_loads(outcomes), "", _verdict(outcomes, client_us)]
    )


def simulate(costs: Costs, client_us: float, rate: float, messages: int = 60_000) -> Outcome:
    """One server under `rate` messages a second, with clients that are half busy."""
    clients = max(2, math.ceil(rate * client_us / MILLION / 2 / CLIENT_LOAD))
    return _Shard(costs, client_us / 2e6, clients, rate, random.Random(SEED)).run(messages)


class _Shard:
    """One server, its publishers and its workers, as a queue of moments."""

    def __init__(
        self, costs: Costs, handling_s: float, clients: int, rate: float, source: random.Random
    ) -> None:
        self._costs = costs
        self._handling_s = handling_s
        self._rate = rate
        self._random = source
        self._moments: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = count()
        self._free_at = self._busy_s = 0.0
        self._unsent: list[list[float]] = [[] for _ in range(clients)]
        self._in_flight = [0] * clients
        self._appends = 0
        self._waiting: deque[float] = deque()
        self._idle = list(range(clients))
        self._latencies: list[float] = []
        self._left = 0

    def run(self, messages: int) -> Outcome:
        self._left = messages
        self._at(0.0, self._arrive)
        now = 0.0
        while self._moments:
            now, _, action = heapq.heappop(self._moments)
            action(now)
        return Outcome(
            messages / now, self._busy_s / now, messages / self._appends, tuple(self._latencies)
        )

    def _at(self, moment: float, action: Callable[[float], None]) -> None:
        heapq.heappush(self._moments, (moment, next(self._numbers), action))

    def _serve(self, now: float, cost_s: float, then: Callable[[float], None]) -> None:
        """Take a call that reached the server `now`; `then` is when it is done there."""
        self._free_at = max(self._free_at, now) + cost_s
        self._busy_s += cost_s
        self._at(self._free_at, then)

    def _arrive(self, now: float) -> None:
        publisher = self._random.randrange(len(self._unsent))
        self._unsent[publisher].append(now)
        self._publish(publisher, now)
        self._left -= 1
        if self._left:
            self._at(now + self._random.expovariate(self._rate), self._arrive)

    def _publish(self, publisher: int, now: float) -> None:
        unsent = self._unsent[publisher]
        if not unsent or self._in_flight[publisher] == MOST_IN_FLIGHT:
            return
        batch, self._unsent[publisher] = unsent[:MOST_AT_ONCE], unsent[MOST_AT_ONCE:]
        self._in_flight[publisher] += 1
        self._appends += 1

        def stored(done: float) -> None:
            self._waiting.extend(batch)
            self._at(done + WAY_S, answered)
            while self._idle and self._waiting:
                self._read(self._idle.pop(), done + 2 * WAY_S)  # a wake-up, then a call

        def answered(then: float) -> None:
            self._in_flight[publisher] -= 1
            self._publish(publisher, then)

        cost_s = self._costs.append.of_s(len(batch))
        self._at(now + WAY_S, lambda reached: self._serve(reached, cost_s, stored))

    def _read(self, worker: int, reaches: float) -> None:
        def reached(now: float) -> None:
            lent = [self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]
            cost_s = self._costs.read.of_s(len(lent))
            self._serve(now, cost_s, lambda done: self._handle(worker, lent, done + WAY_S))

        self._at(reaches, reached)

    def _handle(self, worker: int, lent: list[float], now: float) -> None:
        if not lent:
            self._idle.append(worker)
            return

        def settled(done: float) -> None:
            self._latencies += [done - published for published in lent]

        reaches = now + self._handling_s * len(lent) + WAY_S
        cost_s = self._costs.commit.of_s(len(lent))
        self._at(reaches, lambda reached: self._serve(reached, cost_s, settled))
        self._read(worker, reaches)


async def _client_us(url: str, meter: Meter, messages: int) -> float:
    """Processor time that publishing and handling one message take together."""
    peer = GuildPeer(url)
    await peer.open()
    try:
        rounds = [await meter.run(AWAITED, peer, messages) for _ in range(3)]
    finally:
        await peer.close()
    return min(round_.cpu_us for round_ in rounds)


def _costs(costs: Costs, client_us: float) -> list[str]:
    lines = ["| call | server CPU µs, by itself | and for each message |", "|---|--:|--:|"]
    for name, cost in zip(("append", "read", "commit"), costs, strict=True):
        lines.append(f"| {name} | {cost.fixed_us:.1f} | {cost.each_us:.2f} |")
    return [*lines, "", f"client CPU: {client_us:.1f} µs a message, publishing and handling"]


def _loads(outcomes: list[Outcome]) -> list[str]:
    lines = [
        "| messages/s | server busy | messages in an append | p50 ms | p99 ms |",
        "|--:|--:|--:|--:|--:|",
    ]
    for outcome in outcomes:
        p50 = percentile(outcome.latencies_s, 50)
        lines.append(
            f"| {outcome.rate:,.0f} | {outcome.utilisation:.0%} | {outcome.per_append:.1f} "
            f"| {p50 * 1e3:.1f} | {outcome.p99_s * 1e3:.1f} |"
        )
    return lines


def _verdict(outcomes: list[Outcome], client_us: float) -> str:
    sound = [outcome for outcome in outcomes if outcome.p99_s <= TARGET_P99_S]
    if not sound:
        return f"no load keeps the p99 below {TARGET_P99_S * 1e3:.0f} ms"
    best = max(sound, key=lambda outcome: outcome.rate)
    return (
        f"a million messages a second take {math.ceil(MILLION / best.rate)} servers at "
        f"{best.rate:,.0f} each (p99 {best.p99_s * 1e3:.0f} ms), and {math.ceil(client_us)} cores "
        "of clients; each guild is on one of them"
    )
