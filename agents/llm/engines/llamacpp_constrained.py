"""One constrained answer of llama.cpp, asked for token by token.

Each question says which tokens may come next, so the same constraint holds as on any other backend
and llama.cpp's own grammars are not used: those know no budget, and some of them crash the process.
The slot keeps what it has read, so that a question costs one token, as in a free answer; what is
forced is read together with it.
"""

import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.llm.engines.constraint import Constraint, forced_tokens
from agents.llm.engines.errors import LLMInferenceError
from agents.llm.engines.generation import TokenLogprobs
from agents.llm.engines.llamacpp_ahead import AnswerAhead
from agents.llm.engines.llamacpp_answer import error_of, logprobs_of, unknown_logprobs
from agents.llm.engines.local_model import Tokens
from agents.llm.engines.token_bits import allowed_tokens, words_for

_READ_AT_ONCE = 128  # tokens; a longer prompt is read so that it can be stopped
_ABOVE_ALL = 500.0  # scores differ by less than 100, and a bias moves them by 100
_SEED_BITS = 32
_TOLD = ["tokens", "completion_probabilities", "timings"]


class Server(Protocol):
    """Two ways to ask: for the next token, and for pieces until a callback returns True."""

    def ask(self, body: Mapping[str, Any]) -> Mapping[str, Any]: ...

    def read(self, body: str, receive: Callable[[str], bool], /) -> Any: ...


class ConstrainedAnswer(AnswerAhead):
    """An answer that a constraint keeps in form.

    Args:
        server: is asked.
        body: a completion with its prompt; its bias and seed are replaced at each token.
        constraint: belongs to this answer.
        limit: new tokens, at most.
        seed: None for a random one.
        tops: how many likeliest tokens to report, None for no report.
        end_token_ids: they end the answer where the constraint allows it.
        vocab_size: tokens of the model.
        arrived: notified when something has come.
    """

    def __init__(
        self,
        server: Server,
        body: Mapping[str, Any],
        constraint: Constraint,
        *,
        limit: int,
        seed: int | None,
        tops: int | None,
        end_token_ids: frozenset[int],
        vocab_size: int,
        arrived: threading.Condition,
    ) -> None:
        super().__init__(body["id_slot"], arrived)
        self._server = server
        self._body = {**body, "n_predict": 1, "stream": False, "return_tokens": True}
        self._ids: list[int] = list(body["prompt"])
        self._limit = len(self._ids) + limit
        self._bias = dict(body["logit_bias"])
        self._constraint = constraint
        self._dice = random.Random(seed)  # noqa: S311  no secret
        self._tops = tops
        self._end_token_ids = end_token_ids
        self._words = np.zeros(words_for(vocab_size), dtype=np.int32)
        self._vocab_size = vocab_size
        self._has_asked = False
        self._thread.start()

    def _compute(self) -> None:
        self._add(forced_tokens(self._constraint))
        self._read_prompt()
        while not (self._is_complete or self.has_ended):
            self._constraint.fill(self._words)
            allowed = allowed_tokens(self._words, self._vocab_size)
            token_id, logprobs = self._choose(allowed)
            if token_id in self._end_token_ids:
                self._tell(Tokens((token_id,), logprobs), is_last=True)
                return
            self._constraint.accept(token_id)
            self._add([token_id, *forced_tokens(self._constraint)], logprobs)

    def _read_prompt(self) -> None:
        """Read a long prompt but for its last token, piece by piece."""
        if len(self._ids) <= _READ_AT_ONCE or self._is_complete:
            return
        failures = []

        def receive(piece: str) -> bool:
            told = json.loads(piece)
            failures.extend([told["error"]] if "error" in told else [])
            self._note_cached(told)
            return self.has_ended

        body = {**self._body, "prompt": self._ids[:-1], "n_predict": 0, "stream": True}
        self._server.read(json.dumps(body), receive)
        if failures:
            raise error_of(failures[0])

    def _choose(self, allowed: NDArray[np.bool_]) -> tuple[int, tuple[TokenLogprobs, ...]]:
        choices = np.flatnonzero(allowed)
        if not len(choices):
            raise LLMInferenceError("the constraint allows no token at all")
        if len(choices) == 1 and self._tops is None:
            return int(choices[0]), ()
        seed = self._dice.getrandbits(_SEED_BITS - 1)
        bias = self._bias_for(allowed, choices)
        body = {**self._body, "prompt": self._ids, "logit_bias": bias, "seed": seed}
        told = self._server.ask({**body, "response_fields": _TOLD})
        self._note_cached(told)
        (token_id,) = told["tokens"]
        entries = told.get("completion_probabilities") or ()  # none of a part of a character
        known = tuple(each for entry in entries for each in logprobs_of(entry, self._tops))
        if not allowed[token_id]:
            raise LLMInferenceError(f"llama.cpp chose the token {token_id} that was forbidden")
        is_unknown = self._tops is not None and not known
        return token_id, unknown_logprobs(token_id) if is_unknown else known

    def _bias_for(self, allowed: NDArray[np.bool_], choices: NDArray[np.int64]) -> list[list[Any]]:
        """What makes all other tokens impossible: the shorter of two lists.

        A penalty multiplies scores, so it would bring down those that were raised.
        """
        if len(choices) <= len(allowed) // 2 and self._body["repeat_penalty"] == 1.0:
            return [[i, _ABOVE_ALL + self._bias.get(i, 0.0)] for i in choices.tolist()]
        forbidden = np.flatnonzero(~allowed).tolist()
        kept = [[i, bias] for i, bias in self._bias.items() if allowed[i]]
        return [*([i, False] for i in forbidden), *kept]

    def _add(self, token_ids: Sequence[int], logprobs: Sequence[TokenLogprobs] = ()) -> None:
        """Go on with a token that was chosen, and with what is forced then, as far as it fits.

        A forced one had no rival: the logarithm of its probability is 0.
        """
        room = self._limit - len(self._ids)
        added = tuple(token_ids[:room])
        self._ids += added
        if self._tops is not None:
            logprobs = [*logprobs, *(TokenLogprobs(i, 0.0) for i in added[len(logprobs) :])]
        is_finished = self._constraint.is_finished and len(token_ids) <= room
        if added or is_finished:
            told = Tokens(added, tuple(logprobs[: len(added)]), is_finished)
            self._tell(told, is_last=is_finished or len(self._ids) >= self._limit)

    def _tell(self, tokens: Tokens, *, is_last: bool) -> None:
        self._put(tokens)
        self._is_complete = is_last

    def _note_cached(self, told: Mapping[str, Any]) -> None:
        if not self._has_asked and "timings" in told:
            self._has_asked = True
            self.cached_tokens = told["timings"]["cache_n"]
