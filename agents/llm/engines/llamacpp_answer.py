"""One answer of llama.cpp: it computes ahead in a thread of its own, we take a token a time."""

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from agents.llm.engines.errors import (
    ContextOverflowError,
    InvalidRequestError,
    LLMError,
    LLMInferenceError,
)
from agents.llm.engines.generation import TokenLogprobs
from agents.llm.engines.gguf_vocabulary import GgufVocabulary
from agents.llm.engines.local_model import Outcome, Tokens

_END = Tokens((), is_finished=True)
_NOT_A_NUMBER = float("nan")


class LlamaAnswer:
    """What has come of an answer and has not been taken.

    Args:
        ask: runs the request and calls back with each piece; a True stops it.
        request: the body of a completion.
        vocabulary: the model's tokens.
        tops: how many likeliest tokens to report, None for no report.
        arrived: notified when something has come.
    """

    is_runnable = True

    def __init__(
        self,
        ask: Callable[[str, Callable[[str], bool]], Any],
        request: Mapping[str, Any],
        vocabulary: GgufVocabulary,
        tops: int | None,
        arrived: threading.Condition,
    ) -> None:
        self.cached_tokens = 0
        self.has_ended = False
        self._ask = ask
        self._request = json.dumps(request)
        self._vocabulary = vocabulary
        self._tops = tops
        self._arrived = arrived
        self._outcomes: deque[Outcome] = deque()
        self._tokens = 0
        self._is_complete = False
        self._thread = threading.Thread(target=self._run, name="engine-llamacpp", daemon=True)
        self._thread.start()

    @property
    def has_outcome(self) -> bool:
        return bool(self._outcomes)

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def take(self) -> Outcome:
        """The next token, None while there is none."""
        return self._outcomes.popleft() if self._outcomes else None

    def end(self) -> None:
        """Stop at the next token, or at the next piece of a prompt."""
        self.has_ended = True

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self._ask(self._request, self._receive)
        except Exception as error:  # noqa: BLE001  native code raises what it likes
            self._put(LLMInferenceError(f"llama.cpp failed: {type(error).__name__}: {error}"))
        if not self._is_complete and not self.has_ended:
            self._put(LLMInferenceError("llama.cpp broke the answer off"))

    def _receive(self, piece: str) -> bool:
        """Take in a piece; an exception would be swallowed where this is called."""
        if self.has_ended:
            return True
        try:
            for outcome in self._outcomes_of(json.loads(piece)):
                self._put(outcome)
        except Exception as error:  # noqa: BLE001  see above
            text = f"a piece of llama.cpp's is not understood: {type(error).__name__}: {error}"
            self._put(LLMInferenceError(text))
        return self._is_complete

    def _put(self, outcome: Outcome) -> None:
        with self._arrived:
            self._is_complete = self._is_complete or isinstance(outcome, Exception)
            self._outcomes.append(outcome)
            self._arrived.notify()

    def _outcomes_of(self, piece: Mapping[str, Any]) -> list[Outcome]:
        if "error" in piece:
            return [_error(piece["error"])]
        timings, choice = piece.get("timings", {}), piece["choices"][0]
        self.cached_tokens = timings.get("cache_n", self.cached_tokens)
        entries = (choice["logprobs"] or {}).get("content", [])
        known = [Tokens((e["id"],), self._logprobs(e)) for e in entries]
        said = timings.get("predicted_n", self._tokens)
        missing = max(0, said - self._tokens - len(known))
        self._tokens = max(said, self._tokens)
        outcomes: list[Outcome] = []
        if missing:
            outcomes += self._missing(choice["text"], [e["id"] for e in entries], missing)
        outcomes += known
        if choice["finish_reason"] is not None:
            self._is_complete = True
            if choice["finish_reason"] == "stop":
                outcomes.append(_END)
        return outcomes

    def _missing(self, text: str, last: list[int], count: int) -> list[Outcome]:
        """The tokens that llama.cpp keeps for itself: all but the last one of a character.

        What they spell is known from the text. Where a text breaks off inside of a character,
        not even that is: then it is a replacement character.
        """
        ids = self._vocabulary.spell_before(text, last, count)
        if self._tops is None:
            return [Tokens((i,)) for i in ids]
        return [Tokens((i,), (TokenLogprobs(i, _NOT_A_NUMBER),)) for i in ids]

    def _logprobs(self, entry: Mapping[str, Any]) -> tuple[TokenLogprobs, ...]:
        if self._tops is None:
            return ()
        tops = entry["top_logprobs"][: self._tops]
        top = tuple((each["id"], each["logprob"]) for each in tops)
        return (TokenLogprobs(entry["id"], entry["logprob"], top),)


def _error(error: Mapping[str, Any]) -> LLMError:
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflowError(
            prompt_tokens=error["n_prompt_tokens"], new_tokens=1, context_window=error["n_ctx"]
        )
    text = f"llama.cpp refuses the request: {error.get('message')}"
    is_ours = error.get("type") == "invalid_request_error"
    return InvalidRequestError(text) if is_ours else LLMInferenceError(text)
