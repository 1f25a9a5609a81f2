"""Lets requests in by the names of the gateway, the browser's origin, and a token."""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guild.gateway.callers import LOCAL, Caller, Callers
from guild.gateway.errors import (
    AmbiguousLengthError,
    HostNotAllowedError,
    NoSuchPathError,
    OriginNotAllowedError,
    RefusedError,
)
from guild.gateway.exposure import is_address
from guild.gateway.problems import problem_response

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
SAFETY = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# Of a name or address and perhaps a port: nothing that different readers take for different hosts.
_HOST = re.compile(
    r"(?:\[(?P<address>[0-9a-f:.]+(?:%[a-z0-9%._~-]+)?)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{0,5})?"
)
_OTHERS = frozenset({"cross-site", "same-site"})
_PORTS = {"http": ":80", "https": ":443"}


class Guard:
    """Refuses requests before their bodies are read, and finds their callers.

    A web page can make a browser send requests to this server: by a name of its own that it lets
    point here (DNS rebinding), which the Host header shows, or from its own origin, which Origin
    and Sec-Fetch-Site show. An address in the place of a name cannot be rebound.

    Args:
        app: gets the caller as `request.state.caller`, None for a stranger; whether it has sent a
            token as `request.state.has_token`; and whether the caller is known any more as
            `request.state.is_still_known()`.
        callers: the owners of tokens; None lets everybody in as `LOCAL`.
        hosts: names of this gateway beside `localhost`.
    """

    def __init__(self, app: ASGIApp, *, callers: Callers | None, hosts: Iterable[str]) -> None:
        self._app = app
        self._callers = callers
        self._hosts = {"localhost", *(host.lower().rstrip(".") for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:  # there is no web socket here
                await send({"type": "websocket.close"})
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFETY.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        try:
            _check_has_one_end(headers)
            _check_has_one_line(scope["path"])
            self._check(headers)
        except RefusedError as error:
            await problem_response(error)(scope, receive, send_safely)
            return
        authorization = ", ".join(headers.getlist("authorization"))  # of two none counts
        caller = self._caller(authorization)
        state = {
            **scope.get("state", {}),
            "caller": caller,
            "has_token": bool(_token_in(authorization)),
            "is_still_known": lambda: self._caller(authorization) == caller,
        }
        await self._app({**scope, "state": state}, receive, send_safely)

    def _check(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            raise HostNotAllowedError(host)
        if any(host.lower() not in _places_of(origin) for origin in headers.getlist("origin")):
            raise OriginNotAllowedError
        if (
            not _OTHERS.isdisjoint(headers.getlist("sec-fetch-site"))
            and headers.get("sec-fetch-mode") != "navigate"
        ):
            raise OriginNotAllowedError

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name, address = found["name"], found["address"]
        return is_address(address or name) or name.removesuffix(".") in self._hosts

    def _caller(self, authorization: str) -> Caller | None:
        if self._callers is None:
            return LOCAL
        secret = _token_in(authorization)
        # The hash of nothing, as of a variable that was not set, would let everybody in.
        return self._callers.find(secret) if secret else None


def _token_in(authorization: str) -> str:
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _check_has_one_end(headers: Headers) -> None:
    """Pass unless a proxy in front may have taken another place for the end of the request.

    Raises:
        AmbiguousLengthError: it may (RFC 9112, section 6.1).
    """
    if "content-length" in headers and "transfer-encoding" in headers:
        raise AmbiguousLengthError


def _check_has_one_line(path: str) -> None:
    """Pass unless routes would take the path for another one, which a proxy in front may have shut.

    Raises:
        NoSuchPathError: they would: to a regular expression a line ends before its break.
    """
    if "\n" in path:
        raise NoSuchPathError(path, "no path has a line break in it")


def _places_of(origin: str) -> Sequence[str]:
    """As a Host header says it: a proxy may add the port that a browser leaves out."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ()
    place = parts.netloc.lower()
    return (place, f"{place}{_PORTS.get(parts.scheme, '')}") if place else ()
