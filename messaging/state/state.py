"""A group's durable state, as one handling sees it."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator
from typing import Any, TypeVar

from pydantic import BaseModel

from messaging.backend import ANY_VERSION, RESERVED_PREFIX, StateValue, StateWrite
from messaging.errors import PayloadTooLargeError
from messaging.wire.message import decode, encode

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

LoadState = Callable[[str], Awaitable[StateValue | None]]


class Done:
    """What has been done already: there is nothing to wait for, but it may be awaited."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


DONE = Done()


class State:
    """Values by key, read when asked for and written in the commit of the handling.

    What is saved leaves with the handling's messages or not at all. `save` and `delete` are done at
    once, as `send` is; to await them changes nothing. `load` has to be awaited.

    A key that was loaded is written over the version that was read: when another handling has
    written it in the meantime, nothing of this one is applied and it runs again on fresh state. So
    that this stays rare, handlings that load the same key take turns, see
    `messaging.state.contention`. A key that is written without having been loaded is written over
    whatever is there.

    Args:
        load: the latest committed value of a key.
        enter: what to wait for until the handling may load a key; None when it may at once.
        begin: watches over a coroutine that has to be awaited.
        limit_bytes: how long a value may be.
    """

    __slots__ = ("_begin", "_enter", "_limit_bytes", "_load", "_values", "_versions", "_written")

    def __init__(
        self,
        load: LoadState,
        enter: Callable[[str], Awaitable[None] | None],
        begin: Callable[[str, str, Coroutine[Any, Any, T]], Coroutine[Any, Any, T]],
        limit_bytes: int,
    ) -> None:
        self._load = load
        self._enter = enter
        self._begin: Callable[[str, str, Any], Any] = begin
        self._limit_bytes = limit_bytes
        self._values: dict[str, bytes | None] = {}
        self._versions: dict[str, int] = {}
        self._written: dict[str, None] = {}  # in order

    def load(self, key: str, model: type[M]) -> Coroutine[Any, Any, M | None]:
        """The value of `key`, what this handling saved included; None when there is none.

        Raises:
            InvalidMessageError: what is stored is not a `model`.
        """
        work: Coroutine[Any, Any, M | None] = self._begin(
            "state.load({!r})", key, self._loaded(_check(key), model)
        )
        return work

    def save(self, key: str, value: BaseModel) -> Done:
        """Store `value` under `key` when the handling is committed.

        Raises:
            PayloadTooLargeError: it is longer than a value may be.
        """
        encoded = encode(value)
        if len(encoded) > self._limit_bytes:
            raise PayloadTooLargeError(f"the state {key!r}", len(encoded), self._limit_bytes)
        self._write(_check(key), encoded)
        return DONE

    def delete(self, key: str) -> Done:
        """Forget `key` when the handling is committed; nothing happens if it is absent."""
        self._write(_check(key), None)
        return DONE

    @property
    def written(self) -> Collection[str]:
        """The keys that were saved or deleted."""
        return self._written

    @property
    def unread(self) -> list[str]:
        """The keys that are written without having been loaded."""
        return [key for key in self._written if key not in self._versions]

    def writes(self) -> tuple[StateWrite, ...]:
        """What the commit has to write, over the versions that were read."""
        return tuple(
            StateWrite(key, value, self._versions.get(key, ANY_VERSION))
            for key, value in self._values.items()
            if key in self._written and (value is not None or self._versions.get(key) != 0)
        )

    def _write(self, key: str, value: bytes | None) -> None:
        self._values[key] = value
        self._written[key] = None

    async def _loaded(self, key: str, model: type[M]) -> M | None:
        if key not in self._values:
            if (turn := self._enter(key)) is not None:
                await turn
            stored = await self._load(key)
            if key not in self._versions:  # unless it was loaded twice at once
                self._versions[key] = stored.version if stored else 0
                if key not in self._written:
                    self._values[key] = stored.value if stored else None
        value = self._values[key]
        return None if value is None else decode(model, value)


def _check(key: str) -> str:
    # What the store cannot encode would end the replica, as it is committed.
    is_half = not key.isascii() and key.encode(errors="ignore").decode() != key
    if not key or key.startswith(RESERVED_PREFIX) or is_half:
        raise ValueError(
            f"{key!r} is no key: it is empty, begins with {RESERVED_PREFIX} or is not whole text"
        )
    return key
