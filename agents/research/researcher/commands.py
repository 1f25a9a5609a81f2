"""`guildbus research`. Imports what it needs when it runs."""

# ruff: noqa: PLC0415, PLR0917  --help is quick; typer calls by name

from pathlib import Path
from typing import Annotated

import typer

from guild.cli.syntax.options import Allow, AsJson, BusUrl, Common, LogLevel

research = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


@research.command()
def study(
    dataset: Annotated[
        str | None,
        typer.Option(
            help="breast_cancer, wine, mnist, text_classification, …; left out: digits, or what "
            "--data is."
        ),
    ] = None,
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
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="What is predicted of a table.")
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
    """Find the best model for a dataset within a budget. It says how sure that is.

    Networks, their training and ensembles are searched beside classical models, on folds; the
    held-out test is opened once, at the end. Interrupted and asked again, it goes on where it was.
    """
    from agents.research.researcher.asking import Words, ask_for_study
    from guild.cli.calling.running import run_command

    words = Words(
        dataset=dataset,
        budget=budget,
        trials=trials,
        tokens=tokens,
        data_path=data_path,
        label=label,
        params=params,
        proposers=proposers,
        parallel=parallel,
        folds=folds,
        seed=seed,
        name=name,
    )
    run_command(ask_for_study, Common(spec, bus, allow, as_json, log_level), words)
