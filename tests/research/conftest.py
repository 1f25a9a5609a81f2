"""One toolkit for all tests that can share it: its processes take seconds of computing to start.

Its workspace is shared, too, so that tests write files under names of their own.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agents.llm.engines import ModelRegistry
from agents.research import ResearchToolkit
from guild.progress import Progress

R = TypeVar("R")


@pytest.fixture(scope="session")
def common_progress() -> list[Progress]:
    """What the common toolkit has shown."""
    return []


@pytest.fixture(scope="session")
def common_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("common")


@pytest.fixture(scope="session")
def common_kit(
    common_workspace: Path, common_progress: list[Progress]
) -> Iterator[ResearchToolkit]:
    """Without a language model."""
    with ResearchToolkit(
        workspace=common_workspace, threads=1, show=common_progress.append
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def models(common_kit: ResearchToolkit) -> Iterator[ModelRegistry]:
    """Language models beside the jobs of the common toolkit; a script goes on where it was."""
    stack = AsyncExitStack()
    yield common_kit._loop.run(stack.enter_async_context(ModelRegistry()))
    common_kit._loop.run(stack.aclose())


async def in_the_loop_of(kit: ResearchToolkit, work: Coroutine[Any, Any, R]) -> R:
    """What `work` returns, which has to run where the jobs of `kit` do."""
    return await asyncio.to_thread(kit._loop.run, work)
