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


def table(results: Results) -> str:
    """One line per scenario and contestant; the last column says what Guildbus is to it.

    Rates are compared by messages per second, requests by their median latency, and contestants
    in memory with Guildbus in memory.
    """
    lines = [_HEAD, "|---|---|--:|--:|--:|--:|--:|--:|"]
    for scenario, by_name in results.items():
        lines += [
            _line(scenario, name, rounds, by_name) for name, rounds in by_name.items() if rounds
        ]
    return "\n".join(lines)


def _line(
    scenario: str, name: str, rounds: Sequence[Round], by_name: dict[str, list[Round]]
) -> str:
    latencies = [latency for one in rounds for latency in one.latencies_s]
    p50, p99 = (
        (f"{percentile(latencies, q) * 1e3:.2f}" for q in (50, 99)) if latencies else ("", "")
    )
    ours = by_name.get(_match(name))
    server_us = _median(rounds, lambda one: one.server_cpu_us)
    cells = (
        scenario,
        name,
        f"{_median(rounds, lambda one: one.rate):,.0f}",
        f"{_median(rounds, lambda one: one.cpu_us):.1f}",
        f"{server_us:.1f}" if server_us else "",
        p50,
        p99,
        "" if name in OURS or not ours else _times(_ratio(scenario, ours, rounds)),
    )
    return f"| {' | '.join(cells)} |"


def _match(name: str) -> str:
    return "Guildbus in memory" if name.endswith("in memory") else "Guildbus"


def _times(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _ratio(scenario: str, ours: Sequence[Round], theirs: Sequence[Round]) -> float:
    if scenario in (REQUEST, REQUEST_64):
        return _p50(theirs) / _p50(ours)
    return _median(ours, lambda one: one.rate) / _median(theirs, lambda one: one.rate)


def _p50(rounds: Sequence[Round]) -> float:
    return statistics.median([latency for one in rounds for latency in one.latencies_s])


def _median(rounds: Sequence[Round], of: Callable[[Round], float]) -> float:
    return statistics.median([of(one) for one in rounds])
