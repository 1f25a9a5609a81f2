"""Runs every contestant through the same rounds, in turn, on one server, and prints the medians.

Figures of one run are to be compared with each other only: machines differ, and this one may be
busy. The last column says how many times faster Guildbus is than the contestant of the line.
"""

import argparse
import asyncio
import gc
import json
import logging
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import structlog
from redis import Redis

from benchmarks import capacity, fence, recovery, scale
from benchmarks.contestant import ALL
from benchmarks.measure import Meter
from benchmarks.peers import contestants
from benchmarks.server import private_server
from benchmarks.storage import stored_bytes
from benchmarks.table import Results, table

MEASURES = {
    "scale": scale.measure,
    "capacity": capacity.measure,
    "fence": fence.measure,
    "recovery": recovery.measure,
}


def main() -> None:
    """Parse the arguments, measure, print a table, and JSON where it was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("peers", *MEASURES), default="peers")
    parser.add_argument("--messages", type=int, default=10_000, help="a round's messages")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contestant")
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
        results = asyncio.run(measure(url, Meter(server), arguments.messages, arguments.rounds))
        print(table(results))
        print(f"\nstored bytes per message of 200 bytes: {asyncio.run(stored_bytes(url, server))}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


async def measure(url: str, meter: Meter, messages: int, rounds: int) -> Results:
    """Every contestant's rounds by scenario; each round has all of them in turn."""
    peers = contestants(url)
    results: Results = {scenario: {peer.name: [] for peer in peers} for scenario in ALL}
    for peer in peers:
        await peer.open()
    # They share this process: nobody's rounds shall pay for what all the others have imported.
    gc.collect()
    gc.freeze()
    try:
        for number in range(rounds + 1):  # the first one warms up
            for scenario in ALL:
                for peer in peers:
                    if scenario in peer.scenarios:
                        measured = await meter.run(scenario, peer, messages)
                        if number:
                            results[scenario][peer.name].append(measured)
            print(f"round {number} of {rounds} done", file=sys.stderr)
    finally:
        gc.unfreeze()
        for peer in peers:
            await peer.close()
    return results


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
