"""What an answer of a language model has cost, told by a function that the host gives."""

from collections.abc import Callable
from typing import NamedTuple

from messaging.wire.envelope import Envelope


class Spent(NamedTuple):
    """Tokens that one answer has cost.

    Attributes:
        operation: what was done, in the words of OpenTelemetry: `chat`, `text_completion`.
        cached_tokens: how many of `input_tokens` had been read before.
    """

    operation: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    finish_reason: str = ""


Spending = Callable[[Envelope], Spent | None]
"""What the message in an envelope has cost; None where it is no such answer. It is called for each
message that leaves a handler, and must be quick."""
