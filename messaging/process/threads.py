"""Plain handlers run here: a daemon thread each, and not too many at a time."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from messaging.process.error_text import text_of


class Threads:
    """Runs functions off the loop.

    The threads are daemons: one that does not notice that it was cancelled cannot keep the
    process from ending. It keeps its slot, though, so that stuck threads stay few.
    """

    def __init__(self, limit: int) -> None:
        self._slots = asyncio.Semaphore(limit)

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """The result of `function(*args)`, which sees the context variables of the caller."""
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Any] = loop.create_future()
        context = copy_context()

        def work() -> None:
            value, error = None, None
            try:
                value = context.run(function, *args)
            except BaseException as raised:  # noqa: BLE001 - raised again where it is awaited
                error = _carried(raised)
            with suppress(RuntimeError):  # the loop is gone, and so is the waiter
                loop.call_soon_threadsafe(self._finish, result, value, error)

        name = f"handler-{getattr(function, '__name__', 'plain')}"
        try:
            threading.Thread(target=work, name=name, daemon=True).start()
        except RuntimeError:  # the system has no thread left: no `work` gives the slot back
            self._slots.release()
            raise
        return await result

    def _finish(self, result: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
        self._slots.release()
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)


def _carried(error: BaseException) -> BaseException:
    # A future refuses StopIteration, and the others would end more than the handling.
    if isinstance(error, StopIteration | KeyboardInterrupt | SystemExit | GeneratorExit):
        carried = RuntimeError(f"the handler raised {type(error).__name__}: {text_of(error)}")
        carried.__cause__ = error
        return carried
    return error
