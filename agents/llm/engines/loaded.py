"""What faces need of a model in this process beside its answers: its tokenizer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import InvalidRequestError


@dataclass(frozen=True)
class LoadedTokenizer:
    """The tokenizer of a loaded model.

    Attributes:
        tokenizer: in transformers' shape, with a chat template or without; None for a model
            that has no such thing.
        encode: a prompt as tokens, with what the model expects at the beginning; raises
            `InvalidRequestError` for half a character, which no tokenizer can read.
        decode: the text of tokens, without special ones.
        end_token_ids: the tokens that end an answer.
    """

    tokenizer: Any
    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]
    end_token_ids: frozenset[int]

    @property
    def tells_spelling(self) -> bool:
        """See `tells_spelling`."""
        return tells_spelling(self.tokenizer)


def tells_spelling(tokenizer: Any) -> bool:
    """Whether a tokenizer says what each token spells, which constraints are made of.

    A GGUF file's does, and a fast one of Hugging Face's. WordPiece does not: it writes spaces
    between words that no token spells.
    """
    if getattr(tokenizer, "token_bytes", None) is not None:
        return True
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and type(backend.decoder).__name__ != "WordPiece"


def loaded_tokenizer(engine: Engine) -> LoadedTokenizer | None:
    """The tokenizer of the engine's loaded model; None for a model that runs elsewhere.

    Raises:
        LLMInitializationError: nothing is loaded yet.
    """
    from agents.llm.engines.local_engine import LocalEngine  # noqa: PLC0415  brings a logger along

    if not isinstance(engine, LocalEngine):
        return None
    model = engine.model
    tokenizer = getattr(model, "tokenizer", None)

    def encode(text: str) -> list[int]:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidRequestError(
                "the prompt holds a lone surrogate, which is no character; leave it out"
            ) from None
        return model.encode(text)

    return LoadedTokenizer(tokenizer, encode, model.decode, model.end_token_ids)
