"""Text that comes in pieces, read as if it were there: readers are generators that wait.

A reader is a plain recursive-descent parser in which `yield from` stands before each look at the
text. It is suspended where the text ends for now, and goes on where it stopped: nothing is read
twice, however the text is cut.
"""

from collections.abc import Callable, Generator, Sequence
from re import Pattern
from typing import TypeVar

from agents.llm.parsing.problems import BrokenCallError

Result = TypeVar("Result")
Reading = Generator[None, None, Result]

DEFAULT_MAX_HELD_CHARS = 262_144


class Source:
    """The text that has arrived and was not read yet.

    Args:
        max_held: characters that may be kept after `hold`.
    """

    def __init__(self, max_held: int = DEFAULT_MAX_HELD_CHARS) -> None:
        self.max_held = max_held
        self.previous = ""  # the character before the next one
        self._text = ""
        self._at = 0
        self._is_ended = False
        self._held: list[str] | None = None
        self._held_chars = 0
        self._observer: Callable[[str], None] | None = None

    def feed(self, piece: str) -> None:
        self._text = self._text[self._at :] + piece
        self._at = 0

    def end(self) -> None:
        """Say that no more text will come."""
        self._is_ended = True

    def hold(self) -> None:
        """Keep what is read from here on, until `release`."""
        self._held, self._held_chars = [], 0

    def release(self) -> str:
        """What was read since `hold`."""
        held, self._held = "".join(self._held or ()), None
        return held

    def pass_on(self, observer: Callable[[str], None] | None) -> None:
        """Give `observer` what is read from here on, as it is read."""
        self._observer = observer

    def unread(self, text: str) -> None:
        """Let `text`, which was read, be read again."""
        self.feed("")
        self._text = text + self._text
        self.previous = ""

    def peek(self) -> Reading[str]:
        """The next character, not taken; "" where the text has ended."""
        while self._at >= len(self._text):
            if self._is_ended:
                return ""
            yield
        return self._text[self._at]

    def ahead(self, count: int) -> Reading[str]:
        """The next `count` characters, not taken; fewer where the text has ended."""
        while len(self._text) - self._at < count and not self._is_ended:
            yield
        return self._text[self._at : self._at + count]

    def here(self, count: int) -> str:
        """Up to `count` next characters of those that have arrived, not taken."""
        return self._text[self._at : self._at + count]

    def wait(self) -> Reading[bool]:
        """Wait for another piece; False where the text has ended."""
        if self._is_ended:
            return False
        yield
        return True

    def take(self, count: int) -> str:
        """The next `count` characters, which have been seen to be there."""
        is_too_long = False
        if self._held is not None:
            is_too_long = count > self.max_held - self._held_chars
            count = min(count, self.max_held - self._held_chars)
            self._held.append(self._text[self._at : self._at + count])
            self._held_chars += count
        taken = self._text[self._at : self._at + count]
        self._at += count
        self.previous = taken[-1:] or self.previous
        if self._observer is not None and taken:
            self._observer(taken)
        if is_too_long:
            raise BrokenCallError(f"it is longer than {self.max_held} characters")
        return taken

    def run(self, pattern: Pattern[str]) -> str:
        """Take what of the arrived text matches `pattern`, a repeated set of characters."""
        match = pattern.match(self._text, self._at)
        return self.take(match.end() - self._at) if match else ""

    def span(self, pattern: Pattern[str]) -> Reading[str]:
        """Take all that matches `pattern`, a repeated set of characters, waiting for its end."""
        runs = []
        while (yield from self.peek()) and (run := self.run(pattern)):
            runs.append(run)
        return "".join(runs)

    def next_of(self, literals: Sequence[str]) -> Reading[str]:
        """Which of the literals comes next, not taken; "" for none. Longer ones come first."""
        while True:
            for literal in literals:
                here = self.here(len(literal))
                if here == literal:
                    return literal
                if literal.startswith(here) and not self._is_ended:
                    break  # it may still become this one
            else:
                return ""
            yield

    def skip(self, literal: str) -> Reading[bool]:
        """Take `literal` if it comes next."""
        found = yield from self.next_of([literal])
        return bool(self.take(len(found)))
