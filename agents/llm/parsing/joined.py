"""Pieces of text whose white space beside what was taken out of them is settled."""

from collections.abc import Callable

_MAX_SPACE_CHARS = 4096


class Joined:
    """Passes text on, and keeps white space back until it is known what follows.

    White space before something that was taken out is dropped; so is what follows it, where no
    text came before. Between two texts stands `joint`, or the white space that was after what
    was taken out, or else before it.
    """

    def __init__(self, give: Callable[[str], None], joint: str | None = None) -> None:
        self._give = give
        self._joint = joint
        self._space = ""
        self._before = ""
        self._is_cut = False
        self._is_long = False
        self.has_text = False

    def add(self, text: str) -> None:
        body = text.lstrip()
        self._keep(text[: len(text) - len(body)])
        if not body:
            return
        kept = body.rstrip()
        self._give((self._lead() if self._is_cut else self._space) + kept)
        self._space = ""
        self._is_cut, self._is_long, self.has_text = False, False, True
        self._keep(body[len(kept) :])

    def cut(self) -> None:
        """Something was taken out here."""
        self._before = self._before if self._is_cut else self._space
        self._space = ""
        self._is_cut, self._is_long = True, False

    def finish(self) -> None:
        if self._space and not self._is_cut:
            self._give(self._space)
        self._space = ""

    def forget(self) -> None:
        """What was passed on so far counts no more."""
        self._space = self._before = ""
        self._is_cut, self._is_long, self.has_text = True, False, False

    def _lead(self) -> str:
        if not self.has_text:
            return ""
        return self._joint if self._joint is not None else self._space or self._before

    def _keep(self, space: str) -> None:
        """Keep white space; of a long run nothing is, so that it never matters how it is cut."""
        self._space += space
        self._is_long = self._is_long or len(self._space) > _MAX_SPACE_CHARS
        if not self._is_long:
            return
        is_dropped = self._is_cut and (self._joint is not None or not self.has_text)
        if not is_dropped:
            self._give(self._space)
            self._is_cut = False
        self._space = ""
