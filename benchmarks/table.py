"""Results as Markdown: medians of rounds, and how they compare."""

import statistics
from collections.abc import Callable, Sequence

from benchmarks.contestant import REQUEST, REQUEST_64
from benchmarks.measure import Round, percentile

Results = dict[str, dict[str, list[Round]]]
_HEAD = (
    "| scenario | bus | messages/s | client CPU µs | server CPU µs | p50 ms | p99 ms "
    "| Guildbus is times |"
)
OURS = ("Guildbus", "Guildbus in memory")
BENEATH = {"bus beneath": "Guildbus", "bus beneath in memory": "Guildbus in memory"}


def table(results: Results) -> str:
    """One line per scenario and contestant; the last column says what Guildbus is to it.

    Rates are compared by messages per second, requests by their median latency, and contestants
    in memory with Guildbus in memory. Beside the bus beneath stands what the guild adds to its
    processor time.
    """
    lines = [_HEAD, "|---|---|--:|--:|--:|--:|--:|--:|"]
    for scenario, by_name in results.items():
        lines += [
            _line(scenario, name, rounds, by_name) for name, rounds in by_name.items() if rounds
        ]
    return "\n".join(lines)


def times(scenario: str, ours: Sequence[Round], theirs: Sequence[Round]) -> float:
    """How many times better `ours` are: the median of the rounds, each with its neighbour."""
    better = [_cost(scenario, b) / _cost(scenario, a) for a, b in zip(ours, theirs, strict=True)]
    return statistics.median(better)


def added(guild: Sequence[Round], bus: Sequence[Round]) -> float:
    """What share of the processor time that the bus takes the guild takes besides.

    Of the client, for in the server they do the same; and the least of all rounds, for whatever
    else a machine does can only add to it.
    """
    return min(one.cpu_us for one in guild) / min(one.cpu_us for one in bus) - 1


def median(rounds: Sequence[Round], of: Callable[[Round], float]) -> float:
    return statistics.median([of(one) for one in rounds])


def _line(
    scenario: str, name: str, rounds: Sequence[Round], by_name: dict[str, list[Round]]
) -> str:
    latencies = [latency for one in rounds for latency in one.latencies_s]
    p50, p99 = (
        (f"{percentile(latencies, q) * 1e3:.2f}" for q in (50, 99)) if latencies else ("", "")
    )
    server_us = median(rounds, lambda one: one.server_cpu_us)
    cells = (
        scenario,
        name,
        f"{median(rounds, lambda one: one.rate):,.0f}",
        f"{median(rounds, lambda one: one.cpu_us):.1f}",
        f"{server_us:.1f}" if server_us else "",
        p50,
        p99,
        _compared(scenario, name, rounds, by_name),
    )
    return f"| {' | '.join(cells)} |"


def _compared(
    scenario: str, name: str, rounds: Sequence[Round], by_name: dict[str, list[Round]]
) -> str:
    ours = by_name.get(_match(name))
    if name in OURS or not ours:
        return ""
    if name in BENEATH:
        return f"guild {added(ours, rounds):+.0%} CPU"
    return as_times(times(scenario, ours, rounds))


def _match(name: str) -> str:
    return "Guildbus in memory" if name.endswith("in memory") else "Guildbus"


def as_times(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _cost(scenario: str, one: Round) -> float:
    """Seconds: of the median request, or of a message."""
    if scenario in (REQUEST, REQUEST_64):
        return statistics.median(one.latencies_s)
    return one.wall_s / one.messages
