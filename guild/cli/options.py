"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Spec = Annotated[Path, typer.Argument(help="The guild spec, YAML or JSON.", metavar="SPEC")]
TypeName = Annotated[str, typer.Argument(help="Class name or wire name of the message.")]
Data = Annotated[
    list[str] | None,
    typer.Argument(help="key=value, key:=json, one JSON text, @file, or - for stdin."),
]
BusUrl = Annotated[
    str | None,
    typer.Option("--bus", help="Another bus than the spec's.", envvar="GUILDBUS_BUS"),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(help="A package below which the spec may name classes by dotted path."),
]
Topic = Annotated[
    str | None, typer.Option(help="Where to; left out: where an agent handles the type.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document a line on stdout.")]
LogLevel = Annotated[str, typer.Option(help="debug, info, warning or error.")]
TimeoutS = Annotated[float, typer.Option("--timeout", help="Seconds to wait.", min=0.001)]
