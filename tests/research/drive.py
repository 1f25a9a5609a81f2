"""Launches the research guild in the current folder and asks for one run, on one line of JSON.

What is emitted and the answer at the end go to stdout, one JSON object per line.
"""

import asyncio
import json
import sys
from pathlib import Path

import structlog
from pydantic import BaseModel

from agents.research.run.messages import ResearchRequest
from guild import Guild
from guild.checking.loader import load_file
from messaging.wire.message import wire_type_of

SPEC = Path(__file__).parents[2] / "specs" / "research.yaml"


async def main(request: ResearchRequest) -> None:
    async with Guild.launch(load_file(SPEC), bus="embedded") as guild:
        items = guild.client.stream(
            "research",
            request,
            conversation=request.conversation,
            whole_conversation=True,
            timeout_s=280,
        )
        async for item in items:
            show(item)


def show(item: BaseModel) -> None:
    line = {"type": wire_type_of(type(item)).name, "fields": item.model_dump(mode="json")}
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(ResearchRequest.model_validate_json(sys.argv[1])))
