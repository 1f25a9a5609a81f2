"""From tokens to text, piece by piece: never half a character, never half a stop string."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

_INCOMPLETE = "\ufffd"
_CONTEXT_TOKENS = 6
_MAX_PENDING_CHARACTERS = 3  # replacements that stand for the beginning of one character
_MAX_PENDING_TOKENS = 64
_NONE: Mapping[int, str] = MappingProxyType({})


class TextStream:
    """Turns one token at a time into the text that is safe to show.

    The last prompt tokens are decoded along, so that a space between prompt and answer survives
    decoders that strip it at the start of a text.

    Args:
        decode: the text of tokens, without special ones.
        prompt_ids: what stands before the answer.
        stop: texts that end it. They are looked for with the special tokens written out.
        special_texts: how those are written.
        shown: which of them are text; the others are not shown.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        prompt_ids: Sequence[int],
        stop: Sequence[str] = (),
        special_texts: Mapping[int, str] = _NONE,
        shown: Sequence[str] = (),
    ) -> None:
        self._decode = decode
        self._stop = stop
        self._special_texts = special_texts
        self._shown = shown
        self._ids = [i for i in prompt_ids[-_CONTEXT_TOKENS:] if i not in special_texts]
        self._window_from = 0  # decoding starts here, for context
        self._taken_to = len(self._ids)  # tokens whose text has been taken
        self._before = len(decode(self._ids))  # characters of the tokens before those
        self._taken_characters = 0  # of the tokens after those
        self._held = ""  # decoded, but possibly the beginning of a stop string
        self._is_hidden: list[bool] = []  # for each of its characters
        self.is_stopped = False

    def push(self, token_id: int) -> str:
        """Take the next token; the text it sets free, often none."""
        special = self._special_texts.get(token_id)
        if special is not None and special in self._shown:
            return self._filter(self._take(is_last=True)) + self._filter(special)
        if special is not None:
            return self._filter(special, is_hidden=True)
        self._ids.append(token_id)
        return self._filter(self._take(is_last=False))

    def finish(self) -> str:
        """The text that was still held back."""
        return self._filter(self._take(is_last=True), is_last=True)

    def _take(self, *, is_last: bool) -> str:
        """The text of the last tokens as far as no later token can change it."""
        if self._taken_to == len(self._ids):
            return ""
        decoded = self._decode(self._ids[self._window_from :])
        text = decoded[self._before + self._taken_characters :]
        pending = min(len(text) - len(text.rstrip(_INCOMPLETE)), _MAX_PENDING_CHARACTERS)
        is_whole = is_last or len(self._ids) - self._taken_to > _MAX_PENDING_TOKENS
        if (pending or not text) and not is_whole:
            text = text[: len(text) - pending]
            self._taken_characters += len(text)
            return text
        self._window_from, self._taken_to = self._taken_to, len(self._ids)
        self._before = len(self._decode(self._ids[self._window_from :]))
        self._taken_characters = 0
        return text

    def _filter(self, text: str, *, is_hidden: bool = False, is_last: bool = False) -> str:
        if self.is_stopped:
            return ""
        text, hidden = self._held + text, [*self._is_hidden, *[is_hidden] * len(text)]
        found = [(at + len(s), at) for s in self._stop if (at := text.find(s)) >= 0]
        if found:
            # The first one that is complete, so that it does not matter how text was cut up.
            self.is_stopped, self._held, self._is_hidden = True, "", []
            return _visible(text[: min(found)[1]], hidden)
        kept = 0 if is_last else _longest_beginning(text, self._stop)
        self._held, self._is_hidden = text[len(text) - kept :], hidden[len(text) - kept :]
        return _visible(text[: len(text) - kept], hidden)


def _visible(text: str, is_hidden: list[bool]) -> str:
    if True not in is_hidden:
        return text
    return "".join(c for c, hidden in zip(text, is_hidden, strict=False) if not hidden)


def _longest_beginning(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of `text` could be the beginning of a stop string."""
    longest = max((len(s) - 1 for s in stop), default=0)
    for length in range(min(longest, len(text)), 0, -1):
        if any(s.startswith(text[-length:]) for s in stop):
            return length
    return 0
