"""What agents share: opened once when first needed, closed when nobody needs it any more.

Each open resource lives in a task of its own, which enters and leaves its context manager: a
resource may hold cancel scopes, and outlives the request that happened to open it.
"""

import asyncio
import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from pydantic import BaseModel

from guild.errors import ResourceError
from guild.properties import BaseAgentProps
from guild.suggest import closest

Opener = Callable[[], AbstractAsyncContextManager[Any]]


class ResourcePool:
    """Shared resources by name; belongs to one event loop.

    Args:
        openers: by name, what makes the context manager of a resource.
    """

    def __init__(self, openers: Mapping[str, Opener]) -> None:
        self._openers = openers
        self._open: dict[str, _Holder] = {}
        self._is_closed = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._openers)

    @property
    def opened(self) -> tuple[str, ...]:
        """Names of the open resources in order of opening."""
        return tuple(name for name, holder in self._open.items() if holder.is_ready)

    async def acquire(self, name: str) -> Any:
        """The resource `name`, opened if it is not; give it back with `release`.

        However many ask at once, it is opened once.

        Raises:
            ResourceError: there is none, or it could not be opened; the next call tries again.
        """
        if name not in self._openers:
            hint = closest(name, self._openers)
            known = f"did you mean {hint!r}?" if hint else f"there are: {', '.join(self.names)}"
            raise ResourceError(name, f"the guild has no such resource; {known}")
        while (holder := self._open.get(name)) and holder.is_closing:
            await asyncio.wait([holder.task])
        if self._is_closed:
            raise ResourceError(name, "the guild is closing")
        if holder is None:
            holder = self._open[name] = _Holder(name, self._openers[name], self._forget)
        holder.users += 1
        try:
            value = await asyncio.shield(holder.ready)
        except BaseException:
            self.release_holder(holder)
            raise
        return value

    async def release(self, name: str) -> None:
        """Give one acquisition of `name` back; the last one closes it and waits for that."""
        holder = self._open.get(name)
        if holder is not None and self.release_holder(holder):
            await asyncio.wait([holder.task])

    async def close(self) -> None:
        """Close what is open, the latest opened first; afterwards nothing can be acquired."""
        self._is_closed = True
        for holder in reversed(list(self._open.values())):
            holder.close()
            await asyncio.wait([holder.task])

    def release_holder(self, holder: "_Holder") -> bool:
        holder.users -= 1
        if holder.users == 0:
            holder.close()
        return holder.users == 0

    def _forget(self, holder: "_Holder") -> None:
        if self._open.get(holder.name) is holder:
            del self._open[holder.name]


class ResourceScope:
    """What one agent uses of the guild's resources; given back together when it stops.

    Args:
        pool: the guild's.
        renamed: by the name that the agent uses, the guild's.
    """

    def __init__(self, pool: ResourcePool, renamed: Mapping[str, str] | None = None) -> None:
        self._pool = pool
        self._renamed = dict(renamed or {})
        self._held: dict[str, asyncio.Future[Any]] = {}

    async def get(self, name: str) -> Any:
        """The resource `name`, opened if it must be; the same object on every call.

        Raises:
            ResourceError: there is none, or it could not be opened; the next call tries again.
        """
        name = self._renamed.get(name, name)
        if name not in self._held:
            self._held[name] = asyncio.ensure_future(self._pool.acquire(name))
            self._held[name].add_done_callback(lambda done: self._drop_failed(name, done))
        return await asyncio.shield(self._held[name])

    async def close(self) -> None:
        """Give everything back, the latest first."""
        while self._held:
            name, acquiring = self._held.popitem()
            await asyncio.wait([acquiring])
            if not acquiring.cancelled() and acquiring.exception() is None:
                await self._pool.release(name)

    def _drop_failed(self, name: str, done: "asyncio.Future[Any]") -> None:
        failed = done.cancelled() or done.exception() is not None
        if failed and self._held.get(name) is done:
            del self._held[name]


class _Holder:
    """One opening of a resource, and the task that keeps it open."""

    def __init__(self, name: str, opener: Opener, forget: Callable[["_Holder"], None]) -> None:
        self.name = name
        self.users = 0
        self.is_closing = False
        self.ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._opener = opener
        self._close = asyncio.Event()
        self._forget = forget
        self.task = asyncio.create_task(self._hold(), name=f"resource:{name}")

    @property
    def is_ready(self) -> bool:
        return self.ready.done() and not self.is_closing

    def close(self) -> None:
        self.is_closing = True
        self._close.set()
        if not self.ready.done():
            self.task.cancel()

    async def _hold(self) -> None:
        try:
            async with self._opener() as value:
                self.ready.set_result(value)
                await self._close.wait()
        except BaseException as error:  # noqa: BLE001 - goes to the waiters, or to the log
            self._failed(error)
        finally:
            self._forget(self)

    def _failed(self, error: BaseException) -> None:
        if self.ready.done():
            from messaging.process.logs import get_logger  # noqa: PLC0415 - checking a spec needs no log

            # Only an event loop that ends cancels it: the process was told to end a second time.
            if isinstance(error, asyncio.CancelledError) and self.task.cancelling():
                get_logger().info("resource.close_cut_short", resource=self.name)
            else:
                get_logger().error("resource.close_failed", resource=self.name, exc_info=error)
            return
        cancelled = isinstance(error, asyncio.CancelledError)
        text = "closed while it was opened" if cancelled else f"{type(error).__name__}: {error}"
        failure = ResourceError(self.name, f"could not be opened: {text}")
        failure.__cause__ = error
        self.ready.set_exception(failure)
        self.ready.exception()  # retrieved: nobody may be waiting any more


def properties_class_of(factory: Callable[..., Any]) -> type[BaseModel]:
    """The model that `factory` is called with, from the annotation of its first parameter.

    Raises:
        TypeError: it has a first parameter that is not annotated with a pydantic model of its own.
    """
    target = inspect.getattr_static(factory, "__init__") if isinstance(factory, type) else factory
    hints = typing.get_type_hints(target)
    names = list(inspect.signature(factory).parameters)
    if not names:
        return BaseAgentProps
    annotation = hints.get(names[0])
    if not isinstance(annotation, type) or not issubclass(annotation, BaseModel):
        hint = ""
    elif annotation is not BaseModel:
        return annotation
    else:
        hint = ", not with BaseModel itself, which has no fields"
    raise TypeError(
        f"the first parameter of {factory.__qualname__} must be annotated with a pydantic model"
        f"{hint}"
    )
