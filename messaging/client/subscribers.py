"""Which groups listen to a topic, so that a request that none would get fails at once."""

import time

from messaging.backend import Backend
from messaging.errors import NobodyListensError
from messaging.process.coalesced import Coalesced
from messaging.wire.pattern_index import PatternIndex

FRESH_S = 5.0


class SubscriberCache:
    """The patterns of all groups, and the topics that fit one, remembered for a few seconds."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._patterns = PatternIndex()
        self._known: set[str] = set()
        self._heard: set[str] = set()
        self._fresh_until = 0.0
        self._look = Coalesced(self._ask_for_groups)

    def forget(self) -> None:
        self._fresh_until = 0.0

    def surely_hear(self, topic: str) -> bool:
        """Whether a group was subscribed to `topic` a moment ago; if not, ask `require`."""
        return topic in self._heard and time.monotonic() < self._fresh_until

    async def require(self, topic: str) -> None:
        """Pass when a group is subscribed to `topic`.

        Raises:
            NobodyListensError: no group is; names the topics that have one.
        """
        is_fresh = time.monotonic() < self._fresh_until
        if not is_fresh or not self._fits(topic):
            await self._look()
        if not self._fits(topic):
            known = ", ".join(sorted(self._known)) or "nothing"
            raise NobodyListensError(
                f"no agent listens to {topic!r}, so nothing was published; "
                f"agents listen to: {known}"
            )
        self._heard.add(topic)

    async def _ask_for_groups(self) -> None:
        groups = await self._backend.groups()
        known = {pattern for patterns in groups.values() for pattern in patterns}
        if known != self._known:
            self._patterns, self._known = PatternIndex(), known
            for pattern in known:
                self._patterns.put(pattern, [pattern])
        self._heard.clear()
        self._fresh_until = time.monotonic() + FRESH_S

    def _fits(self, topic: str) -> bool:
        return bool(self._patterns.owners_of(topic))
