"""Runs every contestant through the same rounds, in turn, on one server, and prints the medians.

Each has a process of its own, so what it takes of the processor is its own doing. Figures of one
run are to be compared with each other only: machines differ, and this one may be busy.

Guildbus is measured as its users have it, by a guild. The bus beneath is a contestant of its own,
so the table tells what the guild adds. The last column says how many times faster Guildbus is than
the contestant of the line. Below the table stand the goals, and by how much each was missed.
"""

import argparse
import asyncio
import json
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import structlog
from redis import Redis

from benchmarks import agents, capacity, fence, neighbours, recovery, scale, telemetry
from benchmarks.child import MissingError, child
from benchmarks.console import measure as console
from benchmarks.contestant import ALL
from benchmarks.goals import judged
from benchmarks.measure import Meter
from benchmarks.peers import PEERS
from benchmarks.server import private_server
from benchmarks.storage import stored_bytes
from benchmarks.table import Results, table

MEASURES = {
    "agents": agents.measure,
    "scale": scale.measure,
    "capacity": capacity.measure,
    "fence": fence.measure,
    "neighbours": neighbours.measure,
    "recovery": recovery.measure,
    "telemetry": telemetry.measure,
    "console": console.measure,
}


def main() -> None:
    """Parse the arguments, measure, print a table, and JSON where it was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("peers", *MEASURES), default="peers")
    parser.add_argument("--messages", type=int, default=10_000, help="a round's messages")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contestant")
    parser.add_argument(
        "--only", type=_names, default=tuple(PEERS), metavar="NAME[,NAME]", help=", ".join(PEERS)
    )
    parser.add_argument("--json", type=Path, help="write all rounds to this file, too")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder, private_server(Path(folder)) as url:
        server = Redis.from_url(url)
        print(f"{datetime.now(UTC):%Y-%m-%d}, {_machine(server)}\n")
        if arguments.what in MEASURES:
            measure_ = MEASURES[arguments.what]
            print(asyncio.run(measure_(url, Meter(server), arguments.messages)))
            return
        results = measure(url, arguments.only, arguments.messages, arguments.rounds)
        print(table(results))
        print(
            f"\nstored bytes per message of 200 bytes: {asyncio.run(stored_bytes(url, server))}\n"
        )
        print(judged(results, neighbours.slowed_by(asyncio.run(neighbours.rounds(url)))))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


def measure(url: str, names: Sequence[str], messages: int, rounds: int) -> Results:
    """Every contestant's rounds by scenario.

    Each round has all of them in turn, every other round in the opposite order.
    """
    results: Results = {scenario: {name: [] for name in names} for scenario in ALL}
    with ExitStack() as stack:
        children = []
        for name in names:
            try:
                children.append(stack.enter_context(child(name, url)))
            except MissingError as error:
                print(f"skipped {error}", file=sys.stderr)
        for number in range(rounds + 1):  # the first one warms up
            for scenario in ALL:
                for peer in children[:: -1 if number % 2 else 1]:
                    if scenario in peer.scenarios:
                        measured = peer.run(scenario, messages)
                        if number:
                            results[scenario][peer.name].append(measured)
            print(f"round {number} of {rounds} done", file=sys.stderr)
    return results


def _names(text: str) -> Sequence[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in PEERS]:
        raise argparse.ArgumentTypeError(f"nobody is called {', '.join(unknown)}")
    return names


def _machine(server: Redis) -> str:
    version = server.info("server")["redis_version"]
    return (
        f"{platform.machine()}, {_cores()} cores, {_processor()}, Python "
        f"{platform.python_version()}, Redis {version}, unix socket, AOF everysec"
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
