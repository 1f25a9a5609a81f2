"""Reasoning: what stands between its tags."""

import re
from collections.abc import Callable, Collection

from agents.llm.parsing.joined import Joined
from agents.llm.parsing.parts import Problem
from agents.llm.parsing.problems import BrokenCallError
from agents.llm.parsing.source import Reading, Source
from agents.llm.parsing.tags import Tag, next_tag

_QUOTES = frozenset("`\"'")
_PLAIN = re.compile(r"[^<]+")
_OF_PROMPT = ""  # the name of a tag that the prompt has opened


class ReasoningReader:
    """Reads tags and the reasoning that they open.

    Args:
        source: what is read.
        names: of the tags.
        thinking: takes the reasoning.
        tell: takes problems.
    """

    def __init__(
        self,
        source: Source,
        names: Collection[str],
        thinking: Joined,
        tell: Callable[[Problem], None],
    ) -> None:
        self._source = source
        self._names = frozenset(name.lower() for name in names)
        self._thinking = thinking
        self._tell = tell

    def next_tag(self) -> Reading[Tag | None]:
        """The tag that comes next, not taken; None for one between two quotation marks."""
        source = self._source
        tag = yield from next_tag(source, self._names)
        if tag is None or source.previous not in _QUOTES:
            return tag
        quote = source.previous
        following = yield from source.ahead(tag.chars + 1)
        return None if following[tag.chars :] == quote else tag

    def read(self, name: str = _OF_PROMPT) -> Reading[None]:
        """Read up to the tag that closes `name`, whose opening tag has been taken."""
        source = self._source
        open_tags = [name]
        is_begun = False
        self._thinking.cut()
        while open_tags:
            char = yield from source.peek()
            if not char:
                self._tell(Problem("the output ends inside the reasoning"))
                return
            tag = (yield from self.next_tag()) if char == "<" else None
            if tag is None:
                text = source.run(_PLAIN) or source.take(1)
                is_begun = is_begun or bool(text.strip())
                self._thinking.add(text)
                continue
            source.take(tag.chars)
            if tag.is_closing:
                _close(open_tags, tag.name)
                if open_tags:
                    yield from self._read_doubtful(open_tags)
            elif not tag.is_empty and (is_begun or open_tags != [_OF_PROMPT]):
                open_tags.append(tag.name)  # else the model repeats the tag of the prompt

    def _read_doubtful(self, open_tags: list[str]) -> Reading[None]:
        """Decide whether an inner tag was a tag, or a word of the reasoning.

        If another tag follows, it was one. If none does, this is the answer already.
        """
        source = self._source
        source.hold()
        try:
            while char := (yield from source.peek()):
                if char == "<" and (yield from self.next_tag()):
                    self._thinking.add(source.release())
                    return
                if not source.run(_PLAIN):
                    source.take(1)
        except BrokenCallError:
            pass  # too long for what models write between two tags
        source.unread(source.release())
        open_tags.clear()


def _close(open_tags: list[str], name: str) -> None:
    """Close the innermost tag of this name and all inside it; the innermost one if none has it."""
    while len(open_tags) > 1 and name in open_tags and open_tags[-1] != name:
        open_tags.pop()
    open_tags.pop()
