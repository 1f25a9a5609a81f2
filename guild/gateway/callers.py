"""Who calls, and what each caller may do."""

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


LOCAL = Caller("local", frozenset(Scope))
"""Everybody who reaches a gateway without tokens, which listens on loopback only."""


class Callers(Protocol):
    """Those who may call."""

    def find(self, secret: str) -> Caller | None:
        """Whose secret this is; None for a stranger's. Takes as long for one as for another."""
        ...


class AnyOf:
    """The callers of several places, asked in their order."""

    def __init__(self, places: Sequence[Callers]) -> None:
        self._places = places

    def find(self, secret: str) -> Caller | None:
        found = [place.find(secret) for place in self._places]
        return next((caller for caller in found if caller is not None), None)
