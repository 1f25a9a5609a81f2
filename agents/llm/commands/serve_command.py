"""`guildbus serve`: the language models of a spec for clients of OpenAI's API."""

import json
import os
import re
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from agents.llm.engines.errors import LLMInitializationError, MissingDependencyError
from agents.llm.wizard.machine import check_installed
from agents.llm.wizard.spec_text import QUESTION_TEXT
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import FAILED, MISSING_EXTRA, OK, UsageError
from guild.cli.commands.http import Http, first_signal, token_file
from guild.cli.commands.http import check_installed as check_http_installed
from guild.gateway.exposure import ExposureError, Listening, reachable
from guild.gateway.tokens import TokenFile

if TYPE_CHECKING:
    from agents.llm.commands.served_spec import ServedModel

DEFAULT_PORT = 8000
KEY_VARIABLE = "GUILDBUS_API_KEY"


async def serve_spec(
    call: Call,
    http: Http,
    *,
    key_file: Path | None = None,
    is_lazy: bool = False,
) -> int:
    """Serve until SIGINT or SIGTERM; the URL goes to stdout, all else to stderr."""
    try:
        await _serve(call, http, key_file, is_lazy=is_lazy)
    except LLMInitializationError as error:
        call.output.error(str(error))
        return MISSING_EXTRA if isinstance(error, MissingDependencyError) else FAILED
    return OK


async def _serve(call: Call, http: Http, key_file: Path | None, *, is_lazy: bool) -> None:
    place = http.listening(DEFAULT_PORT)
    check_http_installed("guildbus serve")
    from agents.llm.commands.model_server import named, serve, with_keys  # noqa: PLC0415  an extra
    from agents.llm.commands.served_spec import idle_unload_s, served_models  # noqa: PLC0415

    output, served = call.output, served_models(call.plan)
    if not served:
        raise UsageError(
            f"{call.spec} names no language model: none of its agents is an llm.chat or llm.phi"
        )
    for model in served:  # before any of them is loaded
        backend = model.config.backend
        check_installed(backend, f"{model.agent}, on the {backend} backend,")
    owners = token_file(call, http.tokens)
    keys, new_key = _keys(call, place, key_file, owners)
    try:
        place.check(has_tokens=bool(keys) or owners is not None, remedy="give --api-key-file FILE")
    except ExposureError as error:
        raise UsageError(str(error)) from error
    call.show_logs()
    models, defaults = named(served)

    def ready(url: str) -> None:
        output.note(f"serving {', '.join(map(_described, served))}; stop with Ctrl-C")
        if new_key:
            output.note(f"API key, shown this once: export {KEY_VARIABLE}={new_key}")
        reached = reachable(url)
        output.text(reached)
        has_key = bool(keys) or owners is not None
        output.note(f"try: {_curl(reached, served[0].agent, has_key=has_key)}")

    note = "stopping: answers in hand have 10 s to end; again to stop at once"
    with first_signal(call, note) as stop:
        await serve(
            models,
            place,
            stop,
            callers=with_keys(keys, owners),
            defaults=defaults,
            loading=None if is_lazy else lambda name: output.note(f"loading {name}"),
            unload_after_s=idle_unload_s(call.plan),
            ready=ready,
        )


def _keys(
    call: Call, place: Listening, file: Path | None, tokens: TokenFile | None
) -> tuple[list[str], str]:
    """The keys that clients may bring, and the one that was made up now or "".

    Raises:
        UsageError: the file holds none.
    """
    from agents.llm.endpoint import new_key  # noqa: PLC0415  an extra

    keys = _checked(KEY_VARIABLE, re.split(r"[\s,]+", os.environ.get(KEY_VARIABLE, "")))
    if file is not None:
        keys += _read_keys(call, file)
    if keys or tokens is not None or not place.is_exposed:
        return keys, ""
    made_up = new_key()
    return [made_up], made_up


def _read_keys(call: Call, path: Path) -> list[str]:
    try:
        keys = _checked(str(path), path.read_text(encoding="utf-8").split())
        is_open = path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the keys in {path}: {error}") from error
    if not keys:
        raise UsageError(f"there is no key in {path}; write one a line into it")
    if is_open:
        call.output.note(f"warning: others on this machine can read {path}: chmod 600 {path}")
    return keys


def _checked(source: str, keys: list[str]) -> list[str]:
    """Those that are not empty; no message holds any of them."""
    from agents.llm.endpoint.access import MIN_KEY_CHARS, checked_key  # noqa: PLC0415  an extra

    try:
        return [checked_key(key) for key in keys if key]
    except ValueError as error:
        raise UsageError(
            f"{source}: an API key needs at least {MIN_KEY_CHARS} printable ASCII characters; "
            "`openssl rand -hex 32` makes one"
        ) from error


def _described(model: "ServedModel") -> str:
    return f"{model.agent} ({model.config.model} on {model.config.backend})"


def _curl(url: str, model: str, *, has_key: bool) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION_TEXT}]}
    key = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if has_key else ""
    return f"curl {url}/chat/completions{key} -d {shlex.quote(json.dumps(body))}"
