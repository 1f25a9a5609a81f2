"""A guild over HTTP: `/api/v1`, the console, and whatever else is mounted beside them.

Needs the extra `web`. Nothing of it is loaded before somebody asks for it.
"""

from typing import TYPE_CHECKING

from messaging._lazy import lazily

if TYPE_CHECKING:
    from guild.gateway.app import gateway_app
    from guild.gateway.callers import Caller, Scope
    from guild.gateway.limits import Limits
    from guild.gateway.tokens import TokenFile

__all__ = ["Caller", "Limits", "Scope", "TokenFile", "gateway_app"]

__getattr__ = lazily(
    __name__,
    {
        "guild.gateway.app": ("gateway_app",),
        "guild.gateway.callers": ("Caller", "Scope"),
        "guild.gateway.limits": ("Limits",),
        "guild.gateway.tokens": ("TokenFile",),
    },
)
