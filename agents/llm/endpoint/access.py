"""Who may ask: the host's names, the browser's origin, the keys."""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from agents.llm.endpoint.errors import ApiError

MIN_KEY_CHARS = 16


def new_key() -> str:
    """A key that cannot be guessed."""
    return f"sk-{secrets.token_urlsafe(32)}"


class Guard:
    """Refuses requests before their bodies are read.

    A web page can make a browser send requests to this server: by a name of its own that it lets
    point here (DNS rebinding), which the Host header shows, or from its own origin, which the
    Origin header shows. An address in the place of a name cannot be rebound.

    Args:
        keys: one of them must come as `Authorization: Bearer KEY`; without any, all may ask.
        hosts: names of this server beside `localhost`.

    Raises:
        ValueError: a key is too short to be one.
    """

    def __init__(
        self, app: ASGIApp, *, keys: Iterable[str] = (), hosts: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._digests = [_digest(checked_key(key)) for key in keys]
        self._hosts = {"localhost", *(host.lower().rstrip(".") for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(Headers(scope=scope))
            except ApiError as error:
                response = JSONResponse(error.body, error.status, error.headers)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            raise ApiError(
                403,
                f"this server does not answer to the name {host[:200]!r}",
                kind="permission_error",
                code="host_not_allowed",
            )
        if any(_place_in(origin) != host.lower() for origin in headers.getlist("origin")):
            raise ApiError(
                403,
                "web pages of other origins may not ask this server",
                kind="permission_error",
                code="origin_not_allowed",
            )
        if self._digests and not self._has_key(headers.get("authorization", "")):
            raise ApiError(
                401,
                "the API key is missing or wrong",
                kind="authentication_error",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _is_ours(self, host: str) -> bool:
        if not host or _place_in(f"//{host}") != host.lower() or "@" in host:
            return False
        name = urlsplit(f"//{host}").hostname or ""
        return name.rstrip(".") in self._hosts or is_address(name)

    def _has_key(self, authorization: str) -> bool:
        scheme, _, key = authorization.partition(" ")
        given = _digest(key.strip())
        # All are compared, so that time tells nothing.
        matches = [hmac.compare_digest(given, known) for known in self._digests]
        return scheme.lower() == "bearer" and any(matches)


def checked_key(key: str) -> str:
    """`key` itself.

    Raises:
        ValueError: it is too short, or no HTTP header can carry it.
    """
    if len(key) < MIN_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(
            f"an API key needs at least {MIN_KEY_CHARS} ASCII characters without spaces; "
            "agents.llm.endpoint.new_key() makes one"
        )
    return key


def is_address(host: str) -> bool:
    """Whether `host` is an address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _place_in(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
