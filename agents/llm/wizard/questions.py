"""Questions on a terminal, each of which a flag may answer instead."""

import sys
from collections.abc import Callable
from typing import TypeVar

from agents.llm.repl.typed_line import typed_line
from agents.llm.wizard.found import AnswerError
from guild.cli.calling.exit_codes import UsageError
from guild.cli.printing.output import Output

T = TypeVar("T")


class Questions:
    """Asks on stderr; without a terminal, or when told so, flags and defaults answer.

    Args:
        output: where reasons and notes go.
        is_silent: nothing is asked, although there is a terminal.
    """

    def __init__(self, output: Output, *, is_silent: bool = False) -> None:
        self.output = output
        self.is_asking = not is_silent and sys.stdin.isatty() and sys.stderr.isatty()

    def answer(
        self,
        flag: str,
        given: str | None,
        prompt: str,
        default: str | None,
        read: Callable[[str], T],
    ) -> T:
        """What `read` makes of the flag's value, of the default, or of what is typed.

        A bad answer on a terminal is asked for again, with the reason.

        Raises:
            AnswerError: by `read`, without a terminal.
            UsageError: without a terminal there is no value.
        """
        while True:
            text = given if given is not None else self._text(flag, prompt, default)
            try:
                return read(text)
            except AnswerError as error:
                if not self.is_asking:
                    raise
                self.output.note(str(error))
                given = None

    def is_agreed(self, prompt: str, *, default: bool) -> bool:
        """Yes or no; the default where nothing is asked."""
        if not self.is_asking:
            return default
        return self.answer(
            "", None, f"{prompt} {'[Y/n]' if default else '[y/N]'}", "", _yes(default)
        )

    def _text(self, flag: str, prompt: str, default: str | None) -> str:
        if self.is_asking:
            shown = f" [{default}]" if default else ""
            return self.line(f"{prompt}{shown}") or (default or "")
        if default is None:
            raise UsageError(f"there is no terminal to ask in: give {flag}")
        return default

    def line(self, prompt: str) -> str:
        """One line that is typed.

        Raises:
            EOFError: the terminal was closed, by Ctrl-D.
        """
        try:
            return typed_line(f"{prompt}: ").strip()
        except UnicodeDecodeError:
            self.output.note("that is no text in this terminal's encoding")
            return self.line(prompt)


def _yes(default: bool) -> Callable[[str], bool]:
    def read(text: str) -> bool:
        match text.strip().lower():
            case "":
                return default
            case "y" | "yes":
                return True
            case "n" | "no":
                return False
        raise AnswerError("type y or n")

    return read
