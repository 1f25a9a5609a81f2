"""Further apps beside a guild, for callers who are admitted."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp

from guild.gateway.problems import problem_response


class Mounted(NamedTuple):
    """An app, and how its clients are used to being refused.

    Attributes:
        refused: the answer to a caller without a token, with the wrong one, or with too many
            requests.
    """

    app: ASGIApp
    refused: Callable[[Exception], Response] = problem_response


Mounts = Mapping[str, ASGIApp | Mounted]
"""Apps by their path; "" for all paths that nothing else has."""
