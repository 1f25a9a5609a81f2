"""The texts of single tokens, for models whose tokenizer is known."""

from typing import Any

from agents.llm.engines.loaded import LoadedTokenizer


def vocabulary_for(loaded: LoadedTokenizer) -> Any:
    """The vocabulary of a tokenizer, made once; blocks while it is.

    Raises:
        VocabularyError: its tokens do not say what they spell.
    """
    from agents.llm import structured  # noqa: PLC0415  llguidance is an extra

    return structured.vocabulary_for(loaded.tokenizer, loaded.end_token_ids)


def token_bytes(loaded: LoadedTokenizer, token_id: int) -> bytes:
    """What a token spells; for a special one how it is written."""
    written = getattr(loaded.tokenizer, "written", None)
    if written is not None:  # without llguidance
        return bytes(written(token_id))
    spelt: bytes = vocabulary_for(loaded).tokens[token_id]
    return spelt or str(loaded.tokenizer.convert_ids_to_tokens(token_id) or "").encode()
