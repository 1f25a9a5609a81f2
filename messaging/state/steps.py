"""The journal of one message's handling: finished steps, which no later attempt repeats."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from messaging.backend import StateValue, StateWrite, steps_key
from messaging.errors import StepError
from messaging.process.threads import Threads
from messaging.state.results import read_result, written_and_read

MOST_THREADS = 32

Journal = Callable[[StateWrite], Awaitable[int]]
LoadState = Callable[[str], Awaitable[StateValue | None]]

_STORED = TypeAdapter(dict[str, str])


class Steps:
    """Results by name, all in one value of the group's state, so that they vanish in one write."""

    __slots__ = (
        "_key",
        "_load",
        "_results",
        "_started",
        "_threads",
        "_version",
        "_write",
        "_writing",
    )

    def __init__(self, message_id: str, load: LoadState, write: Journal) -> None:
        self._key = steps_key(message_id)
        self._load = load
        self._write = write
        self._results: dict[str, str] | None = None
        self._version = 0
        self._started: set[str] = set()
        self._writing = asyncio.Lock()
        self._threads: Threads | None = None

    async def run(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        returns: Any,
    ) -> Any:
        """See `Context.step`."""
        if not name or name in self._started:
            raise StepError(
                f"a handling has two steps called {name!r}; count them, as in {name!r} + '.2'"
                if name
                else "a step needs a name"
            )
        try:
            name.encode()
        except UnicodeEncodeError:  # before the step is run, and not when it is to be kept
            raise StepError(f"no store can keep the name of a step {name!r}") from None
        self._started.add(name)
        results = await self._read()
        if name not in results:
            made = await self._call(function, args, kwargs)
            result, read = written_and_read(name, made, returns)
            await self._keep(name, result)
            return read
        return read_result(name, results[name], returns)

    @property
    def were_used(self) -> bool:
        return bool(self._started)

    async def forget(self) -> tuple[StateWrite, ...]:
        """What a commit has to write so that nothing is left of the journal."""
        await self._read()
        return (StateWrite(self._key, None, self._version),) if self._version else ()

    async def _read(self) -> dict[str, str]:
        async with self._writing:
            if self._results is None:
                stored = await self._load(self._key)
                if stored is not None:
                    self._version = stored.version
                self._results = _STORED.validate_json(stored.value) if stored is not None else {}
            return self._results

    async def _call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        call = partial(function, *args, **kwargs)
        if inspect.iscoroutinefunction(function):
            return await call()
        if self._threads is None:
            self._threads = Threads(MOST_THREADS)
        result = await self._threads.run(call)
        return await result if inspect.isawaitable(result) else result

    async def _keep(self, name: str, result: str) -> None:
        # What is done is done: a cancellation must not lose the record of it.
        keeping = asyncio.ensure_future(self._store(name, result))
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:
            keeping.add_done_callback(_look_at)
            raise

    async def _store(self, name: str, result: str) -> None:
        async with self._writing:
            assert self._results is not None
            results = {**self._results, name: result}
            value = json.dumps(results, ensure_ascii=False, separators=(",", ":")).encode()
            self._version = await self._write(StateWrite(self._key, value, self._version))
            self._results = results


def _look_at(task: asyncio.Future[None]) -> None:
    """Ignore its error: its waiter has left, and a fence shows again in the commit."""
    if not task.cancelled():
        task.exception()
