"""What an operator sets beside the specs: command line over environment over file over default.

The environment's names begin with `GUILDBUS_`, `__` goes one level down: `GUILDBUS_LOG__LEVEL`.
The file is `guildbus.toml` in the current folder, or an explicit path; parents are never searched.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from guild.checking.validation import findings_of, keys_of
from guild.errors import SettingsError
from guild.suggest import closest

PREFIX = "GUILDBUS_"
DEFAULT_FILE = "guildbus.toml"
_FOR_SPECS = ("GUILDBUS_URL",)  # what the default bus of a spec refers to


def _split(packages: Any) -> Any:
    """Packages as an environment has them, in one text with commas, one by one."""
    texts = [packages] if isinstance(packages, str) else packages
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return packages
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def _package(name: str) -> str:
    if not all(part.replace("-", "_").isidentifier() for part in name.split(".")):
        raise ValueError(f"{name!r} is no package: write its name, as in shop or shop.agents")
    if name.endswith(".py") and Path(name).is_file():
        raise ValueError(f"{name!r} is a file: write {name.removesuffix('.py')}")
    return name


Package = Annotated[str, AfterValidator(_package)]


class LogSettings(BaseModel):
    """What the command line tells about its work."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Literal["debug", "info", "warning", "error"] = "warning"


class Settings(BaseModel):
    """An operator's choices.

    Attributes:
        bus: URL of the bus, over what the specs say; None leaves it to them.
        allow: packages whose classes specs may name by dotted path.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bus: str | None = None
    allow: Annotated[tuple[Package, ...], BeforeValidator(_split)] = ()
    log: LogSettings = LogSettings()


def load_settings(
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: str | Path | None = None,
) -> Settings:
    """The settings that hold here.

    Args:
        overrides: what the command line says; None values leave the rest in force.
        environ: None for the process's own.
        file: None for `guildbus.toml` in the current folder, if it is there.

    Raises:
        SettingsError: the file cannot be read, or something is unknown or does not fit.
    """
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    layers = {
        str(file or DEFAULT_FILE): _from_file(file),
        "environment": _from_environment(os.environ if environ is None else environ),
        "command line": given,
    }
    merged: dict[str, Any] = {}
    for layer in layers.values():
        _merge(merged, layer)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        lines = []
        for finding in findings_of(error, Settings):
            hint = f"; did you mean {finding.suggestion!r}?" if finding.suggestion else ""
            where = [name for name, layer in layers.items() if finding.path[0] in layer][-1]
            lines.append(f"settings, {where}: {finding.text}{hint}")
        raise SettingsError("\n".join(lines)) from None


def _from_file(file: str | Path | None) -> dict[str, Any]:
    path = Path(file or DEFAULT_FILE)
    if file is None and not path.is_file():
        return {}
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the settings in {path}: {error}") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    slips: list[str] = []
    known = keys_of(Settings)
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name in _FOR_SPECS:
            continue
        first, *rest = name.removeprefix(PREFIX).lower().split("__")
        if first not in known:
            # Specs may refer to variables of any name; a slip of the pen is told all the same.
            if meant := closest(first, known):
                rest = rest or ["level"] * (meant == "log")
                hint = PREFIX + "__".join([meant, *rest]).upper()
                slips.append(f"unknown setting {name}; did you mean {hint}?")
            continue
        _merge(settings, _nested([first, *rest], value))
    if slips:
        raise SettingsError("\n".join(slips))
    return settings


def _nested(keys: list[str], value: str) -> dict[str, Any]:
    nested: Any = value
    for key in reversed(keys):
        nested = {key: nested}
    result: dict[str, Any] = nested
    return result


def _merge(target: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = dict(value) if isinstance(value, Mapping) else value
