"""From tokens to text, piece by piece: never half a character, never half a stop string."""

from collections.abc import Callable, Sequence

_INCOMPLETE = "\ufffd"
_CONTEXT_TOKENS = 6


class TextStream:
    """Turns one token at a time into the text that is safe to show.

    The last prompt tokens are decoded along, so that a space between prompt and answer survives
    decoders that strip it at the start of a text.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        prompt_ids: Sequence[int],
        stop: Sequence[str] = (),
    ) -> None:
        self._decode = decode
        self._stop = stop
        self._ids = list(prompt_ids[-_CONTEXT_TOKENS:])
        self._window_from = 0  # decoding starts here, for context
        self._shown_to = len(self._ids)  # tokens whose text has been taken
        self._held = ""  # decoded, but possibly the beginning of a stop string
        self.is_stopped = False

    def push(self, token_id: int) -> str:
        """Take the next token; the text it sets free, often none."""
        self._ids.append(token_id)
        text = self._undecoded()
        if not text or text.endswith(_INCOMPLETE):
            return ""
        self._window_from, self._shown_to = self._shown_to, len(self._ids)
        return self._filter(text, is_last=False)

    def finish(self) -> str:
        """The text that was still held back."""
        text = self._undecoded()
        self._window_from = self._shown_to = len(self._ids)
        return self._filter(text, is_last=True)

    def _undecoded(self) -> str:
        before = self._decode(self._ids[self._window_from : self._shown_to])
        return self._decode(self._ids[self._window_from :])[len(before) :]

    def _filter(self, text: str, *, is_last: bool) -> str:
        if self.is_stopped:
            return ""
        text = self._held + text
        found = [(at + len(s), at) for s in self._stop if (at := text.find(s)) >= 0]
        if found:
            # The first one that is complete, so that it does not matter how text was cut up.
            self.is_stopped, self._held = True, ""
            return text[: min(found)[1]]
        kept = 0 if is_last else _longest_beginning(text, self._stop)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]


def _longest_beginning(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of `text` could be the beginning of a stop string."""
    longest = max((len(s) - 1 for s in stop), default=0)
    for length in range(min(longest, len(text)), 0, -1):
        if any(s.startswith(text[-length:]) for s in stop):
            return length
    return 0
