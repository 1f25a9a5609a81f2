"""Stores that several backends of this process use together, until the last one closes."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from messaging.backends.memory.store import Store
from messaging.errors import BackendSetupError


@dataclass
class _Use:
    store: Store
    loop: asyncio.AbstractEventLoop
    count: int = 0


_in_use: dict[tuple[str, str], _Use] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_use.clear)  # a child has none of its parent's stores


def acquire(key: tuple[str, str] | None, new_store: Callable[[], Store]) -> Store:
    """The store of `key`; without a key, or the first time, a new one.

    Raises:
        BackendSetupError: another event loop uses it; a store belongs to one thread.
    """
    if key is None:
        return new_store()
    loop = asyncio.get_running_loop()
    use = _in_use.get(key)
    if use is None or use.loop.is_closed():
        use = _in_use[key] = _Use(new_store(), loop)
    elif use.loop is not loop:
        raise BackendSetupError(
            f"memory://{key[1]} of guild {key[0]} is in use by another event loop; "
            "choose another name, or `embedded`, which any thread or process can share"
        )
    use.count += 1
    return use.store


def release(key: tuple[str, str] | None, store: Store) -> None:
    """Give back what `acquire` gave; the last one to do so forgets the store."""
    use = _in_use.get(key) if key else None
    if key and use is not None and use.store is store:
        use.count -= 1
        if not use.count:
            del _in_use[key]
