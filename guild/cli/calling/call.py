"""One call of the command line: what was typed, and the guild that it is about."""

import os
import pwd
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from guild.agent.registry import Registry
from guild.checking.loader import load_file
from guild.checking.plan import Plan
from guild.cli.calling.exit_codes import UsageError
from guild.cli.printing.output import Output
from guild.cli.syntax.options import Common
from guild.errors import Problem, SpecError
from guild.settings import Settings, load_settings
from guild.spec.references import resolve
from guild.suggest import closest

if TYPE_CHECKING:
    from guild.client import GuildClient

_SHIPPED = "_specs"
_SUFFIXES = (".yaml", ".yml", ".json")


class Call:
    """What a command works with; nothing is read before it is asked for.

    Args:
        typed: the words of the command line.
    """

    def __init__(self, typed: Common) -> None:
        self.typed = typed
        self.output = Output(as_json=typed.as_json)

    @cached_property
    def settings(self) -> Settings:
        """What holds here: the command line over the environment over the settings file.

        Raises:
            SettingsError: something is unknown or does not fit.
        """
        level = self.typed.log_level
        typed = {
            "bus": self.typed.bus,
            "allow": self.typed.allow or None,
            "log": {"level": level.value} if level else None,
        }
        return load_settings(overrides=typed)

    @cached_property
    def registry(self) -> Registry:
        """Where the types of agents and resources are found.

        Classes that the operator allows may live in the current folder, behind what is installed.
        """
        if self.settings.allow and str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        return Registry(self.settings.allow)

    @property
    def spec(self) -> Path:
        assert self.typed.spec is not None, "the command takes no spec"
        return self.typed.spec

    @cached_property
    def plan(self) -> Plan:
        """The checked spec.

        Raises:
            SpecError: everything that is wrong with it.
        """
        return self.plan_of(self.spec)

    def plan_of(self, path: Path) -> Plan:
        """As `plan`, of any file."""
        registry = self.registry
        return Plan.of(load_file(find_spec(path), allow=registry.allow), registry)

    @cached_property
    def bus(self) -> str:
        """The URL of the guild's bus."""
        if self.typed.bus == "":
            raise UsageError("--bus is empty: name a server, or leave it out to use the spec's")
        return self.settings.bus or str(resolve(self.plan.spec.bus, path=("bus",)))

    @property
    def place(self) -> str:
        """The bus as people may see it."""
        return redacted(self.bus)

    @property
    def user(self) -> str:
        """Who acts, as the guild is told: the user of the operating system."""
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # as in a container that was given a number
            return f"uid {os.getuid()}"

    @property
    def is_private(self) -> bool:
        """Whether no other process can be on the bus."""
        return self.bus.startswith("memory:")

    @asynccontextmanager
    async def client(self) -> AsyncIterator["GuildClient"]:
        """A client of the guild, which runs elsewhere.

        Raises:
            BackendUnavailableError: there is no server; says what to do about it.
        """
        from guild.client import GuildClient  # noqa: PLC0415 - checking a spec needs none

        if self.is_private:
            raise UsageError(
                f"the bus {self.bus} of {self.plan.spec.id} is inside the process that runs it, "
                "where nobody else can reach it. Add --bus embedded here and to `guildbus run`; or "
                f"run and ask at once: guildbus run {self.spec} --request TYPE"
            )
        self.show_logs(at_once=False)
        async with GuildClient.connect(
            self.plan.spec, bus=self.bus, registry=self.registry, wait_s=self.typed.wait_s
        ) as client:
            yield client

    def show_logs(self, *, at_once: bool = True) -> None:
        """Send the log to stderr from now on; see `configure_logs`."""
        from guild.cli.printing.logs import configure_logs  # noqa: PLC0415 - as above

        configure_logs(self.settings.log.level, at_once=at_once)

    def show_logs_of_a_request(self) -> AbstractContextManager[object]:
        """The same for a command whose last sentence says why a request failed.

        Within the block, somebody at a terminal who asked for no log does not get the line that
        says the same.
        """
        from guild.cli.printing.logs import HeldDeaths, configure_logs  # noqa: PLC0415 - as above

        is_asked_for = "level" in self.settings.log.model_fields_set
        held = HeldDeaths() if sys.stderr.isatty() and not is_asked_for else None
        configure_logs(self.settings.log.level, at_once=True, held=held)
        return held or nullcontext()

    def command(self, words: str) -> str:
        """The command line that does something else with the same guild."""
        bus = f" --bus {self.place}" if self.typed.bus else ""
        return f"guildbus {words} {self.spec}{bus}"


def redacted(url: str) -> str:
    """`url` without its password."""
    if "@" not in url:
        return url
    from messaging.backends.redis.connection import endpoint  # noqa: PLC0415 - 150 ms that few URLs need

    try:
        return endpoint.redacted(url)
    except ValueError:
        return "a URL that cannot be read"


def find_spec(path: Path) -> Path:
    """`path`, or the shipped spec of that name when there is no such file.

    Raises:
        SpecError: there is no such file, and no shipped spec of that name; or it is a folder.
    """
    try:
        if path.is_dir():
            text = f"cannot read {path}: it is a folder; name the file in it"
            raise SpecError([Problem("", 0, 0, (), text)])
        if path.exists():
            return path
    except OSError:  # such as: it is too long, or a folder above may not be looked into
        return path  # to read it tells why
    shipped = {found.stem: found for found in sorted(shipped_specs().glob("*.yaml"))}
    if str(path) in shipped:
        return shipped[path.name]
    beside = (found for found in path.parent.glob("*") if found.suffix in _SUFFIXES)
    hint = closest(str(path), [*shipped, *map(str, beside)])
    if len(path.parts) == 1 and not path.suffix:
        text = f"no such file, and no shipped spec of that name; those are {', '.join(shipped)}"
        raise SpecError([Problem("", 0, 0, (path.name,), text, hint)])
    raise SpecError([Problem("", 0, 0, (), f"cannot read {path}: no such file", hint)])


def shipped_specs() -> Path:
    """The folder of the specs that come with guildbus."""
    package = Path(__file__).resolve().parents[2]
    installed = package / _SHIPPED
    return installed if installed.is_dir() else package.parent / "specs"
