"""How often each caller may ask."""

import time
from collections import OrderedDict
from collections.abc import Callable

from guild.gateway.errors import TooManyRequestsError

MOST_CALLERS = 10_000


class Rates:
    """A token bucket for each caller: full at first, filled by the rate, emptied by requests."""

    def __init__(
        self, rate_per_s: float, burst: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count a request.

        Raises:
            TooManyRequestsError: the bucket of the caller is empty; says when it is not any more.
        """
        now = self._now()
        left, at = self._buckets.pop(caller, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._rate_per_s)
        enough = left >= 1.0
        self._buckets[caller] = (left - enough, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        if not enough:
            wait_s = (1.0 - left) / self._rate_per_s
            raise TooManyRequestsError(caller, self._rate_per_s, wait_s)
