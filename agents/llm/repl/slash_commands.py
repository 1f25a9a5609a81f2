"""What may be typed in a talk beside questions: words that begin with a slash."""

import re
from enum import Enum

_LOOK = re.compile(r"/([^\W\d_][\w-]*|\?)?")  # a path and a comment are none


class SlashCommand(Enum):
    """What somebody wants who does not ask the model."""

    CLEAR = "/clear"
    HELP = "/help"
    QUIT = "/quit"


_NAMES = {
    "/clear": SlashCommand.CLEAR,
    "/help": SlashCommand.HELP,
    "/?": SlashCommand.HELP,
    "/quit": SlashCommand.QUIT,
    "/exit": SlashCommand.QUIT,
    "/bye": SlashCommand.QUIT,
    "/q": SlashCommand.QUIT,
}
HELP = """\
/clear  forget what was said; what --system says stays
/help   show this
/quit   end the talk; /exit, /bye and Ctrl-D do the same
Ctrl-C ends an answer. A line that begins with a space goes to the model, whatever it says."""


def is_for_the_talk(line: str) -> bool:
    """Whether a line that was typed is no question."""
    return line.startswith("/") and _LOOK.fullmatch(line.split(maxsplit=1)[0]) is not None


def slash_command(line: str) -> SlashCommand | None:
    """The command of such a line; None where there is none of that name."""
    return _NAMES.get(line.strip().lower())


def unknown_command(line: str) -> str:
    """What is said to a line that is neither a command nor meant for the model."""
    known = ", ".join(command.value for command in SlashCommand)
    return (
        f"there is no command {line.strip()}; there are {known}. Begin with a space to say it to "
        "the model"
    )
