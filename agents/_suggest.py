"""The name that was probably meant, for the end of an error's sentence."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str:
    """The one of `known` most like `word`, in any case; "" when none comes close."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else ""


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """`; did you mean 'x'?` with the nearest; else `otherwise` behind a semicolon, or nothing."""
    if near := nearest(word, known):
        return f"; did you mean {near!r}?"
    return f"; {otherwise}" if otherwise else ""
