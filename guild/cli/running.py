"""Runs a command to its exit status: errors that we know become a sentence and a number."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import typer

from guild.cli.exit_codes import INTERRUPTED, exit_code_of
from guild.cli.logs import LEVELS, configure_logs
from guild.cli.output import Output
from guild.errors import GuildError
from messaging.errors import MessagingError


def execute(command: Coroutine[Any, Any, int], log_level: str) -> None:
    """Run `command` and leave the process with the status it returns or its error stands for."""
    if log_level not in LEVELS:
        command.close()
        raise typer.BadParameter(f"{log_level!r} is none of {', '.join(LEVELS)}")
    configure_logs(log_level)
    try:
        code = asyncio.run(command)
    except (GuildError, MessagingError) as error:
        Output().error(str(error))
        code = exit_code_of(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = 0  # whoever read our output has seen enough
    raise typer.Exit(code)
