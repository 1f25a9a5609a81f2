"""Runs a command to its exit status: errors that we know become a sentence and a number."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import typer

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import FAILED, INTERRUPTED, OK, TERMINATED, exit_code_of
from guild.cli.syntax.options import Common
from guild.errors import GuildError
from messaging.errors import MessagingError

GARBAGE_AFTER_S = 1.0  # until then a command imports, and most of them have ended

P = ParamSpec("P")
Command = Callable[Concatenate[Call, P], Coroutine[Any, Any, int]]


def run_command(command: Command[P], typed: Common, *args: P.args, **kwargs: P.kwargs) -> None:
    """Run `command` and leave the process with the status it returns or its error stands for."""
    call = Call(typed)
    _open_closed_streams()
    try:
        code = asyncio.run(_stoppable(command(call, *args, **kwargs)))
        sys.stdout.flush()
    except (GuildError, MessagingError) as error:
        call.output.error(str(error))
        code = exit_code_of(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except asyncio.CancelledError:
        code = TERMINATED
    except BrokenPipeError:  # whoever read our output has seen enough
        _forget_output()
        code = OK
    except OSError as error:
        if error.filename is not None:  # not about what we print
            raise
        _forget_output()
        call.output.error(f"what was to be printed cannot be written: {error.strerror or error}")
        code = FAILED
    raise typer.Exit(code)


def _open_closed_streams() -> None:
    """Python has no stream where the shell closed one (`>&-`): what goes there goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as we
            setattr(sys, name, nowhere)


def _forget_output() -> None:
    """Let what is still in the buffer go nowhere, so that the interpreter's last flush works."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _stoppable(command: Coroutine[Any, Any, int]) -> int:
    """SIGTERM ends a command as Ctrl-C does: it leaves the bus before it goes."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.call_later(GARBAGE_AFTER_S, gc.enable)
    return await command
