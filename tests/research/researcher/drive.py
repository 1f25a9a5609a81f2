"""Launches the research guild in the current folder and asks for one study.

What is emitted and the answer at the end go to stdout, one JSON object per line.
"""

import asyncio
import sys

import structlog

from agents.research.researcher.messages import StudyRequest
from guild import Guild
from guild.checking.loader import load_file
from tests.research.drive import SPEC, show


async def main(request: StudyRequest) -> None:
    async with Guild.launch(load_file(SPEC), bus="embedded") as guild:
        items = guild.client.stream(
            "research.researcher",
            request,
            conversation=request.conversation,
            whole_conversation=True,
            timeout_s=280,
        )
        async for item in items:
            show(item)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(StudyRequest.model_validate_json(sys.argv[1])))
