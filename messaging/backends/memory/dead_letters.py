"""What groups gave up on, in order of death."""

from collections.abc import Callable
from itertools import islice

from messaging.backend import DeadLetter, Incident


class DeadLetterLog:
    """Bounded: past `max_letters` the oldest goes, and the operator hears of it."""

    def __init__(
        self,
        max_letters: int,
        announce: Callable[[Incident], None],
        evicted: Callable[[DeadLetter], None],
    ) -> None:
        self._letters: dict[str, DeadLetter] = {}
        self._max_letters = max_letters
        self._announce = announce
        self._evicted = evicted

    def __len__(self) -> int:
        return len(self._letters)

    def add(self, letter: DeadLetter) -> None:
        self._letters[letter.id] = letter
        if len(self._letters) > self._max_letters:
            oldest = self._letters.pop(next(iter(self._letters)))
            self._evicted(oldest)
            self._announce(
                Incident(
                    "dead_letters.full",
                    f"more than {self._max_letters:,} dead letters: the oldest, {oldest.id} of "
                    f"{oldest.group} with message {oldest.envelope.id}, is gone",
                )
            )

    def get(self, letter_id: str) -> DeadLetter | None:
        return self._letters.get(letter_id)

    def drop(self, letter_id: str) -> bool:
        return self._letters.pop(letter_id, None) is not None

    def list(self, group: str | None, after: str, max_count: int) -> list[DeadLetter]:
        fitting = (
            letter
            for letter in self._letters.values()
            if letter.id > after and group in (None, letter.group)
        )
        return list(islice(fitting, max_count))
