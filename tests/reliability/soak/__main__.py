"""The soak at any length, on a server of its own; the exit code says whether all stayed flat."""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import structlog

from tests.reliability.soak.soak import soak
from tests.servers import running_redis

SAMPLES_PER_MINUTE = 12
MOST_PER_HOUR = {
    "memory_bytes": 64 << 20,
    "server_bytes": 64 << 20,
    "descriptors": 6,
    "keys": 30,
    "tasks": 30,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as server:
        samples = max(12, int(minutes * SAMPLES_PER_MINUTE))
        report = asyncio.run(soak(server.url, duration_s=60 * minutes, samples=samples))
    sys.stdout.write(f"{report}\n")
    growing = [name for name, most in MOST_PER_HOUR.items() if report.slope_per_hour(name) > most]
    if growing:
        sys.stdout.write(f"growing: {', '.join(growing)}\n")
    return 1 if growing else 0


if __name__ == "__main__":
    sys.exit(main())
