"""`guildbus serve`: the language models of a spec for clients of OpenAI's API."""

import importlib.util
import json
import os
import re
import shlex
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.errors import LLMInitializationError, MissingDependencyError
from agents.llm.wizard.machine import check_installed
from agents.llm.wizard.spec_text import QUESTION_TEXT
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import FAILED, INTERRUPTED, MISSING_EXTRA, OK, UsageError
from guild.errors import MissingExtraError

if TYPE_CHECKING:
    from agents.llm.commands.served_spec import ServedModel

KEY_VARIABLE = "GUILDBUS_API_KEY"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  how this machine reaches itself


@dataclass(frozen=True)
class Listening:
    """Where and how clients reach the server."""

    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    key_file: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    allow_plain_http: bool = False
    is_lazy: bool = False


async def serve_spec(call: Call, listening: Listening) -> int:
    """Serve until SIGINT or SIGTERM; the URL goes to stdout, all else to stderr."""
    try:
        await _serve(call, listening)
    except LLMInitializationError as error:
        call.output.error(str(error))
        return MISSING_EXTRA if isinstance(error, MissingDependencyError) else FAILED
    except BrokenPipeError:
        raise  # whoever read the URL
    except OSError as error:
        call.output.error(
            f"nobody can listen on {listening.host}:{listening.port}: {_reason(error)}; choose "
            "another --port (0 is any that is free) or --host"
        )
        return FAILED
    return OK


async def _serve(call: Call, listening: Listening) -> None:
    _check_installed()
    from agents.llm.commands.served_spec import idle_unload_s, served_models  # noqa: PLC0415
    from agents.llm.endpoint import serve  # noqa: PLC0415  an extra

    output, served = call.output, served_models(call.plan)
    if not served:
        raise UsageError(
            f"{call.spec} names no language model: none of its agents is an llm.chat or llm.phi"
        )
    for model in served:  # before any of them is loaded
        backend = model.config.backend
        check_installed(backend, f"{model.agent}, on the {backend} backend,")
    keys, new_key = _keys(call, listening)
    _check_certificate(listening)
    call.show_logs()
    models, defaults = _named(served)

    def ready(url: str) -> None:
        output.note(f"serving {', '.join(map(_described, served))}; stop with Ctrl-C")
        if new_key:
            output.note(f"API key, shown this once: export {KEY_VARIABLE}={new_key}")
        reached = _reachable(url)
        output.text(reached)
        output.note(f"try: {_curl(reached, served[0].agent, has_key=bool(keys))}")

    await serve(
        models,
        host=listening.host,
        port=listening.port,
        keys=keys,
        hosts=listening.names,
        certificate=listening.certificate,
        private_key=listening.private_key,
        allow_plain_http=listening.allow_plain_http,
        defaults=defaults,
        loading=None if listening.is_lazy else lambda name: output.note(f"loading {name}"),
        idle_unload_s=idle_unload_s(call.plan),
        ready=ready,
        stopping=_stopping(call),
    )


def _stopping(call: Call) -> Callable[[], None]:
    """The first signal drains, the second one ends the process."""
    signals = 0

    def stopping() -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(INTERRUPTED)
        call.output.note("stopping: answers in hand have 10 s to end; again to stop at once")

    return stopping


def _check_installed() -> None:
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError("guildbus serve", "web", missing)


def _named(
    served: "list[ServedModel]",
) -> tuple[dict[str, EngineConfig], dict[str, dict[str, object]]]:
    """Configurations and defaults by every name that clients may use."""
    pairs = [(name, model) for model in served for name in (model.agent, model.name) if name]
    return (
        {name: model.config for name, model in pairs},
        {name: model.defaults for name, model in pairs},
    )


def _keys(call: Call, listening: Listening) -> tuple[list[str], str]:
    """The keys that clients may bring, and the one that was made up now or "".

    Raises:
        UsageError: the file holds none, or it would be open to others without TLS.
    """
    from agents.llm.endpoint import new_key  # noqa: PLC0415  an extra
    from agents.llm.endpoint.access import is_loopback  # noqa: PLC0415  likewise

    keys = _checked(KEY_VARIABLE, re.split(r"[\s,]+", os.environ.get(KEY_VARIABLE, "")))
    if listening.key_file is not None:
        keys += _read_keys(call, listening.key_file)
    if is_loopback(listening.host):
        return keys, ""
    if listening.certificate is None and not listening.allow_plain_http:
        raise UsageError(
            f"{listening.host} can be reached by others, who could read keys and texts on their "
            "way: give --certificate FILE, or --plain-http where a proxy in front of it has TLS"
        )
    made_up = "" if keys else new_key()
    return keys or [made_up], made_up


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


def _check_certificate(listening: Listening) -> None:
    """Load the certificate once, for a sentence that says what is wrong with it."""
    if listening.certificate is None:
        if listening.private_key is not None:
            raise UsageError("--private-key is of no use without --certificate")
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(listening.certificate, listening.private_key, password=lambda: "")
    except OSError as error:  # ssl's errors are ones
        raise UsageError(
            f"--certificate {listening.certificate} cannot be used: {error}; it is a PEM file "
            "with the certificate and its key without a passphrase, or give the key as "
            "--private-key"
        ) from error


def _described(model: "ServedModel") -> str:
    return f"{model.agent} ({model.config.model} on {model.config.backend})"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).partition(" (while")[0]


def _reachable(url: str) -> str:
    """The URL by which this machine reaches the server."""
    host = urlsplit(url).hostname or ""
    here = _EVERYWHERE.get(host)
    if here is None:
        return url
    shown = f"[{host}]" if ":" in host else host
    return url.replace(shown, f"[{here}]" if ":" in here else here, 1)


def _curl(url: str, model: str, *, has_key: bool) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION_TEXT}]}
    key = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if has_key else ""
    return f"curl {url}/chat/completions{key} -d {shlex.quote(json.dumps(body))}"
