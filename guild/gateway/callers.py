"""Who calls, and what each caller may do."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class Scope(StrEnum):
    """What a caller may do; none of them includes another."""

    READ = "read"
    PUBLISH = "publish"
    OPERATE = "operate"
    APPROVE = "approve"


class Caller(NamedTuple):
    """Who calls: the name of a token, and what it may do."""

    name: str
    scopes: frozenset[Scope]


TOKEN_BYTES = 32
TOKEN_PREFIX = "gb_"  # noqa: S105  of each

LOCAL = Caller("local", frozenset(Scope))
"""Every caller of a gateway without tokens, which listens on loopback only."""


class Callers(Protocol):
    """Those who may call."""

    def find(self, secret: str) -> Caller | None:
        """The caller with this secret, if there is one. Takes equally long for each secret."""
        ...


class OneSecret:
    """A single caller with a secret."""

    def __init__(self, caller: Caller, secret: str) -> None:
        self._caller = caller
        self._digest = digest_of(secret)

    def find(self, secret: str) -> Caller | None:
        return self._caller if hmac.compare_digest(digest_of(secret), self._digest) else None


class AnyOf:
    """The callers of several places, asked in their order."""

    def __init__(self, places: Sequence[Callers]) -> None:
        self._places = places

    def find(self, secret: str) -> Caller | None:
        found = [place.find(secret) for place in self._places]
        return next((caller for caller in found if caller is not None), None)


def new_secret() -> str:
    """A token that cannot be guessed."""
    return f"{TOKEN_PREFIX}{secrets.token_urlsafe(TOKEN_BYTES)}"


def digest_of(secret: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()
