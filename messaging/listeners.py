"""Who listens to a topic, so that a question to nobody fails at once."""

import time

from messaging.backend import Backend
from messaging.errors import NobodyListensError
from messaging.topic import matches

FRESH_S = 5.0


class Listeners:
    """The patterns of all groups, remembered for a few seconds once they fit."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._patterns: set[str] = set()
        self._fresh_until = 0.0

    def forget(self) -> None:
        self._fresh_until = 0.0

    async def require(self, topic: str) -> None:
        """Pass when a group is subscribed to `topic`.

        Raises:
            NobodyListensError: none is; names those that are.
        """
        if time.monotonic() < self._fresh_until and self._fits(topic):
            return
        groups = await self._backend.groups()
        self._patterns = {pattern for patterns in groups.values() for pattern in patterns}
        self._fresh_until = time.monotonic() + FRESH_S
        if not self._fits(topic):
            known = ", ".join(sorted(self._patterns)) or "nothing"
            raise NobodyListensError(
                f"no agent listens to {topic!r}, so nothing was published; "
                f"agents listen to: {known}"
            )

    def _fits(self, topic: str) -> bool:
        return any(matches(pattern, topic) for pattern in self._patterns)
