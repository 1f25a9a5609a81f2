"""GGUF files: whether they are whole, and what running them takes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.llm.engines.errors import LLMInitializationError
from agents.llm.engines.gguf import check_whole, read_metadata
from agents.llm.engines.gguf_vocabulary import GgufVocabulary
from agents.llm.engines.llamacpp_room import DEFAULT_CONTEXT_WINDOW
from agents.llm.engines.model_file import parts_of
from agents.llm.models import MODELS, find_model
from agents.llm.wizard.found import AnswerError, Found

_NO_LANGUAGE_MODELS = {"clip", "whisper", "bert", "nomic-bert", "t5encoder", "jina-bert-v2"}


def look_at_gguf(path: Path) -> Found:
    """The model in a GGUF file, all its parts with it.

    Raises:
        AnswerError: it cannot be read, is no language model, or a part is missing.
    """
    path = path.absolute()
    try:
        metadata = read_metadata(path)
        vocabulary = GgufVocabulary(metadata)
        for part in _parts(path):
            check_whole(part)
    except LLMInitializationError as error:
        raise AnswerError(_with_first_bytes(str(error), path)) from error
    architecture = metadata.get("general.architecture")
    window = metadata.get(f"{architecture}.context_length")
    if architecture in _NO_LANGUAGE_MODELS or not isinstance(window, int) or window < 1:
        raise AnswerError(f"{path} holds a {architecture} model, which writes no text")
    granted = min(window, DEFAULT_CONTEXT_WINDOW)
    warnings = [] if metadata.get("tokenizer.chat_template") else [_NO_TEMPLATE.format(path.name)]
    return Found(
        model=str(path),
        backends=("llamacpp", "transformers"),
        about=f"{_name_of(metadata, path)}, {len(vocabulary)} tokens, context of {window}",
        context_window=granted,
        warnings=tuple(warnings),
    )


def look_at_named(name: str) -> Found:
    """A model that comes through pip, whether it is here or not."""
    path, known = find_model(name), MODELS[name]
    if path is None:
        found = Found(name, (), "", weight_bytes=known.size_bytes)
    else:
        found = look_at_gguf(path)
    return replace(
        found,
        model=name,
        backends=(known.backend,),
        about=known.summary if path is None else known.about,
        temperature=known.temperature,
        to_fetch=name if path is None else "",
    )


_NO_TEMPLATE = "{} has no chat template: it may be a base model, which completes but does not talk"


def _name_of(metadata: Mapping[str, Any], path: Path) -> str:
    name = metadata.get("general.name")
    return name if isinstance(name, str) and name.strip() else path.stem


def _parts(path: Path) -> list[Path]:
    parts = parts_of(path)
    if parts[0] != path:
        raise AnswerError(f"{path} is one of {len(parts)} parts: give the first, {parts[0].name}")
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise AnswerError(
            f"of the {len(parts)} parts of {path}, {', '.join(missing)} are not there"
        )
    return parts


def _with_first_bytes(said: str, path: Path) -> str:
    """Say so where the file is a web page or a pointer in the place of the model."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError:
        return said
    if start.startswith(b"version https://git-lfs"):
        return f"{path} is a Git LFS pointer, not the model: run `git lfs pull` where it came from"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return f"{path} is a web page, not a model: download the file itself"
    return said
