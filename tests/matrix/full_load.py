"""The rows about load at their full sizes, on a server of their own; figures to be read."""

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import structlog

from tests.matrix.loads import (
    first_of_a_backlog_s,
    hot_agent,
    neighbours_p99_s,
    overload,
    slow_agent,
)
from tests.servers import running_redis

OVERLOAD_S = 60.0
BACKLOG = 100_000
PROBES = 1_500


async def main(url: str) -> None:
    tell = sys.stdout.write
    tell(f"overload for {OVERLOAD_S:g} s: {await overload(url, OVERLOAD_S)}\n")
    took_s = await first_of_a_backlog_s(url, BACKLOG)
    tell(f"first result of a backlog of {BACKLOG:,}: {took_s:.2f} s\n")
    calm_s = await neighbours_p99_s(url, None, PROBES)
    for disturb in (slow_agent, hot_agent):
        p99_s = await neighbours_p99_s(url, disturb, PROBES)
        tell(f"p99 beside a {disturb.__name__}: {p99_s * 1e3:.1f} ms, {calm_s * 1e3:.1f} alone\n")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as server:
        asyncio.run(main(server.url))
