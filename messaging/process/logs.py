"""Where the log goes: to structlog where the host has configured it, else to `logging`.

A structlog without configuration prints everything to stdout, which belongs to the host. So
without a configuration the lines go to the logger `guildbus`, where `logging` shows warnings and
errors on stderr until the host says otherwise.

structlog takes long to load, so it is loaded with the first line that is to be written.
"""

import logging
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

LOGGER = "guildbus"


def get_logger() -> Any:
    """A logger with structlog's methods; what the host configures later counts as well."""
    return _Logger()


_pending: list[Callable[[], None]] = []


def configure_at_first_line(configure: Callable[[], None]) -> None:
    """Have `configure` set structlog up, but not before there is something to log.

    Until then the logger `guildbus` of `logging` says what is.
    """
    _pending[:] = [configure]


class _Logger:
    """Chosen anew for each line, which is cheap beside a line."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if "structlog" not in sys.modules and _is_unwanted(name):
            return _drop
        import structlog  # noqa: PLC0415 - see above

        if _pending:
            _pending.pop()()
        return getattr(structlog.get_logger() if structlog.is_configured() else _plain(), name)


def _is_unwanted(method: str) -> bool:
    """Whether `logging`, which gets the lines while structlog is not loaded, leaves it out."""
    level = logging.getLevelNamesMapping().get(method.upper())
    return level is not None and not logging.getLogger(LOGGER).isEnabledFor(level)


def _drop(*_: object, **__: object) -> None:
    pass


def _line(_: "WrappedLogger", __: str, event: "EventDict") -> tuple[tuple[str], dict[str, Any]]:
    """The event, then what is told of it."""
    about = {key: event.pop(key) for key in ("exc_info", "stack_info") if key in event}
    name = event.pop("event", "")
    facts = " ".join(f"{key}={value!r}" for key, value in event.items())
    return (f"{name} {facts}".rstrip(),), about


@cache
def _plain() -> Any:
    import structlog  # noqa: PLC0415 - see above

    return structlog.wrap_logger(
        logging.getLogger(LOGGER),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _line,
        ],
        cache_logger_on_first_use=True,
    )
