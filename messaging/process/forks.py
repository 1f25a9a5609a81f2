"""What a forked child must let go of: the buses, connections and servers of its parent.

The child has copies of all of it, and of the event loop that it hung on, which does not run there.
What would wait for that loop would wait for ever; what would be written would go into the middle
of the parent's conversation; and what would be tidied up is still in use.
"""

import os
import signal
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """Something that a child of this process must not use."""

    def forked(self) -> None:
        """Called in the child, before anything else runs there: let go, and write nothing."""
        ...


_kept: WeakSet[Inherited] = WeakSet()


def keep_from_children(one: Inherited) -> None:
    """Have `one` told, in each child that is forked from now on, for as long as it lives."""
    _kept.add(one)


def _in_child() -> None:
    if not _kept:
        return
    for one in tuple(_kept):
        with suppress(Exception):
            one.forked()
    _kept.clear()
    with suppress(ValueError):  # or a signal for the child would wake the parent's loop, and end it
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
