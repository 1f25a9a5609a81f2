"""Servers with OpenAI's API: whether they answer, and which models they have."""

import importlib.util
from typing import Any

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.errors import LLMInitializationError
from agents.llm.engines.openai_options import api_key, openai_options
from agents.llm.wizard.found import AnswerError, Found
from guild.errors import MissingExtraError

_TIMEOUT_S = 8.0
_MAX_SHOWN = 12


def look_at_server(url: str, served_model: str | None, key_variable: str | None) -> Found:
    """A model of the server at `url`, which may leave out `/v1`.

    Raises:
        AnswerError: no such server answers, it wants a key, or has no such model.
        MissingExtraError: there is no httpx to ask with.
    """
    if not url.startswith(("http://", "https://")):
        raise AnswerError(f"{url}: it is no URL such as http://127.0.0.1:11434/v1")
    if importlib.util.find_spec("httpx") is None:
        raise MissingExtraError("a model on a server", "openai", ["httpx"])
    given = url.rstrip("/").removesuffix("/chat/completions").removesuffix("/models")
    tried = [given] if given.endswith("/v1") else [f"{given}/v1", given]
    refusal: AnswerError | None = None
    for base_url in tried:
        try:
            names = _models(base_url, key_variable)
        except _NotHereError as error:
            refusal = refusal or error
            continue
        model = _chosen(base_url, names, served_model)
        options = {"base_url": base_url, "api": "chat"}
        options |= {"api_key_env": key_variable} if key_variable else {}
        return Found(model, ("openai",), f"on {base_url}", options=dict(options))
    assert refusal is not None
    raise refusal


class _NotHereError(AnswerError):
    """There is a server, but its API is not below this URL."""


def _models(base_url: str, key_variable: str | None) -> list[str]:
    import httpx  # noqa: PLC0415  an extra

    try:
        options: dict[str, Any] = {"base_url": base_url, "api_key_env": key_variable}
        key = api_key(openai_options(EngineConfig(model="any", backend="openai", options=options)))
    except LLMInitializationError as error:
        raise AnswerError(str(error)) from error
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
            answer = client.get(f"{base_url}/models", headers=headers)
    except httpx.HTTPError as error:
        raise AnswerError(
            f"{base_url} cannot be reached: {error or type(error).__name__}; does the server run?"
        ) from error
    if answer.status_code in (401, 403):
        raise KeyNeededError(
            f"{base_url} wants a key, or another one: put it into an environment variable, and "
            "name that by --api-key-env"
        )
    try:
        return [str(model["id"]) for model in answer.json()["data"]]
    except (ValueError, KeyError, TypeError) as error:
        raise _NotHereError(
            f"{base_url}/models answers {answer.status_code} and no list of models: is it a "
            "server with OpenAI's API?"
        ) from error


def _chosen(base_url: str, names: list[str], wanted: str | None) -> str:
    if wanted is not None and wanted in names:
        return wanted
    shown = ", ".join(names[:_MAX_SHOWN]) + (" …" if len(names) > _MAX_SHOWN else "")
    if not names:
        raise AnswerError(f"{base_url} has no model; load one there first")
    if wanted is not None:
        raise AnswerError(f"{base_url} has no model {wanted!r}, but {shown}")
    if len(names) > 1:
        raise SeveralModelsError(f"{base_url} has {shown}: choose one by --served-model", names)
    return names[0]


class KeyNeededError(AnswerError):
    """The server wants a key."""


class SeveralModelsError(AnswerError):
    """The server has several models, and nobody said which."""

    def __init__(self, text: str, names: list[str]) -> None:
        super().__init__(text)
        self.names = names
