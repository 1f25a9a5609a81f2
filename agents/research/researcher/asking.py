"""From the words of `guildbus research` to a request for a study."""

import json
import re
from hashlib import sha256
from typing import Any, NamedTuple, get_args

from agents.research.researcher.budget import duration_s
from agents.research.researcher.messages import Proposer, StudyRequest
from guild.cli.call import Call
from guild.cli.commands.run import run_guild
from guild.cli.exit_codes import UsageError
from messaging.message import wire_type_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,63}")
_STEM_CHARS = 48
_TOLD = ("dataset", "seed")  # in full, by a name that was left out
_PATIENCE, _PATIENCE_S = 10, 600.0  # times the budget, and more: for its machine may be busy


class Words(NamedTuple):
    """What was typed; None is what was not."""

    dataset: str
    budget: str
    trials: int | None
    tokens: int
    data_path: str | None
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
    return await run_guild(
        call,
        wire_type_of(StudyRequest).name,
        [json.dumps(fields)],
        topic=None,
        conversation="",
        timeout_s=_PATIENCE * fields["budget"]["seconds"] + _PATIENCE_S,
        only=None,
    )


def fields_of(words: Words) -> dict[str, Any]:
    """The fields of a `StudyRequest`.

    Raises:
        UsageError: as `ask_for_study`.
    """
    try:
        seconds = duration_s(words.budget)
    except ValueError as error:
        raise UsageError(f"--budget {error}") from error
    asked = {
        "dataset": words.dataset,
        "dataset_params": _params(words),
        "budget": {"seconds": seconds, "trials": words.trials, "tokens": words.tokens},
        "proposers": _proposers(words.proposers),
        "parallel": words.parallel,
        "folds": words.folds,
        "seed": words.seed,
    }
    return {"name": _name(words, asked), **asked}


def _params(words: Words) -> dict[str, Any]:
    try:
        params = json.loads(words.params)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--params is no JSON: {error}") from error
    if not isinstance(params, dict):
        raise UsageError(
            f'--params wants an object such as \'{{"label_column": "y"}}\', not {words.params[:80]}'
        )
    if words.data_path is None:
        return params
    if "data_path" in params:
        raise UsageError("--data and data_path in --params say the same; give one of them")
    return params | {"data_path": words.data_path}


def _proposers(typed: str) -> list[str]:
    known = get_args(Proposer)
    names = list(dict.fromkeys(name.strip() for name in typed.split(",")))
    for name in names:
        if name not in known:
            raise UsageError(f"--proposers {name!r} is unknown; known are {', '.join(known)}")
    return names


def _name(words: Words, asked: dict[str, Any]) -> str:
    """What was typed; else a name for this very question, so that it is found when asked again."""
    if words.name is not None:
        if not _NAME.fullmatch(words.name):
            raise UsageError(
                f"--name {words.name!r} is no name of a study: a letter or digit, then letters, "
                "digits, _ and -, 64 in all"
            )
        return words.name
    told = f"{words.dataset}-{words.budget}-{words.seed}"
    stem = re.sub(r"[^A-Za-z0-9_\-]+", "_", told)[:_STEM_CHARS].lstrip("_-") or "study"
    usual = StudyRequest().model_dump(mode="json")
    usual["budget"]["seconds"] = asked["budget"]["seconds"]
    if stem == told and all(usual[key] == asked[key] for key in asked if key not in _TOLD):
        return stem
    digest = sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:6]
    return f"{stem}-{digest}"
