"""The storm at any size, on a server of its own."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.reliability.chaos.storm import storm
from tests.reliability.workers.orders import BUS, PLAIN
from tests.servers import running_redis


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.chaos", description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--patience", type=float, default=3600.0, metavar="SECONDS")
    parser.add_argument("--partitions", type=int, default=0, help="keep the order by lane")
    parser.add_argument("--control", action="store_true", help="plain at-least-once consumers")
    chosen = parser.parse_args()
    sys.stderr.write(f"seed {chosen.seed}\n")
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as server:
        result = asyncio.run(
            storm(
                server.url,
                inputs=chosen.inputs,
                kills=chosen.kills,
                seed=chosen.seed,
                patience_s=chosen.patience,
                kind=PLAIN if chosen.control else BUS,
                partitions=chosen.partitions,
            )
        )
    sys.stdout.write(f"{result}\n")
    outcome = result.outcome
    is_in_order = not (chosen.partitions and outcome.overtaken)
    is_sound = outcome.is_exact and is_in_order and not outcome.left_pending
    return 0 if is_sound and not any(outcome.exit_codes) else 1


if __name__ == "__main__":
    sys.exit(main())
