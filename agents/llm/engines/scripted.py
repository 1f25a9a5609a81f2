"""An engine that answers by script: the test twin of a real one, with the same promises."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.constraint import Constraint
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import (
    InvalidRequestError,
    LLMError,
    LLMInferenceError,
    LLMInitializationError,
)
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.local_model import DecodingState, Outcome
from agents.llm.engines.request import GenerationRequest

END = 0
_WORDS = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True)
class Failure:
    """Say `after`, then fail."""

    error: LLMError
    after: str = ""


@dataclass(frozen=True)
class Hang:
    """Say `after`, then nothing more, until cancelled or overdue."""

    after: str = ""


Reply = str | Failure | Hang
Script = Mapping[str, Reply] | Sequence[Reply] | Callable[[str], Reply]


class ScriptedModel:
    """A `LocalModel` whose tokens are words and whose answers are written down.

    Args:
        script: prompt to reply, replies in the order of the requests, or a function of the prompt.
    """

    max_active: int | None = None
    device = "cpu"
    dtype = "none"
    end_token_ids = frozenset({END})
    special_texts: Mapping[int, str] = MappingProxyType({})

    def __init__(self, script: Script, context_window: int = 2048) -> None:
        self._script = script
        self._words = [""]
        self._ids: dict[str, int] = {}
        self._lock = threading.Lock()
        self._answered = 0
        self.context_window = context_window
        self.vocab_size = 10**9  # it learns each word it meets

    def encode(self, text: str) -> list[int]:
        return [self._id(word) for word in _WORDS.findall(text)]

    def decode(self, token_ids: Sequence[int]) -> str:
        return "".join(self._words[i] for i in token_ids if i < len(self._words))

    def start(
        self,
        prompt_ids: Sequence[int],
        request: GenerationRequest,
        constraint: Constraint | None = None,
    ) -> DecodingState:
        if constraint is not None or request.logit_bias or request.logprobs is not None:
            raise InvalidRequestError(
                "the scripted backend has no scores: it can keep to no constraint, and do nothing "
                "with logit_bias or logprobs"
            )
        reply = self._reply(self.decode(prompt_ids))
        text = reply if isinstance(reply, str) else reply.after
        return _State(self.encode(text), reply)

    def step(self, states: Sequence[DecodingState]) -> list[Outcome]:
        return [cast(_State, state).next() for state in states]

    def end(self, state: DecodingState) -> None:
        pass

    def memory_bytes(self) -> int:
        return sum(len(word) for word in list(self._words))

    def close(self) -> None:
        pass

    def _id(self, word: str) -> int:
        with self._lock:
            if word not in self._ids:
                self._ids[word] = len(self._words)
                self._words.append(word)
            return self._ids[word]

    def _reply(self, prompt: str) -> Reply:
        script = self._script
        if callable(script):
            return script(prompt)
        if isinstance(script, Mapping):
            if prompt not in script:
                raise LLMInferenceError(f"the script has no reply to {prompt[:200]!r}")
            return script[prompt]
        if self._answered >= len(script):
            raise LLMInferenceError(f"the script has only {len(script)} replies")
        self._answered += 1
        return script[self._answered - 1]


class _State:
    cached_tokens = 0

    def __init__(self, words: list[int], reply: Reply) -> None:
        self._words = words
        self._reply = reply

    @property
    def is_runnable(self) -> bool:
        return bool(self._words) or not isinstance(self._reply, Hang)

    def next(self) -> int | Exception:
        if self._words:
            return self._words.pop(0)
        return self._reply.error if isinstance(self._reply, Failure) else END


def scripted_engine(script: Script, config: EngineConfig | None = None) -> Engine:
    """An engine that answers by `script`; limits and context window come from `config`."""
    config = config or EngineConfig(model="script", backend="scripted")
    return LocalEngine(config, lambda: ScriptedModel(script, config.context_window or 2048))


def create(config: EngineConfig) -> Engine:
    """An engine whose script is `options: {replies: ...}`: prompt to text, or a list of texts.

    Raises:
        LLMInitializationError: there is no such script in the options.
    """
    replies = config.options.get("replies")
    texts = list(replies.values()) if isinstance(replies, dict) else replies
    is_script = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    if not is_script or set(config.options) != {"replies"}:
        raise LLMInitializationError(
            "the scripted backend needs options {'replies': ...} and no others: a mapping from "
            "prompt to text, or a list of texts"
        )
    return scripted_engine(cast(Script, replies), config)
