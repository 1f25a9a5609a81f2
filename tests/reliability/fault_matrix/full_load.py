"""The rows about load at their full sizes, on a server of their own; figures to be read."""

import asyncio
import logging
import sys
import tempfile
from pathlib import Path
from statistics import median

import structlog

from tests.reliability.fault_matrix.loads import (
    first_of_a_backlog_s,
    hot_agent,
    neighbours_p99_s,
    overload,
    slow_agent,
)
from tests.servers import running_redis

OVERLOAD_S = 60.0
BACKLOG = 100_000
PROBES, ROUNDS = 150, 10


async def main(url: str) -> None:
    tell = sys.stdout.write
    tell(f"overload for {OVERLOAD_S:g} s: {await overload(url, OVERLOAD_S, lambda _: False)}\n")
    took_s = await first_of_a_backlog_s(url, BACKLOG)
    tell(f"first result of a backlog of {BACKLOG:,}: {took_s:.2f} s\n")
    for disturb in (slow_agent, hot_agent):
        found = await neighbours_p99_s(url, disturb, PROBES, ROUNDS)
        slowed_by = median(beside_s / calm_s for calm_s, beside_s in found)
        tell(f"p99 beside a {disturb.__name__}: {slowed_by:.2f} times as long as alone\n")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as server:
        asyncio.run(main(server.url))
