"""The name that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches

SHORTEST_PREFIX = 3


def closest(word: str, known: Iterable[str]) -> str:
    """The one of `known` most like `word`, "" when none comes close."""
    names = sorted(set(known))
    by_folded = {name.casefold(): name for name in names}
    matches = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    if matches:
        return by_folded[matches[0]]
    return next((name for name in names if _begins(name, word) or _begins(word, name)), "")


def _begins(one: str, other: str) -> bool:
    return len(other) >= SHORTEST_PREFIX and one.startswith(other)
