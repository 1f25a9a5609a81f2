"""A conversation whose answers are shown as they come."""

import contextlib
import os
import sys

from agents.llm.chat import ChatMessage
from agents.llm.chat.errors import ChatTemplateError
from agents.llm.dialogue import Answer, Dialogue, Sampling
from agents.llm.engines import Engine, FinishReason, LLMError
from agents.llm.parsing import Part, Reclassified, Text, Thinking
from agents.llm.repl.interrupts import Interrupts
from guild.cli.printing.output import printable

_DIM, _PLAIN = "\x1b[2m", "\x1b[22m"


class Conversation:
    """What was said, as far as the model still gets it.

    Attributes:
        has_failed: whether an answer has.
    """

    def __init__(
        self, engine: Engine, system: str, sampling: Sampling, interrupts: Interrupts | None
    ) -> None:
        self.has_failed = False
        self._interrupts = interrupts
        self._dialogue = Dialogue(engine, sampling, overflow="drop_oldest")
        self._messages = [ChatMessage(role="system", content=system)] if system else []

    def clear(self) -> None:
        """Forget what was said; the system message stays."""
        self._messages = [message for message in self._messages if message.role == "system"]

    async def answer(self, question: str) -> None:
        """Show the answer; one that fails is told, and its question is forgotten.

        Each question gets a line, an empty one an empty line, so that they stay in step.
        """
        if not question:
            write("\n")
            return
        self._messages.append(ChatMessage(role="user", content=question))
        shown = _Shown(is_terminal=is_terminal())
        try:
            if self._interrupts is None:
                await self._show(shown)
            else:
                await self._interrupts.until_interrupted(self._show(shown))
        except (LLMError, ChatTemplateError) as error:
            note(str(error))
            self.has_failed = True
            self._messages.pop()
        else:
            self._messages.append(ChatMessage(role="assistant", content=shown.text))
        write("\n")
        if shown.cut and is_terminal():
            note(shown.cut)

    async def _show(self, shown: "_Shown") -> None:
        async with await self._dialogue.ask(self._messages) as answering:
            async for part in answering:
                shown.add(part)
        shown.cut = _why_cut(answering.answer)
        gone = {id(message) for message in answering.answer.dropped}
        self._messages = [message for message in self._messages if id(message) not in gone]


class _Shown:
    """What of an answer was shown; reasoning is shown in a terminal only, and dimly.

    Attributes:
        cut: why it ends before its time, or "".
    """

    def __init__(self, *, is_terminal: bool) -> None:
        self.text = self.cut = ""
        self._is_terminal = is_terminal
        self._is_dim = is_terminal and not os.environ.get("NO_COLOR")
        self._was_thinking = False

    def add(self, part: Part) -> None:
        match part:
            case Text(text):
                self._write(text, is_thinking=False)
                self.text += text
            case Thinking(text) if self._is_terminal:
                self._write(text, is_thinking=True)
            case Reclassified():
                self.text = ""

    def _write(self, text: str, *, is_thinking: bool) -> None:
        if not self._is_terminal:
            write(_on_one_line(text))
            return
        text = printable(text)
        if is_thinking and self._is_dim:
            text = f"{_DIM}{text}{_PLAIN}"
        if self._was_thinking and not is_thinking:
            text = f"\n{text}"
        self._was_thinking = is_thinking
        write(text)


def _why_cut(answer: Answer) -> str:
    if answer.finish_reason is not FinishReason.LENGTH:
        return ""
    if answer.usage.filled_window:
        return "(cut: the context window is full; /clear begins anew)"
    tokens = answer.usage.completion_tokens
    return f"(cut at {tokens} tokens: --max-new-tokens allows more)"


def is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _on_one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def note(line: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(printable(line) + "\n")
        sys.stderr.flush()
