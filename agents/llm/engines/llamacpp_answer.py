"""One free answer of llama.cpp, which says token by token what it has chosen."""

import json
import threading
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
from agents.llm.engines.llamacpp_ahead import AnswerAhead
from agents.llm.engines.local_model import Outcome, Tokens

_END = Tokens((), is_finished=True)
_NOT_A_NUMBER = float("nan")


class LlamaAnswer(AnswerAhead):
    """An answer that nothing constrains.

    Args:
        ask: runs the request and calls back with each piece; a True stops it.
        request: the body of a completion.
        vocabulary: the model's tokens.
        tops: how many likeliest tokens to report, None for no report.
        arrived: notified when something has come.
    """

    def __init__(
        self,
        ask: Callable[[str, Callable[[str], bool]], Any],
        request: Mapping[str, Any],
        vocabulary: GgufVocabulary,
        tops: int | None,
        arrived: threading.Condition,
    ) -> None:
        super().__init__(request.get("id_slot", 0), arrived)
        self._ask = ask
        self._request = json.dumps(request)
        self._vocabulary = vocabulary
        self._tops = tops
        self._tokens = 0
        self._thread.start()

    def _compute(self) -> None:
        try:
            self._ask(self._request, self._receive)
        except Exception as error:  # native code raises what it likes
            raise LLMInferenceError(f"llama.cpp failed: {type(error).__name__}: {error}") from error

    def _receive(self, piece: str) -> bool:
        """Take in a piece; an exception would be swallowed where this is called."""
        if self.has_ended:
            return True
        try:
            for outcome in self._outcomes_of(json.loads(piece)):
                self._put(outcome)
        except LLMError as error:
            self._put(error)
        except Exception as error:  # noqa: BLE001  see above
            text = f"a piece of llama.cpp's is not understood: {type(error).__name__}: {error}"
            self._put(LLMInferenceError(text))
        return self._is_complete

    def _outcomes_of(self, piece: Mapping[str, Any]) -> list[Outcome]:
        if "error" in piece:
            return [error_of(piece["error"])]
        timings, choice = piece.get("timings", {}), piece["choices"][0]
        self.cached_tokens = timings.get("cache_n", self.cached_tokens)
        entries = (choice["logprobs"] or {}).get("content", [])
        known = [Tokens((e["id"],), logprobs_of(e, self._tops)) for e in entries]
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
        return [Tokens((i,), unknown_logprobs(i)) for i in ids]


def unknown_logprobs(token_id: int) -> tuple[TokenLogprobs, ...]:
    """For a token that is a part of a character: llama.cpp tells nothing of it."""
    return (TokenLogprobs(token_id, _NOT_A_NUMBER),)


def logprobs_of(entry: Mapping[str, Any], tops: int | None) -> tuple[TokenLogprobs, ...]:
    """What llama.cpp tells of a token, as `logprobs` of a request asks for it.

    Raises:
        LLMInferenceError: the model's scores are no numbers.
    """
    if entry["logprob"] is None:
        raise LLMInferenceError("the model's scores are not finite; is its file damaged?")
    if tops is None:
        return ()
    top = tuple((each["id"], each["logprob"]) for each in entry["top_logprobs"][:tops])
    return (TokenLogprobs(entry["id"], entry["logprob"], top),)


def error_of(error: Mapping[str, Any]) -> LLMError:
    """What the server's error is for us."""
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflowError(
            prompt_tokens=error["n_prompt_tokens"], new_tokens=1, context_window=error["n_ctx"]
        )
    text = f"llama.cpp refuses the request: {error.get('message')}"
    is_ours = error.get("type") == "invalid_request_error"
    return InvalidRequestError(text) if is_ours else LLMInferenceError(text)
