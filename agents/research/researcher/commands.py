"""`guildbus research`. Imports what it needs when it runs."""

# ruff: noqa: PLC0415, PLR0917  --help is quick; typer calls by name

import json
from pathlib import Path
from typing import Annotated

import typer

from guild.cli.options import Allow, AsJson, BusUrl, Common, LogLevel

research = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


@research.command()
def study(
    dataset: Annotated[
        str, typer.Option(help="digits, breast_cancer, wine, mnist, text_classification, …")
    ] = "digits",
    budget: Annotated[str, typer.Option(help="How long it may work: 90s, 5m, 1h30m.")] = "2m",
    trials: Annotated[
        int | None, typer.Option(min=1, help="The most trials; left out: as many as fit.")
    ] = None,
    tokens: Annotated[
        int, typer.Option(min=0, help="The most tokens of a language model that proposes.")
    ] = 50_000,
    data_path: Annotated[
        str | None, typer.Option("--data", help="The dataset's file or folder.")
    ] = None,
    params: Annotated[
        str, typer.Option(metavar="JSON", help="More dataset_params, as the trainer takes them.")
    ] = "{}",
    proposers: Annotated[
        str, typer.Option(help="Who proposes, with commas: search, random, tpe, llm.")
    ] = "search",
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Trials at once.")] = 2,
    folds: Annotated[int, typer.Option(min=2, max=10, help="Of cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of everything by chance.")] = 0,
    name: Annotated[
        str | None, typer.Option(help="Of the study and its folder; left out: by the dataset.")
    ] = None,
    spec: Annotated[
        Path, typer.Option(help="The guild that does it: a file, or a spec that is shipped.")
    ] = Path("research"),
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
) -> None:
    """Find the best model for a dataset within a budget, and say how sure that is.

    Networks, their training and ensembles are searched beside classical models, on folds; the
    held-out test is opened once, at the end. Interrupted and asked again, it goes on where it was.
    """
    from pydantic import ValidationError

    from agents.research.researcher.budget import Budget, duration_s
    from agents.research.researcher.messages import StudyRequest
    from guild.cli.commands.run import run_guild
    from guild.cli.running import run_command

    try:
        seconds = duration_s(budget)
        dataset_params = json.loads(params)
        if data_path is not None:
            dataset_params["data_path"] = data_path
        request = StudyRequest.model_validate(
            {
                "name": name or f"{dataset}-{budget}-{seed}".replace(".", "_"),
                "dataset": dataset,
                "dataset_params": dataset_params,
                "budget": Budget(seconds=seconds, trials=trials, tokens=tokens),
                "proposers": tuple(proposers.split(",")),
                "parallel": parallel,
                "folds": folds,
                "seed": seed,
            }
        )
    except (ValidationError, ValueError) as error:
        typer.echo(f"guildbus research: {error}", err=True)
        raise typer.Exit(2) from None
    run_command(
        run_guild,
        Common(spec, bus, allow, as_json, log_level),
        "research.study",
        [request.model_dump_json()],
        topic=None,
        conversation="",
        timeout_s=10 * seconds + 600,
        only=None,
    )
