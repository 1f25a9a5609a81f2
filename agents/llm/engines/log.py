"""Where the engines' log goes: to structlog where the host has configured it, else to `logging`.

An unconfigured structlog prints everything to stdout, which belongs to the host.
"""

import logging
import traceback
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger


def get_logger() -> Any:
    """The logger that the host wants now."""
    return structlog.get_logger() if structlog.is_configured() else _plain


def described(error: BaseException) -> dict[str, str]:
    """An error for a line of the log.

    No `exc_info`: renderers that show local variables would write prompts into the log, and take
    longer than a token.
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return {"error_type": type(error).__name__, "error": str(error)[:1000], "where": where}


def _line(_: WrappedLogger, __: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    name = event.pop("event", "")
    facts = " ".join(f"{key}={value!r}" for key, value in event.items())
    return (f"{name} {facts}".rstrip(),), {}


_plain = structlog.wrap_logger(
    logging.getLogger("guildbus"),
    wrapper_class=structlog.stdlib.BoundLogger,
    processors=[structlog.stdlib.filter_by_level, _line],
)
