"""The goals of the project, and whether a run has met them.

Nearly all are ratios within one run, for those travel from machine to machine. Two lines have no
goal: they compare a handler of one message with FastStream's handlers of whole batches.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from benchmarks.contestant import ALL, AWAITED, BULK, HANDLED, PROCESS, REQUEST, REQUEST_64
from benchmarks.measure import Round
from benchmarks.table import BENEATH, Results, added, median, times

GUILD, GUILD_IN_MEMORY = "Guildbus", "Guildbus in memory"
FASTSTREAM, BATCHES = "FastStream", "FastStream batches"
FLOOR, AUTOGEN, RUSTIC = "floor by hand", "autogen-core in memory", "rusticai"
MOST_CLIENT_US, MOST_SERVER_US = 13, 6
MOST_SLOWED = 1.2
MOST_ADDED = 0.10
LITTLE = 0.10
"""A smaller share is told more exactly."""


class Unit(StrEnum):
    TIMES = "times"
    SHARE = "%"
    MICROSECONDS = "µs"
    SECONDS = "s"

    def tell(self, number: float) -> str:
        if self is Unit.SHARE:
            return f"{number:.0%}" if number >= LITTLE else f"{number:.1%}"
        return f"{number:.2f}" if number < 2 else f"{number:.1f}"


class Goal(NamedTuple):
    """One figure and what it should be.

    Attributes:
        limit: None where nothing is asked.
        is_most: whether the figure should not be above `limit`, rather than not below.
    """

    what: str
    seen: float
    unit: Unit
    limit: float | None
    is_most: bool = False

    @property
    def wanted(self) -> str:
        if self.limit is None:
            return ""
        return f"{'≤' if self.is_most else '≥'} {self.unit.tell(self.limit)}"

    @property
    def verdict(self) -> str:
        """`met`, or by how much it was missed: a share by points, all else by a part of it."""
        if self.limit is None:
            return ""
        short = self.seen - self.limit if self.is_most else self.limit - self.seen
        if short <= 0:
            return "met"
        if self.unit is Unit.SHARE:
            return f"missed by {short * 100:.1f} points"
        return f"missed by {short / self.limit:.1%}"


def judged(results: Results, slowed_by: float) -> str:
    """A line for each goal; those beside a contestant that took no part are left out.

    Args:
        results: of the contestants.
        slowed_by: p99 of agents beside a hot one, as a multiple of that of calm times.
    """
    slowed = Goal("p99 beside a hot agent ÷ calm", slowed_by, Unit.TIMES, MOST_SLOWED, is_most=True)
    return told([*_beside_others(results), *_processor_time(results), slowed, *_added(results)])


def told(goals: Iterable[Goal]) -> str:
    """A table with a line for each of `goals`."""
    lines = ["| goal | unit | seen | wanted | |", "|---|---|--:|--:|---|"]
    for goal in goals:
        seen = goal.unit.tell(goal.seen)
        lines.append(f"| {goal.what} | {goal.unit} | {seen} | {goal.wanted} | {goal.verdict} |")
    return "\n".join(lines)


def _beside_others(results: Results) -> Iterator[Goal]:
    fastest = _fastest(results, HANDLED, (FASTSTREAM, BATCHES))
    rows: tuple[tuple[str, str, str, str, float | None], ...] = (
        ("awaited publish ÷ FastStream", AWAITED, GUILD, FASTSTREAM, 25),
        ("the same ÷ its handlers of batches", AWAITED, GUILD, BATCHES, None),
        ("bulk to stored ÷ FastStream", BULK, GUILD, FASTSTREAM, 5),
        ("bulk to handled ÷ FastStream's fastest", HANDLED, GUILD, fastest, 4),
        ("consume, process, produce ÷ FastStream", PROCESS, GUILD, FASTSTREAM, 20),
        ("the same ÷ its handlers of batches", PROCESS, GUILD, BATCHES, None),
        ("share of the floor, awaited", AWAITED, GUILD, FLOOR, 0.60),
        ("share of the floor, stored", BULK, GUILD, FLOOR, 0.75),
        ("share of the floor, handled", HANDLED, GUILD, FLOOR, 0.50),
        ("request p50 ÷ FastStream, one at a time", REQUEST, GUILD, FASTSTREAM, 4),
        ("request p50 ÷ FastStream, 64 at once", REQUEST_64, GUILD, FASTSTREAM, 30),
        ("in memory ÷ autogen-core, publish", AWAITED, GUILD_IN_MEMORY, AUTOGEN, 15),
        ("in memory ÷ autogen-core, request", REQUEST, GUILD_IN_MEMORY, AUTOGEN, 5),
        ("in memory ÷ autogen-core, 64 requests", REQUEST_64, GUILD_IN_MEMORY, AUTOGEN, 10),
        ("awaited publish ÷ Rustic AI", AWAITED, GUILD, RUSTIC, 60),
        ("request p50 ÷ Rustic AI, one at a time", REQUEST, GUILD, RUSTIC, 6),
    )
    for what, scenario, ours, theirs, limit in rows:
        mine, others = _rounds(results, scenario, ours), _rounds(results, scenario, theirs)
        if mine and others:
            unit = Unit.SHARE if theirs == FLOOR else Unit.TIMES
            yield Goal(what, times(scenario, mine, others), unit, limit)


def _processor_time(results: Results) -> Iterator[Goal]:
    if rounds := _rounds(results, AWAITED, GUILD):
        client, server = "client CPU, an awaited message", "server CPU, an awaited message"
        client_us = median(rounds, lambda one: one.cpu_us)
        server_us = median(rounds, lambda one: one.server_cpu_us)
        yield Goal(client, client_us, Unit.MICROSECONDS, MOST_CLIENT_US, is_most=True)
        yield Goal(server, server_us, Unit.MICROSECONDS, MOST_SERVER_US, is_most=True)


def _added(results: Results) -> Iterator[Goal]:
    for bus, guild in BENEATH.items():
        for scenario in ALL:
            ours, beneath = _rounds(results, scenario, guild), _rounds(results, scenario, bus)
            if ours and beneath:
                where = " in memory" if guild == GUILD_IN_MEMORY else ""
                what = f"CPU that the guild adds{where}: {scenario}"
                yield Goal(what, added(ours, beneath), Unit.SHARE, MOST_ADDED, is_most=True)


def _fastest(results: Results, scenario: str, names: Sequence[str]) -> str:
    """Whose rate is highest of those that took part; the first one's name if none did."""
    present = [name for name in names if _rounds(results, scenario, name)] or names[:1]
    if len(present) == 1:
        return present[0]
    return max(present, key=lambda name: median(_rounds(results, scenario, name), _rate))


def _rate(one: Round) -> float:
    return one.rate


def _rounds(results: Results, scenario: str, name: str) -> Sequence[Round]:
    return results.get(scenario, {}).get(name, ())
