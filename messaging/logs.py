"""Where the log goes: to structlog where the host has configured it, else to `logging`.

A structlog that nobody configured prints everything to stdout, which belongs to the host. So
without a configuration the lines go to the logger `guildbus`, where `logging` shows warnings and
errors on stderr until the host says otherwise.
"""

import logging
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

LOGGER = "guildbus"


def get_logger() -> Any:
    """A logger with structlog's methods; what the host configures later counts as well."""
    return _Logger()


class _Logger:
    """Chosen anew for each line, which is cheap beside a line."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(structlog.get_logger() if structlog.is_configured() else _plain, name)


def _line(_: WrappedLogger, __: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """The event, then what is told of it."""
    about = {key: event.pop(key) for key in ("exc_info", "stack_info") if key in event}
    name = event.pop("event", "")
    facts = " ".join(f"{key}={value!r}" for key, value in event.items())
    return (f"{name} {facts}".rstrip(),), about


_plain = structlog.wrap_logger(
    logging.getLogger(LOGGER),
    wrapper_class=structlog.stdlib.BoundLogger,
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.contextvars.merge_contextvars,
        _line,
    ],
    cache_logger_on_first_use=True,
)
