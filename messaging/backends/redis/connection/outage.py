"""An outage of the server, told once while it lasts and once when it is over.

Whatever waits for the server goes on by itself when it is back, and fails only after half a minute;
until then an operator, and a caller that waits for an answer, would not know why nothing comes.
Less than a second is not told: a server that starts again at once.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from messaging.backend import SERVER_AWAY, SERVER_BACK

LOOK_EVERY_S = 1.0
QUIET_S = 5.0


class Outage:
    """Whether one server is away: without a connection, silent, or refusing everything for now.

    Args:
        where: the server's URL, without passwords.
        announce: told of the outage, and of its end.
        give_up_after_s: how long an operation waits for the server.
        is_silent: asked each second whether the server owes an answer and says nothing.
    """

    def __init__(
        self,
        *,
        where: Callable[[], str],
        announce: Callable[[str, str], None],
        give_up_after_s: float,
        is_silent: Callable[[], bool],
    ) -> None:
        self._where = where
        self._announce = announce
        self._give_up_after_s = give_up_after_s
        self._is_silent = is_silent
        self._loop = asyncio.get_running_loop()
        self._looking: asyncio.TimerHandle | None = None
        self._began_at_s: float | None = None
        self._since = ""
        self._why = ""
        self._is_told = False
        self._was_silent = False
        self._refused_at_s = 0.0

    def watch(self) -> None:
        """Begin to look."""
        self._looking = self._loop.call_later(LOOK_EVERY_S, self._look)

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    def lost(self, why: str) -> None:
        """There is no connection."""
        self._refused_at_s, self._was_silent = 0.0, False
        self._begin(why)

    def refused(self, why: str) -> None:
        """The server refused something that it will take later."""
        if self._began_at_s is None or self._refused_at_s:
            self._refused_at_s = self._loop.time()
            self._begin(why)

    def taken(self) -> None:
        """The server took what it had refused."""
        if self._refused_at_s:
            self.over()

    def over(self) -> None:
        """The server is back."""
        began_at_s, self._began_at_s = self._began_at_s, None
        self._refused_at_s, self._was_silent = 0.0, False
        if began_at_s is None or not self._is_told:
            return
        self._is_told = False
        self._announce(
            SERVER_BACK,
            f"the server at {self._where()} is back; it was away for "
            f"{self._loop.time() - began_at_s:.1f} s, and what waited for it goes on",
        )

    def _begin(self, why: str, ago_s: float = 0.0) -> None:
        self._why = why or self._why
        if self._began_at_s is None:
            self._began_at_s = self._loop.time() - ago_s
            self._since = f"{datetime.now(UTC):%H:%M:%S} UTC"

    def _look(self) -> None:
        self._looking = self._loop.call_later(LOOK_EVERY_S, self._look)
        now_s = self._loop.time()
        if self._is_silent():
            self._was_silent = True
            self._begin("it does not answer", LOOK_EVERY_S)
        elif self._was_silent:
            self.over()
        elif self._refused_at_s and now_s - self._refused_at_s > QUIET_S:
            self.over()  # nothing was refused for a while: nothing waits any more
        began_at_s = self._began_at_s
        if began_at_s is not None and not self._is_told and now_s - began_at_s >= LOOK_EVERY_S:
            self._is_told = True
            self._announce(
                SERVER_AWAY,
                f"the server at {self._where()} is away since {self._since} ({self._why}); what is "
                "published, asked and committed waits for it, each at most "
                f"{self._give_up_after_s:g} s, and goes on when it is back",
            )
