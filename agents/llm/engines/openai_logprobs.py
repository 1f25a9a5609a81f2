"""Log-probabilities as servers tell them: in the shape of chats, or in that of completions.

Some servers answer completions in the shape of chats, so the answer says which one it is.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from agents.llm.engines.generation import TokenLogprobs
from agents.llm.engines.openai_errors import ServerAnswerError, ServerLogprobsError

_BYTES = re.compile(r"bytes:((?:\\x[0-9a-fA-F]{2})+)")


def asked_logprobs(tops: int, *, is_chat: bool) -> dict[str, Any]:
    """What asks a server for so many likeliest tokens.

    At least for one: for some servers 0 of them are no report at all.
    """
    count = max(1, tops)
    return {"logprobs": True, "top_logprobs": count} if is_chat else {"logprobs": count}


@dataclass(eq=False)
class Report:
    """The log-probabilities of an answer while it comes.

    Attributes:
        model: who answers.
        tops: how many of the likeliest tokens are wanted.
        entries: one for each token that the server told of.
    """

    model: str
    tops: int
    entries: list[TokenLogprobs] = field(default_factory=list)
    _shown: int = 0

    def add(self, told: Any, token_ids: Sequence[int]) -> None:
        """Take in what a piece tells, and the ids of its tokens where they are known.

        Raises:
            ServerAnswerError: it cannot be read.
        """
        try:
            entries = _entries(told)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ServerAnswerError(
                f"the server of {self.model} tells log-probabilities that cannot be read: "
                f"{str(told)[:80]!r}; ask without logprobs, or take another server"
            ) from error
        if len(token_ids) == len(entries):
            pairs = zip(entries, token_ids, strict=True)
            entries = [replace(entry, token_id=token_id) for entry, token_id in pairs]
        self.entries += [
            replace(each, top=each.top[: self.tops], spelt_top=each.spelt_top[: self.tops])
            for each in entries
        ]

    def unshown(self) -> tuple[TokenLogprobs, ...]:
        """What has come since this was asked last."""
        new = tuple(self.entries[self._shown :])
        self._shown = len(self.entries)
        return new

    def check(self) -> None:
        """See that an answer with something in it has come with its log-probabilities.

        Raises:
            ServerLogprobsError: it has not.
        """
        if not self.entries:
            raise ServerLogprobsError(
                f"the server of {self.model} was asked for log-probabilities and tells none; ask "
                "without logprobs, or take another server"
            )


class _Token(NamedTuple):
    spelt: bytes
    id: int | None
    logprob: float | None


def _entries(told: Any) -> list[TokenLogprobs]:
    if told is None:
        return []
    if told.get("content") is not None:
        return [
            _entry(_token(each), [_token(one) for one in each.get("top_logprobs") or ()])
            for each in told["content"]
        ]
    tokens, logprobs = told.get("tokens") or [], told.get("token_logprobs") or []
    tops = told.get("top_logprobs") or [None] * len(tokens)
    return [
        _entry(
            _Token(_spelt(token), None, logprob),
            [_Token(_spelt(text), None, each) for text, each in (top or {}).items()],
        )
        for token, logprob, top in zip(tokens, logprobs, tops, strict=True)
    ]


def _token(given: Mapping[str, Any]) -> _Token:
    """A token in the shape of chats; llama.cpp tells its id, too."""
    told, token_id = given.get("bytes"), given.get("id")
    spelt = _spelt(given["token"]) if told is None else bytes(told)
    return _Token(spelt, token_id if isinstance(token_id, int) else None, given["logprob"])


def _entry(chosen: _Token, likeliest: Sequence[_Token]) -> TokenLogprobs:
    """Some servers add the chosen token to the likeliest ones, and not all put them in order.

    JSON has no minus infinity: of what never comes some servers say null.
    """
    top = [(_number(-math.inf if t.logprob is None else t.logprob), t) for t in likeliest]
    top.sort(key=lambda each: -each[0])
    return TokenLogprobs(
        chosen.id,
        _number(chosen.logprob),
        tuple((token.id, number) for number, token in top),
        chosen.spelt,
        tuple(token.spelt for _, token in top),
    )


def _spelt(token: str) -> bytes:
    """A part of a character is written as its bytes."""
    found = _BYTES.fullmatch(token)
    return bytes.fromhex(found[1].replace("\\x", "")) if found else token.encode()


def _number(given: Any) -> float:
    number = float(given)
    if math.isnan(number):
        raise ValueError("a log-probability is no number")
    return number
