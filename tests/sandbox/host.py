"""A host in a process of its own, for tests that kill it: runs a job and prints its pids."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from agents.sandbox import JobRunner


async def main() -> None:
    async with JobRunner(workspace=Path(sys.argv[1]), preload=()) as runner:

        def tell(event: dict[str, Any]) -> None:
            sys.stdout.write(json.dumps([*event["pids"], runner.server_pid]) + "\n")
            sys.stdout.flush()

        await runner.run("tests.sandbox.jobs:leave_family", {}, on_event=tell)


asyncio.run(main())
