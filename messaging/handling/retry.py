"""When a failed handling is worth another attempt, and how long it waits for it."""

import random
from dataclasses import dataclass

from messaging.process.error_text import is_retryable
from messaging.process.time_limits import check_finite, check_whole

MAX_ATTEMPTS = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a message is handled before it becomes a dead letter.

    Attributes:
        attempts: how often a handler may start on one message, the first time included. After
            the loss of a process that held it, only starts that surely were are counted, see
            `messaging.handling.starts`: a message that kills its process each time is begun once
            more.
        backoff_s: wait before the second attempt.
        factor: what each further wait is multiplied by.
        max_backoff_s: no wait is longer than this.
        jitter: each wait is shortened by a random share of up to this much, so that messages that
            failed together do not come back together.
        give_up_on: errors that no further attempt can cure, besides those that say so themselves;
            see `messaging.process.error_text.is_retryable`.
    """

    attempts: int = 5
    backoff_s: float = 1.0
    factor: float = 2.0
    max_backoff_s: float = 60.0
    jitter: float = 0.2
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        check_whole(attempts=self.attempts)
        check_finite(backoff_s=self.backoff_s, factor=self.factor)
        check_finite(max_backoff_s=self.max_backoff_s, jitter=self.jitter)
        if not 1 <= self.attempts <= MAX_ATTEMPTS:
            raise ValueError(f"attempts must be 1 to {MAX_ATTEMPTS}, not {self.attempts}")
        if self.backoff_s < 0 or self.max_backoff_s < 0 or self.factor < 1:
            raise ValueError("backoff_s and max_backoff_s must not be negative, factor at least 1")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be between 0 and 1, not {self.jitter}")

    def allows_another(self, error: BaseException, attempt: int) -> bool:
        """Whether a message whose attempt number `attempt` ended in `error` is tried again."""
        if attempt >= self.attempts or isinstance(error, self.give_up_on):
            return False
        return is_retryable(error)

    def wait_s(self, attempt: int) -> float:
        """How long a message rests after its attempt number `attempt` failed."""
        try:
            wait_s = min(self.backoff_s * self.factor ** (attempt - 1), self.max_backoff_s)
        except OverflowError:
            wait_s = self.max_backoff_s
        # Spreading load, not guarding secrets.
        return wait_s * (1 - self.jitter * random.random())  # noqa: S311
