"""A host in a process of its own, for tests that kill it: runs a job and prints its pids."""

import asyncio
import json
import sys
from pathlib import Path

from tests.sandbox.conftest import Family, a_runner


async def main() -> None:
    async with a_runner(Path(sys.argv[1]), sys.argv[2]) as runner:  # type: ignore[arg-type]
        family = Family(runner)
        job = runner.run("tests.sandbox.jobs:leave_family", {}, on_event=family)
        running = asyncio.create_task(job)
        pids = (await family.first())["pids"]
        sys.stdout.write(json.dumps([*pids, runner.server_pid]) + "\n")
        sys.stdout.flush()
        await running


asyncio.run(main())
