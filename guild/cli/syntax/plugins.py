"""Commands that other distributions bring: the entry points of `guildbus.commands`.

Each names a `typer.Typer`. Its module is imported for its help, so it should import little.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from guild.cli.calling.exit_codes import FAILED

GROUP = "guildbus.commands"


class Commands(TyperGroup):
    """The commands of Guildbus itself, then those of plugins; its own names cannot be taken."""

    def list_commands(self, ctx: Any) -> list[str]:
        own = super().list_commands(ctx)
        return own + sorted(set(_plugins()) - set(own))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        entry = _plugins().get(cmd_name)
        return None if entry is None else _loaded(entry)


def _plugins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _loaded(entry: EntryPoint) -> Any:
    try:
        command = get_command(entry.load())
    except Exception as error:  # noqa: BLE001  importing runs code of anybody's
        command = get_command(_broken(entry, error))
    command.name = entry.name
    return command


def _broken(entry: EntryPoint, error: Exception) -> typer.Typer:
    """A command that says why it is none."""
    where = f"{entry.value} of {entry.dist.name}" if entry.dist else entry.value
    sentence = f"{entry.name} cannot be loaded from {where}: {type(error).__name__}: {error}"
    app = typer.Typer(add_completion=False)

    @app.command(
        help=sentence,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def _say() -> None:
        typer.echo(sentence, err=True)
        raise typer.Exit(FAILED)

    return app
