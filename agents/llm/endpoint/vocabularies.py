"""Constraints and the texts of single tokens, for models whose tokenizer is known."""

from collections.abc import Callable
from typing import Any

from agents.llm.engines.constraint import Constraint
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import ContextOverflowError
from agents.llm.engines.loaded import LoadedTokenizer
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS

MakeConstraint = Callable[[], Constraint]


def vocabulary_for(loaded: LoadedTokenizer) -> Any:
    """The vocabulary of a tokenizer, made once; blocks while it is.

    Raises:
        VocabularyError: its tokens do not say what they spell.
    """
    from agents.llm import structured  # noqa: PLC0415  llguidance is an extra

    return structured.vocabulary_for(loaded.tokenizer, loaded.end_token_ids)


def constraints(grammar: Any, loaded: LoadedTokenizer, new_tokens: int) -> MakeConstraint:
    """Makes a constraint for each answer of at most so many tokens.

    Raises:
        InvalidRequestError: the grammar cannot be kept to with these tokens.
    """
    compiled = grammar.compile(vocabulary_for(loaded))
    compiled.matcher(new_tokens)  # refuses a budget that is too small
    return lambda: compiled.matcher(new_tokens)


def budget(engine: Engine, prompt_tokens: int, asked: int | None) -> int:
    """The new tokens that an answer may have: what was asked for, or what the engine would take.

    Raises:
        ContextOverflowError: the prompt fills the window.
    """
    capabilities = engine.capabilities
    room = capabilities.context_window - prompt_tokens
    if room < 1:
        raise ContextOverflowError(
            prompt_tokens=prompt_tokens,
            new_tokens=asked or 1,
            context_window=capabilities.context_window,
        )
    return asked or min(DEFAULT_MAX_NEW_TOKENS, capabilities.max_new_tokens_limit, room)


def token_bytes(loaded: LoadedTokenizer, token_id: int) -> bytes:
    """What a token spells; for a special one how it is written."""
    spelt: bytes = vocabulary_for(loaded).tokens[token_id]
    return spelt or str(loaded.tokenizer.convert_ids_to_tokens(token_id) or "").encode()
