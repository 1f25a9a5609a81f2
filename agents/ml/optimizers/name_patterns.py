"""Regular expressions over the names of parameters, matched within a bounded time.

A pattern such as `(a+)+$` can take for ever on a short name, and Python's matcher cannot be
stopped: so it runs in a process that can.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from agents.ml.errors import ConfigError

_MAX_CHARS = 200
_LIMIT_S = 5.0
_MATCH = """
import json, re, sys
patterns, names = json.load(sys.stdin)
print(json.dumps([[bool(re.match(pattern, name)) for name in names] for pattern in patterns]))
"""


def check_pattern(pattern: Any, where: str) -> None:
    """Refuse what is no regular expression.

    Raises:
        ConfigError: naming `where`.
    """
    if not isinstance(pattern, str) or not pattern:
        raise ConfigError("is required: a regular expression", where=where)
    if len(pattern) > _MAX_CHARS:
        raise ConfigError(f"is longer than {_MAX_CHARS} characters", where=where)
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        text = f"{pattern!r} is no regular expression: {error}"
        raise ConfigError(text, where=where) from error


def match_names(patterns: Sequence[str], names: Sequence[str], where: str) -> list[list[bool]]:
    """Say for each pattern which of `names` it matches from their beginning.

    Raises:
        ConfigError: that took more than five seconds.
    """
    try:
        done = subprocess.run(  # noqa: S603  our own code, and data on stdin
            [sys.executable, "-I", "-S", "-c", _MATCH],
            input=json.dumps([patterns, names]),
            capture_output=True,
            check=True,
            text=True,
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"matching the names of parameters takes more than {_LIMIT_S:g} s; write patterns "
            "without a repetition inside a repetition",
            where=where,
        ) from error
    matched: list[list[bool]] = json.loads(done.stdout)
    return matched
