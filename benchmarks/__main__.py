"""Runs every contestant through the same rounds, in turn, on one server, and prints the medians.

Figures of one run are to be compared with each other only: machines differ, and this one may be
busy. Ratios say how many times faster, or cheaper, Guildbus is than FastStream.
"""

import argparse
import asyncio
import json
import logging
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from benchmarks.contestant import Contestant
from benchmarks.faststream_peer import FastStreamPeer
from benchmarks.guildbus_peer import GuildbusPeer
from benchmarks.measure import Round, awaited, bulk, percentile, requests
from benchmarks.server import private_server

Results = dict[str, dict[str, list[Round]]]

SCENARIOS: dict[str, Callable[[Contestant, int], Awaitable[Round]]] = {
    "awaited publish to handled, 64 publishers": awaited,
    "bulk publish, acknowledged": bulk,
    "request/reply, one at a time": lambda peer, n: requests(peer, max(1, n // 10), 1),
    "request/reply, 64 at once": lambda peer, n: requests(peer, max(64, n // 2), 64),
}


def main() -> None:
    """Parse the arguments, measure, print a table, and JSON where it was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000, help="a round's messages")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contestant")
    parser.add_argument("--json", type=Path, help="write all rounds to this file, too")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder, private_server(Path(folder)) as url:
        results = asyncio.run(_measure(url, arguments.messages, arguments.rounds))
    print(table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


async def _measure(url: str, messages: int, rounds: int) -> Results:
    peers: list[Contestant] = [
        GuildbusPeer(url),
        FastStreamPeer(url),
        GuildbusPeer("memory://", "Guildbus in memory"),
    ]
    results: Results = {scenario: {peer.name: [] for peer in peers} for scenario in SCENARIOS}
    for peer in peers:
        await peer.open()
    try:
        for number in range(rounds + 1):  # the first one warms up
            for scenario, run in SCENARIOS.items():
                for peer in peers:
                    measured = await run(peer, messages)
                    if number:
                        results[scenario][peer.name].append(measured)
            print(f"round {number} of {rounds} done", file=sys.stderr)
    finally:
        for peer in peers:
            await peer.close()
    return results


def table(results: Results) -> str:
    """The medians as a Markdown table; ratios are against FastStream, same run."""
    lines = [
        "| scenario | bus | messages/s | CPU µs/message | p50 ms | p99 ms | rate to FastStream |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for scenario, by_peer in results.items():
        peer_rate = _median([one.rate for one in by_peer["FastStream"]])
        for name, rounds in by_peer.items():
            rate = _median([one.rate for one in rounds])
            cpu = _median([one.cpu_us for one in rounds])
            latencies = [latency for one in rounds for latency in one.latencies_s]
            p50, p99 = (
                (f"{percentile(latencies, q) * 1e3:.2f}" for q in (50, 99)) if latencies else "  "
            )
            lines.append(
                f"| {scenario} | {name} | {rate:,.0f} | {cpu:.1f} | {p50} | {p99} "
                f"| {rate / peer_rate:.1f} |"
            )
    return "\n".join(lines)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    main()
