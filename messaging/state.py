"""A group's durable state, as one handling sees it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel

from messaging.backend import StateValue, StateWrite
from messaging.message import decode, encode

M = TypeVar("M", bound=BaseModel)

RESERVED_PREFIX = "_bus."

LoadState = Callable[[str], Awaitable[StateValue | None]]


class State:
    """Values by key, read when asked for and written in the commit of the handling.

    What is saved leaves with the handling's messages or not at all. When another handling wrote
    the same key in the meantime, nothing of this one is applied and it runs again on fresh state.
    """

    __slots__ = ("_load", "_values", "_versions", "_written")

    def __init__(self, load: LoadState) -> None:
        self._load = load
        self._values: dict[str, bytes | None] = {}
        self._versions: dict[str, int] = {}
        self._written: set[str] = set()

    async def load(self, key: str, model: type[M]) -> M | None:
        """The value of `key`, what this handling saved included; None when there is none.

        Raises:
            InvalidMessageError: what is stored is not a `model`.
        """
        await self._read(key)
        value = self._values[key]
        return None if value is None else decode(model, value)

    async def save(self, key: str, value: BaseModel) -> None:
        """Store `value` under `key` when the handling is committed."""
        await self._read(key)
        self._write(key, encode(value))

    async def delete(self, key: str) -> None:
        """Forget `key` when the handling is committed; nothing happens if it is absent."""
        await self._read(key)
        if self._versions[key] or self._values[key] is not None:
            self._write(key, None)

    def writes(self) -> tuple[StateWrite, ...]:
        """What the commit has to write, over the versions that were read."""
        return tuple(
            StateWrite(key, self._values[key], self._versions[key])
            for key in self._values
            if key in self._written and (self._versions[key] or self._values[key] is not None)
        )

    def _write(self, key: str, value: bytes | None) -> None:
        self._values[key] = value
        self._written.add(key)

    async def _read(self, key: str) -> None:
        if key in self._values:
            return
        if not key or key.startswith(RESERVED_PREFIX):
            raise ValueError(f"{key!r} is no key: it is empty or begins with {RESERVED_PREFIX}")
        stored = await self._load(key)
        self._values[key] = stored.value if stored else None
        self._versions[key] = stored.version if stored else 0
