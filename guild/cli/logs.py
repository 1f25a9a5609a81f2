"""Log lines on stderr: readable on a terminal, JSON otherwise. Only the CLI configures logging."""

import logging
import sys
from contextlib import suppress
from functools import partial
from typing import TextIO, cast

from messaging.logs import configure_at_first_line


def configure_logs(level: str, *, at_once: bool) -> None:
    """Send structlog's lines at `level` and above to stderr, stdlib's warnings with them.

    Args:
        level: name of the level.
        at_once: load structlog now, for handlers that use it, too; else with the bus's first line.
    """
    least = getattr(logging, level.upper())
    logging.basicConfig(level=max(logging.WARNING, least))
    if at_once or least < logging.WARNING:
        _configure_structlog(level)
    else:
        configure_at_first_line(partial(_configure_structlog, level))


def _configure_structlog(level: str) -> None:
    import structlog  # noqa: PLC0415 - see messaging.logs

    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not sys.stderr.isatty():
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _Stderr())),
        cache_logger_on_first_use=True,
    )


class _Stderr:
    """What stderr is at the moment: progress bars put themselves in its place.

    A line that cannot be written is lost: no guild stops working because its log has no reader.
    """

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()
