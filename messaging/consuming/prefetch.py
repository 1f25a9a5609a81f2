"""How many messages to hold: many for quick handlers, few for slow ones."""

QUICK_S = 0.1
SLOW_S = 1.0


class Prefetch:
    """A limit that doubles while it is used up quickly and halves while it is not.

    A slow agent that held hundreds of messages would keep them from idle replicas.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = min(least, most)
        self._most = most
        self._filled_at: float | None = None
        self.limit = self._least

    def room(self, held: int, blocked: int = 0) -> int:
        """How many more to ask for while `held` are; 0 as long as it is not worth a read.

        What is `blocked` waits for a predecessor, and keeps nothing else from being read.
        """
        room = self.limit - held + blocked
        if room < max(1, self.limit // 2):
            return 0
        return max(0, min(room, self._most - held)) if blocked else room

    def filled(self, now_s: float) -> None:
        """Take note that a read filled everything up to the limit."""
        since_s = QUICK_S if self._filled_at is None else now_s - self._filled_at
        self._filled_at = now_s
        if since_s < QUICK_S:
            self.limit = min(2 * self.limit, self._most)
        elif since_s > SLOW_S:
            self.limit = max(self.limit // 2, self._least)
