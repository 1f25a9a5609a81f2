"""`python -m benchmarks telemetry`: what traces and metrics cost a guild, and what to have neither.

Guilds that differ in their observer alone, each in a process of its own, take part in every short
round in turn. Their processor time is compared with that of the guild without an observer in the
same round: the client's, and that of client and server together. A busy machine makes all of them
slower alike, and the median of many small rounds stands still. What it costs to ask whether there
is an observer is too little for a clock: instructions are counted, in a guild in memory.
"""

import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks import instructions
from benchmarks.child import child
from benchmarks.contestant import AWAITED, PROCESS, REQUEST, REQUEST_64
from benchmarks.instructions import BARE, NoValgrindError
from benchmarks.measure import Meter, Round
from benchmarks.observers import ALL, HUNDREDTH, METRICS, OBSERVED, OFF
from benchmarks.table import Results

SCENARIOS = (AWAITED, PROCESS, REQUEST, REQUEST_64)
ROUNDS = 40
A_ROUND = 1_000
GOALS = {METRICS: 0.05, HUNDREDTH: 0.10}
GOAL_OFF = 0.01
COUNTED = (METRICS, HUNDREDTH, ALL)


async def measure(url: str, _meter: Meter, _messages: int) -> str:
    """A table of the rounds, then what was counted."""
    return "\n".join([*_table(_rounds(url)), "", *_counted()])


def _rounds(url: str) -> Results:
    results: Results = {scenario: {name: [] for name in OBSERVED} for scenario in SCENARIOS}
    with ExitStack() as stack:
        peers = [
            stack.enter_context(child(name, url, f"{peer.__module__}:{peer.__name__}"))
            for name, peer in OBSERVED.items()
        ]
        for number in range(ROUNDS + 1):  # the first one warms up
            for scenario in SCENARIOS:
                for peer in peers[:: -1 if number % 2 else 1]:
                    measured = peer.run(scenario, A_ROUND)
                    if number:
                        results[scenario][peer.name].append(measured)
            print(f"round {number} of {ROUNDS} done", file=sys.stderr)
    return results


def _table(results: Results) -> list[str]:
    lines = [
        "| more than without, client; client and server | " + " | ".join(SCENARIOS) + " |",
        "|---|" + "--:|" * len(SCENARIOS),
    ]
    for name in list(OBSERVED)[1:]:
        cells = [_more(rounds[name], rounds[OFF]) for rounds in results.values()]
        goal = f", at most {GOALS[name]:.0%} wanted" if name in GOALS else ""
        lines.append(f"| {name}{goal} | " + " | ".join(cells) + " |")
    us = [statistics.median(each.cpu_us for each in rounds[OFF]) for rounds in results.values()]
    lines.append(
        "| client µs a message, without | " + " | ".join(f"{each:.1f}" for each in us) + " |"
    )
    return lines


def _more(rounds: Sequence[Round], without: Sequence[Round]) -> str:
    pairs = list(zip(rounds, without, strict=True))
    client = statistics.median(one.cpu_s / other.cpu_s for one, other in pairs)
    both = statistics.median(
        (one.cpu_s + one.server_cpu_s) / (other.cpu_s + other.server_cpu_s) for one, other in pairs
    )
    return f"{client - 1:+.1%}; {both - 1:+.1%}"


def _counted() -> list[str]:
    try:
        bare, off = instructions.each(BARE), instructions.each(OFF)
        more = [f"{name}: {instructions.each(name) / off - 1:+.1%}" for name in COUNTED]
    except NoValgrindError:
        return ["instructions were not counted: there is no valgrind here"]
    asking = f"of these {off / bare - 1:+.2%} to ask for an observer; goal: {GOAL_OFF:.0%} at most"
    return [f"a message in memory, without: {off:.1f} thousand instructions, {asking}", *more]
