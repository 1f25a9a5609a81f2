"""What is said of an error that somebody else's code raised, whatever its class does when asked."""

import traceback
from collections.abc import Callable

MOST_TEXT = 2_000
MOST_TRACEBACK = 20_000


def text_of(error: BaseException) -> str:
    """Its text, cut to a length that may be stored and sent."""
    return _storable(_asked(lambda: str(error))[:MOST_TEXT])


def traceback_of(error: BaseException) -> str:
    """The end of its traceback."""
    told = _asked(lambda: "".join(traceback.format_exception(error)))
    return _storable(told[-MOST_TRACEBACK:])


def described(error: BaseException) -> dict[str, str]:
    """For a line of the log."""
    # No exc_info: renderers that show local variables would write payloads into the log.
    # The whole traceback lies in the dead letter.
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return {"error_type": type(error).__name__, "error": text_of(error), "where": where}


def is_retryable(error: BaseException) -> bool:
    """Whether another attempt may cure `error`, as far as the error itself says.

    It says no with an attribute `retryable` that is False: of its class, or of this one error,
    which may be of a class that somebody else wrote:

        class CardDeclinedError(Exception):
            retryable = False

    Whatever a handler raises counts, in a thread or on the loop, and what a step raises and the
    handler lets through. In an exception group one error that cannot be cured is enough. An error
    that fails when it is asked is taken for one that can be.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_retryable(each) for each in error.exceptions)
    try:
        return bool(getattr(error, "retryable", True))
    except BaseException:  # noqa: BLE001 - an error class is somebody else's code
        return True


def _asked(tell: Callable[[], str]) -> str:
    try:
        return tell()
    except BaseException as broken:  # noqa: BLE001 - an error class is somebody else's code
        return f"(its text cannot be had: {type(broken).__name__})"


def _storable(text: str) -> str:
    """`text` without lone surrogates, which file names bring along and JSON cannot hold."""
    return text.encode(errors="backslashreplace").decode()
