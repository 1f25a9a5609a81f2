"""Serves callers with a token that is good for what they ask, and not too often."""

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from guild.gateway.callers import Caller, Scope
from guild.gateway.errors import (
    RefusedError,
    ScopeMissingError,
    TokenMissingError,
    TokenUnknownError,
    TooManyRequestsError,
)
from guild.gateway.limits import Limits
from guild.gateway.mounted import Mounted

MOST_CALLERS = 10_000
_LOOKS = ("GET", "HEAD")


class Admission:
    """Counts the requests of each caller."""

    def __init__(self, limits: Limits) -> None:
        self._rates = Rates(limits.rate_per_s, limits.burst)

    def admit(self, request: Request, scope: Scope | None) -> Caller:
        """The caller of a request, which may make it.

        Args:
            request: one that the guard has let through.
            scope: what the caller's token must be good for; None for any token.

        Raises:
            TokenMissingError, TokenUnknownError: a stranger.
            ScopeMissingError: the token may not do this.
            TooManyRequestsError: more of them than the caller may send.
        """
        caller: Caller | None = request.state.caller
        if caller is None:
            raise TokenUnknownError if request.state.has_token else TokenMissingError
        if scope is not None and scope not in caller.scopes:
            raise ScopeMissingError(caller.name, scope)
        self._rates.take(caller.name)
        return caller


class Admitted:
    """An app for admitted callers: to look takes another scope than to ask for work."""

    def __init__(self, mounted: ASGIApp | Mounted, admission: Admission) -> None:
        self._mounted = mounted if isinstance(mounted, Mounted) else Mounted(mounted)
        self._admission = admission

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        try:
            is_look = request.method in _LOOKS
            self._admission.admit(request, Scope.READ if is_look else Scope.PUBLISH)
        except RefusedError as error:
            await self._mounted.refused(error)(scope, receive, send)
            return
        await self._mounted.app(scope, receive, send)


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
