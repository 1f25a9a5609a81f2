"""An engine for plain, blocking code: an event loop in a thread behind it."""

import queue
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from agents.llm.engines import Engine
from guild.sync import BackgroundLoop

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """No more items come; `error` is why, if they did not all come."""

    error: BaseException | None = None


class BlockingEngine:
    """A loaded engine. Any thread may use it, and several at the same time.

    Args:
        engine: it belongs to this object from now on.
        name: of the thread.

    Raises:
        LLMInitializationError: the model cannot be loaded.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self._loop = BackgroundLoop(name)
        try:
            self._loop.run(engine.load())
        except BaseException:
            self.close()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work`, which runs on the engine's loop."""
        return self._loop.run(work)

    def iterate(self, items: Callable[[], AsyncIterator[T]]) -> Generator[T, None, None]:
        """The items that come on the loop, and what goes wrong there.

        Nothing begins before the first of them is asked for. Closing the iterator cancels there.
        """
        arrived: queue.SimpleQueue[T | _End] = queue.SimpleQueue()

        async def follow() -> None:
            end = _End()
            try:
                async for item in items():
                    arrived.put(item)
            except BaseException as error:
                end = _End(error)
                raise
            finally:
                arrived.put(end)

        following = self._loop.start(follow())
        try:
            while not isinstance(item := arrived.get(), _End):
                yield item
        finally:
            following.cancel()
        if item.error is not None:
            raise item.error

    def close(self) -> None:
        """End what runs, free the model and wait for its threads."""
        try:
            self._loop.run(self.engine.close())
        finally:
            self._loop.close()
