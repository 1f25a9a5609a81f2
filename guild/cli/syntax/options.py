"""Arguments and options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer


class Level(StrEnum):
    """What of the log is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    """How a graph is drawn."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"
    JSON = "json"


class Common(NamedTuple):
    """What was typed after any command: which guild, where it is, and how to answer.

    None is what was not typed; the environment or the settings file may say it.
    """

    spec: Path | None = None
    bus: str | None = None
    allow: list[str] | None = None
    as_json: bool = False
    log_level: Level | None = None
    wait_s: float = 0.0


Spec = Annotated[
    Path,
    typer.Argument(help="The guild spec: a YAML or JSON file, or the name of one that is shipped."),
]
TypeName = Annotated[str, typer.Argument(help="Wire name or class name of the message.")]
Data = Annotated[
    list[str] | None,
    typer.Argument(help="Its fields: key=text, key:=json, one JSON text, @file, or - for stdin."),
]
BusUrl = Annotated[
    str | None, typer.Option("--bus", help="Another bus than the spec's. [env: GUILDBUS_BUS]")
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PACKAGE,…",
        help="Packages below which the spec may name classes by dotted path. [env: GUILDBUS_ALLOW]",
    ),
]
Topic = Annotated[
    str | None, typer.Option(help="Where to; left out: where an agent handles the type.")
]
Conversation = Annotated[str, typer.Option(help="Id of the message that this one follows from.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document a line on stdout.")]
LogLevel = Annotated[
    Level | None, typer.Option(help="How much of the log is shown on stderr. [default: warning]")
]
Count = Annotated[int | None, typer.Option(help="Stop after so many.", min=1)]
TimeoutS = Annotated[float, typer.Option("--timeout", help="Seconds to wait.", min=0.001)]
WaitS = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        help="How long to wait for what is not there yet; `inf` for as long as it takes.",
        min=0.0,
    ),
]
AgentId = Annotated[str, typer.Argument(help="Id of the agent.")]
MessageId = Annotated[str, typer.Argument(help="Id of the message.")]
LetterId = Annotated[str, typer.Argument(help="Id of the dead letter, or of its message.")]
OfAgent = Annotated[str | None, typer.Option("--agent", help="Only this agent's.")]
OfType = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="Only messages of this wire name.")
]
OfError = Annotated[
    str | None, typer.Option("--error", metavar="CLASS", help="Only those that died of this error.")
]
