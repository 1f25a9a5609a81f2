"""Settings of the backend for servers with OpenAI's API."""

import ipaddress
import os
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, PositiveFloat

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.errors import LLMInitializationError


class OpenAIOptions(BaseModel):
    """What `EngineConfig.options` may hold for the openai backend.

    Attributes:
        base_url: where the API is, mostly ending in `/v1`.
        api_key_env: the environment variable that holds the key, if the server wants one.
        api: how a plain prompt is sent: `completions` continues it; `chat` sends it as a user's
            message, for servers that offer nothing else. Conversations are sent as messages.
        schemas: how far the server keeps to a JSON schema: `json_schema`; `json_object` for JSON
            of any shape; `none`. Whatever it is, answers are checked.
        grammars: how the server takes regexes, choices and Lark grammars, for which OpenAI's API
            has no place: `vllm` in `structured_outputs`, as Guildbus and vLLM do; `guided` in
            `guided_regex` and its like, as vLLM did before 0.12; `sglang` in `regex`, without Lark
            grammars; `llguidance` in `grammar`, as a llama-server built with that; `none`.
            Whatever it is, answers are checked.
        limit: what the limit of new tokens is called in chats; newer models of OpenAI know only
            `max_completion_tokens`, many other servers only `max_tokens`.
        has_token_ids: the server knows `return_token_ids`, as Guildbus and vLLM do. Without it
            answers have text, but no token ids.
        connect_timeout_s: to reach the server.
        silence_timeout_s: between two pieces of an answer, and until the first one.
        retry_for_s: how long a server is asked again that cannot be reached or is busy.
        allow_plain_http: send the key over HTTP to another machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    api_key_env: str | None = None
    api: Literal["completions", "chat"] = "completions"
    schemas: Literal["json_schema", "json_object", "none"] = "json_schema"
    grammars: Literal["vllm", "guided", "sglang", "llguidance", "none"] = "vllm"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    has_token_ids: bool = False
    connect_timeout_s: PositiveFloat = 10.0
    silence_timeout_s: PositiveFloat = 120.0
    retry_for_s: float = 30.0
    allow_plain_http: bool = False


def openai_options(config: EngineConfig) -> OpenAIOptions:
    """The options of `config`.

    Raises:
        LLMInitializationError: one is missing, unknown or makes no sense, by name.
    """
    options = config.options_as(OpenAIOptions)
    _check_url(options)
    return options


def api_key(options: OpenAIOptions) -> str | None:
    """The key for the server, read where it is used.

    Raises:
        LLMInitializationError: it is not in the environment, or no header can carry it.
    """
    if options.api_key_env is None:
        return None
    key = os.environ.get(options.api_key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise LLMInitializationError(
            f"the environment variable {options.api_key_env} holds no API key; set it to the key "
            "for the server, or leave api_key_env out"
        )
    return key


def _check_url(options: OpenAIOptions) -> None:
    try:
        url = urlsplit(options.base_url)
        host, _ = url.hostname or "", url.port
    except ValueError:
        host = ""
    if not host or url.scheme not in {"http", "https"} or url.query or url.fragment:
        raise LLMInitializationError("base_url: it is no URL such as http://127.0.0.1:8000/v1")
    if url.username or url.password:
        raise LLMInitializationError(
            "base_url: a secret stands in it; name an environment variable in api_key_env instead"
        )
    is_open = url.scheme == "http" and not _is_here(host)
    if is_open and options.api_key_env and not options.allow_plain_http:
        raise LLMInitializationError(
            f"base_url: the key would go to {host} unencrypted; use https, or set "
            "allow_plain_http where the network can be trusted"
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
