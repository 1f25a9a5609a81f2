"""The commands that serve a guild over HTTP; each imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from guild.cli.syntax.options import Allow, AsJson, BusUrl, Common, LogLevel, Spec, WaitS

Place = Annotated[
    str | None,
    typer.Option(
        "--http",
        metavar="[HOST:]PORT",
        help="Where to listen; port 0 is any that is free, and the URL says which. "
        "[default: 127.0.0.1:8700]",
    ),
]
# What --http says in one word; kept for those who wrote it before.
Host = Annotated[str | None, typer.Option("--host", hidden=True)]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, hidden=True)]
TokensFile = Annotated[
    Path | None,
    typer.Option("--tokens", metavar="FILE", help="Who may call; see `guildbus tokens add`."),
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="HOST",
        help="A name of this machine that clients may use, beside localhost and addresses.",
    ),
]
Certificate = Annotated[
    Path | None, typer.Option(help="A PEM file with a certificate and its key, for TLS.")
]
PrivateKey = Annotated[
    Path | None, typer.Option(help="The key, where it is not in the certificate's file.")
]
PlainHttp = Annotated[
    bool,
    typer.Option("--plain-http", help="No TLS beyond this machine: a proxy in front of it has it."),
]
TokenName = Annotated[str, typer.Argument(help="Who gets the token; what is done with it is told.")]
File = Annotated[
    Path, typer.Option("--file", metavar="FILE", help="The file of tokens; it holds hashes only.")
]

tokens = typer.Typer(
    help="Tokens of those who may call a gateway. Their names and scopes stand in a file.",
    no_args_is_help=True,
)


def console(
    spec: Spec,
    http: Place = None,
    host: Host = None,
    port: Port = None,
    names: Names = None,
    tokens_file: TokensFile = None,
    certificate: Certificate = None,
    private_key: PrivateKey = None,
    plain_http: PlainHttp = False,
    bus: BusUrl = None,
    allow: Allow = None,
    log_level: LogLevel = None,
    wait_s: WaitS = 0.0,
) -> None:
    """Watch and operate a guild in the browser. It runs elsewhere; its URL is printed.

    Its pages come with guildbus and ask no other server. The same address has the HTTP API, at
    /api/v1. On loopback everybody on this machine may call, unless there are --tokens. Beyond
    loopback tokens are needed (without a file one is made up and shown once), and --certificate or
    --plain-http.
    """
    from guild.cli.calling.running import run_command
    from guild.cli.commands.console import serve_console
    from guild.cli.commands.http import Http

    hosts = tuple(names or ())
    place = Http(http, tokens_file, hosts, certificate, private_key, plain_http, host, port)
    typed = Common(spec, bus, allow, log_level=log_level, wait_s=wait_s)
    run_command(serve_console, typed, place)


@tokens.command("add")
def add_token(
    name: TokenName,
    scope: Annotated[
        list[str],
        typer.Option(metavar="SCOPE,…", help="What it may do: read, publish, operate, approve."),
    ],
    file: File,
) -> None:
    """Make a token. It is printed this once; the file gets its hash, for gateways at work, too."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands import tokens as commands

    run_command(commands.add, Common(), file, name, scope)


@tokens.command("list")
def list_tokens(file: File, as_json: AsJson = False) -> None:
    """List the names and scopes of the tokens in a file."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands import tokens as commands

    run_command(commands.list_, Common(as_json=as_json), file)


@tokens.command("remove")
def remove_token(name: TokenName, file: File) -> None:
    """Take a token out of the file. Gateways at work refuse it from then on."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands import tokens as commands

    run_command(commands.remove, Common(), file, name)
