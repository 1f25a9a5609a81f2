"""What the families of tools share: jobs in child processes, and a loop to wait for them in."""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from pydantic import BaseModel

from agents.llm.blocking.closing import Closing
from agents.research.jobs import Audience, Done, Jobs
from agents.research.toolkit.plain import plain
from agents.research.writing.client import LanguageModel
from guild.progress import Progress
from guild.sync import BackgroundLoop

Show = Callable[[Progress], None]


class Calls(Closing):
    """Does what messages ask for, and returns when it is done."""

    _loop: BackgroundLoop
    _stack: AsyncExitStack
    _jobs: Jobs
    _llm: LanguageModel
    _audience: Audience

    def close(self) -> None:
        """Free the language model and end the processes. Called again it does nothing."""
        if self._loop.is_running:
            try:
                self._loop.run(self._stack.aclose())
            finally:
                self._loop.close()

    def _do(
        self,
        tool: Callable[[Jobs, Any, Audience], Coroutine[Any, Any, Done]],
        request: BaseModel,
    ) -> dict[str, Any]:
        return self._loop.run(tool(self._jobs, plain(request), self._audience)).result


class Shower:
    """Hands progress on to a function."""

    def __init__(self, show: Show | None) -> None:
        self._show = show

    def emit(self, message: BaseModel, /) -> None:
        if self._show is not None and isinstance(message, Progress):
            self._show(message)
