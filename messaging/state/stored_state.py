"""The state of a group for operators: what is committed, and nothing else."""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from messaging.backend import FROM_START, RESERVED_PREFIX, Backend, StateKey

PAGE = 500


class Stored(NamedTuple):
    """A value as JSON, or as text where it is the bus's own and no JSON; see `StateKey`."""

    key: str
    revision: int
    value: Any


class StoredState:
    """Reads, and changes nothing: handlers write their state in their commits."""

    def __init__(self, backend: Backend, group: str) -> None:
        self._backend = backend
        self._group = group

    async def keys(self, *, with_the_buses_own: bool = False) -> AsyncIterator[StateKey]:
        """Each key once, in no order, read page by page."""
        seen: set[str] = set()
        after = FROM_START
        while True:
            page, after = await self._backend.state_keys(self._group, after=after, max_count=PAGE)
            for found in page:
                is_wanted = with_the_buses_own or not found.key.startswith(RESERVED_PREFIX)
                if is_wanted and found.key not in seen:
                    seen.add(found.key)
                    yield found
            if after == FROM_START:
                return

    async def show(self, key: str) -> Stored | None:
        """The value of `key`; None when there is none."""
        stored = await self._backend.load_state(self._group, key)
        if stored is None:
            return None
        try:
            value = json.loads(stored.value)
        except ValueError:
            value = stored.value.decode("utf-8", "replace")
        return Stored(key, stored.version, value)
