"""Agents by the name of a backend, or from a TOML file."""

import asyncio
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.llm.agent.local_agent import HuggingFaceLocalAgent, LocalAgent
from agents.llm.agent.settings import ALIASES, AgentSettings
from agents.llm.engines import LLMInitializationError, ModelRegistry

TABLES = ("llm", "midori_ai_agent_base")


async def get_agent(
    backend: str,
    model: str,
    api_key: str = "",
    *,
    models: ModelRegistry | None = None,
    **options: Any,
) -> LocalAgent:
    """An agent; nothing is loaded before its first question.

    Args:
        backend: `huggingface`, or any other backend of the engines.
        model: what the backend knows it by.
        api_key: for backends that want one; the others ignore it.
        models: see `LocalAgent`.
        options: the fields of `AgentSettings`; of a backend other than `huggingface`, its own
            settings among them.

    Raises:
        LLMInitializationError: no such backend, or a value makes no sense. What is an engine's own
            is checked by the engine, with the first question.
    """
    if ALIASES.get(backend, backend) == "transformers":
        return HuggingFaceLocalAgent(model, models=models, **options)
    known = {name: value for name, value in options.items() if name in AgentSettings.model_fields}
    own = {name: value for name, value in options.items() if name not in known}
    if api_key:
        own["api_key"] = api_key
    given = {**known, "options": {**known.get("options", {}), **own}}
    return LocalAgent(AgentSettings.of(model=model, backend=backend, **given), models=models)


async def get_agent_from_config(
    config_path: str | Path = "config.toml", *, models: ModelRegistry | None = None
) -> LocalAgent:
    """The agent that a TOML file describes.

    The table `[llm]` holds `backend`, `model`, `api_key` and options; `[llm.BACKEND]` holds
    options for that backend only. `[midori_ai_agent_base]` is read in its place, if it is there.

    Raises:
        LLMInitializationError: the file cannot be read, or describes no agent.
    """
    path = Path(config_path)
    table = _table(await asyncio.to_thread(_read, path), path)
    options = {name: value for name, value in table.items() if not isinstance(value, dict)}
    for name in ("backend", "model"):
        if not isinstance(options.get(name), str):
            raise LLMInitializationError(f"{path} does not say which {name}; add {name} = '...'")
    of_backend = table.get(options["backend"], {})
    if not isinstance(of_backend, dict):
        raise LLMInitializationError(f"{path}: {options['backend']!r} is no table of options")
    if isinstance(table.get("options"), dict) and "options" not in of_backend:
        options["options"] = table["options"]
    return await get_agent(**{**options, **of_backend}, models=models)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LLMInitializationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise LLMInitializationError(f"{path} is no TOML file: {error}") from error


def _table(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    found = [name for name in TABLES if isinstance(document.get(name), dict)]
    if not found:
        raise LLMInitializationError(f"{path} has no table [{TABLES[0]}]; add one")
    if len(found) > 1:
        raise LLMInitializationError(f"{path} has both [{'] and ['.join(found)}]; keep one of them")
    table: dict[str, Any] = document[found[0]]
    return table
