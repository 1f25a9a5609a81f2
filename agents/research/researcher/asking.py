"""From the words of `guildbus research` to a request for a study."""

import asyncio
import csv
import json
import re
from hashlib import file_digest, sha256
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, get_args

from agents.research.researcher.budget import duration_s
from agents.research.researcher.messages import Proposer, StudyRequest
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import UsageError
from guild.cli.commands.run import run_guild
from guild.cli.printing.output import some_of
from guild.suggest import closest
from messaging.wire.message import wire_type_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,63}")
_STEM_CHARS = 48
_MOST_OF_A_HEADER = 1_048_576
_TOLD = ("dataset", "seed")  # in full, by a name that was left out
_PATIENCE, _PATIENCE_S = 10, 600.0  # times the budget, and more: for its machine may be busy


class Words(NamedTuple):
    """What was typed; None is what was not."""

    dataset: str | None
    budget: str
    trials: int | None
    tokens: int
    data_path: str | None
    label: str | None
    params: str
    proposers: str
    parallel: int
    folds: int
    seed: int
    name: str | None


async def ask_for_study(call: Call, words: Words) -> int:
    """Launch the guild and print what it found.

    Raises:
        UsageError: the words make no request; says which, and what is possible.
    """
    fields = fields_of(words)
    try:
        return await run_guild(
            call,
            wire_type_of(StudyRequest).name,
            [json.dumps(fields)],
            topic=None,
            conversation="",
            timeout_s=_PATIENCE * fields["budget"]["seconds"] + _PATIENCE_S,
            only=None,
        )
    except asyncio.CancelledError:
        name = fields["name"]
        call.output.note(f"the same command does that, or: guildbus experiments resume {name}")
        call.output.note(f"what was found until now: guildbus experiments open {name}")
        raise


def fields_of(words: Words) -> dict[str, Any]:
    """The fields of a `StudyRequest`.

    Raises:
        UsageError: as `ask_for_study`.
    """
    try:
        seconds = duration_s(words.budget)
    except ValueError as error:
        raise UsageError(f"--budget {error}") from error
    dataset = _dataset(words)
    asked = {
        "dataset": dataset,
        "dataset_params": _params(words, dataset),
        "budget": {"seconds": seconds, "trials": words.trials, "tokens": words.tokens},
        "proposers": _proposers(words.proposers),
        "parallel": words.parallel,
        "folds": words.folds,
        "seed": words.seed,
    }
    return {"name": _name(words, asked), **asked}


def _dataset(words: Words) -> str:
    """What was typed, else what the data seem to be."""
    if words.dataset is not None or words.data_path is None:
        return "digits" if words.dataset is None else words.dataset
    path = Path(words.data_path)
    if path.suffix.lower() == ".csv":
        return "csv"
    if path.is_dir():
        return "image_folder"
    raise UsageError(
        f"--dataset: what is {words.data_path}? csv, text_classification, image_folder, mnist, …"
    )


def _params(words: Words, dataset: str) -> dict[str, Any]:
    try:
        params = json.loads(words.params)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--params is no JSON: {error}") from error
    if not isinstance(params, dict):
        raise UsageError(
            f'--params wants an object such as \'{{"label_column": "y"}}\', not {words.params[:80]}'
        )
    typed = {"data_path": ("--data", words.data_path), "label_column": ("--label", words.label)}
    for key, (option, value) in typed.items():
        if value is not None and key in params:
            raise UsageError(f"{option} and {key} in --params say the same; give one of them")
        params |= {} if value is None else {key: value}
    if dataset == "csv":
        _check_label(params)
    return params


def _check_label(params: dict[str, Any]) -> None:
    """Refuse at once what a study would find out only when it has begun."""
    columns = _columns_of(params)
    there = f" There are {some_of(columns)}" if columns else ""
    if "label_column" not in params:
        raise UsageError(f"--label: which column is to be predicted?{there}")
    label = params["label_column"]
    is_table = len(columns) > 1  # one column is told by the study to be parted by something else
    if is_table and isinstance(label, str) and label not in columns:
        hint = closest(label, columns)
        meant = f"; did you mean {hint!r}?" if hint else f".{there}"
        raise UsageError(f"--label: {params['data_path']} has no column {label!r}{meant}")


def _columns_of(params: dict[str, Any]) -> list[str]:
    """Those of a table with rows, [] where they cannot be read from here."""
    try:
        path = Path(params["data_path"])
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8-sig") as file:
            begin = StringIO(file.read(_MOST_OF_A_HEADER), newline="")
        rows = csv.reader(begin, delimiter=params.get("delimiter", ","))
        header, _ = islice(filter("".join, rows), 2)  # without a second row it may be cut
    except (KeyError, TypeError, OSError, ValueError, csv.Error):
        return []
    return [name.strip() for name in header]


def _proposers(typed: str) -> list[str]:
    known = get_args(Proposer)
    names = list(dict.fromkeys(name.strip() for name in typed.split(",")))
    for name in names:
        if name not in known:
            raise UsageError(f"--proposers {name!r} is unknown; known are {', '.join(known)}")
    return names


def _name(words: Words, asked: dict[str, Any]) -> str:
    """What was typed; else a name for this very question, so that it is found when asked again.

    Data that changed are another question, where they are a file that can be read from here.
    """
    if words.name is not None:
        if not _NAME.fullmatch(words.name):
            raise UsageError(
                f"--name {words.name!r} is no name of a study: a letter or digit, then letters, "
                "digits, _ and -, 64 in all"
            )
        return words.name
    told = f"{asked['dataset']}-{words.budget}-{words.seed}"
    stem = re.sub(r"[^A-Za-z0-9_\-]+", "_", told)[:_STEM_CHARS].lstrip("_-") or "study"
    usual = StudyRequest().model_dump(mode="json")
    usual["budget"]["seconds"] = asked["budget"]["seconds"]
    if stem == told and all(usual[key] == asked[key] for key in asked if key not in _TOLD):
        return stem
    told = json.dumps(asked, sort_keys=True) + _content_of(asked["dataset_params"])
    return f"{stem}-{sha256(told.encode()).hexdigest()[:6]}"


def _content_of(params: dict[str, Any]) -> str:
    """A digest of the file that the data are, "" where it cannot be read from here."""
    try:
        path = Path(params["data_path"])
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except (KeyError, TypeError, OSError, ValueError):
        return ""
