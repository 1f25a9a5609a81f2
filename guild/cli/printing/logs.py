"""Log lines on stderr: readable on a terminal, JSON otherwise. Only the CLI configures logging."""

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self, TextIO, cast

from messaging.errors import RequestFailedError
from messaging.process.logs import configure_at_first_line

Render = Callable[[Any, str, Any], Any]  # one of structlog's processors


def configure_logs(level: str, *, at_once: bool, held: "HeldDeaths | None" = None) -> None:
    """Send structlog's lines at `level` and above to stderr, stdlib's warnings with them.

    Args:
        level: name of the level.
        at_once: load structlog now, for handlers that use it, too; else with the bus's first line.
        held: keeps lines about dead letters back.
    """
    least = getattr(logging, level.upper())
    logging.basicConfig(level=max(logging.WARNING, least))
    if at_once or least < logging.WARNING:
        _configure_structlog(level, held)
    else:
        configure_at_first_line(partial(_configure_structlog, level, held))


def _configure_structlog(level: str, held: "HeldDeaths | None") -> None:
    import structlog  # noqa: PLC0415 - see messaging.process.logs

    renderer: Render = (
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
    if held is not None:
        renderer = held.before(renderer)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _Stderr())),
        cache_logger_on_first_use=True,
    )


class HeldDeaths:
    """Keeps the lines about dead letters back while the block runs, on behalf of its last sentence.

    When a request fails, its error says in one sentence what such a line says, too: that line is
    dropped, and all others are written when the block is left.
    """

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []  # id of the message, and what is written

    def before(self, render: Render) -> Render:
        """Renders as `render` does, and takes what is to be kept back out."""
        import structlog  # noqa: PLC0415 - see messaging.process.logs

        def kept_or_rendered(logger: Any, method: str, event: Any) -> Any:
            is_death = event.get("event") == "delivery.dead_lettered"
            message_id = str(event.get("message_id"))
            line = render(logger, method, event)
            if is_death:
                self._lines.append((message_id, str(line)))
                raise structlog.DropEvent
            return line

        return kept_or_rendered

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        told = error.dead_letter_id if isinstance(error, RequestFailedError) else ""
        for message_id, line in self._lines:
            if message_id != told:
                _Stderr().write(f"{line}\n")


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
