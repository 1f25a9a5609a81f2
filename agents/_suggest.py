"""The name that was probably meant, for the end of an error's sentence."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """`; did you mean 'x'?` with the one of `known` most like `word`, in any case.

    Where none comes close, `otherwise` behind a semicolon, or nothing.
    """
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1)
    if near:
        return f"; did you mean {by_lower[near[0]]!r}?"
    return f"; {otherwise}" if otherwise else ""
