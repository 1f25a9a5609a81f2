"""Whom the gateway serves: a caller with a token that is good for it, and not too often."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from guild.gateway.callers import Caller, Scope
from guild.gateway.errors import RefusedError, ScopeMissingError, TokenMissingError
from guild.gateway.limits import Limits
from guild.gateway.mounted import Mounted
from guild.gateway.rates import Rates

_LOOKS = ("GET", "HEAD")


class Admission:
    """Counts the requests of each caller."""

    def __init__(self, limits: Limits) -> None:
        self._rates = Rates(limits.rate_per_s, limits.burst)

    def admit(self, request: Request, scope: Scope | None) -> Caller:
        """Who asks.

        Args:
            request: one that the guard has let through.
            scope: what the caller's token must be good for; None for any token.

        Raises:
            TokenMissingError: a stranger.
            ScopeMissingError: the token may not do this.
            TooManyRequestsError: more of them than the caller may send.
        """
        caller: Caller | None = request.state.caller
        if caller is None:
            raise TokenMissingError
        if scope is not None and scope not in caller.scopes:
            raise ScopeMissingError(caller.name, scope)
        self._rates.take(caller.name)
        return caller


class Admitted:
    """An app for those who are admitted: to look they need less than to ask for work."""

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
