"""From the words of `guildbus research` to a request."""

import asyncio
import shlex
from pathlib import Path

import pytest

from agents.research.researcher import asking
from agents.research.researcher.asking import Words, fields_of
from agents.research.researcher.messages import StudyRequest
from agents.research.researcher.reporting import command_of
from guild.cli.calling.exit_codes import UsageError
from tests.cli.conftest import Run, run, settings

__all__ = ["run", "settings"]

USUAL = Words(
    dataset="digits",
    budget="2m",
    trials=None,
    tokens=50_000,
    data_path=None,
    label=None,
    params="{}",
    proposers="search",
    parallel=2,
    folds=5,
    seed=0,
    name=None,
)


def name_of(**changes: object) -> str:
    return str(fields_of(USUAL._replace(**changes))["name"])  # type: ignore[arg-type]


def test_the_usual_words_make_the_usual_request() -> None:
    fields = fields_of(USUAL)

    assert StudyRequest.model_validate(fields) == StudyRequest(name="digits-2m-0")


def test_a_name_that_was_left_out_belongs_to_one_question_alone() -> None:
    questions: list[dict[str, object]] = [
        {},
        {"trials": 5},
        {"folds": 3},
        {"data_path": "a.csv", "label": "y"},
        {"data_path": "a.csv", "label": "z"},
        {"data_path": "b.csv", "label": "y"},
        {"params": '{"label_column": "y"}'},
        {"dataset": "a/b"},
        {"dataset": "a_b"},
        {"dataset": "x" * 200},
        {"dataset": "x" * 199 + "y"},
        {"budget": "1.5m"},
        {"dataset": ""},
        {"dataset": "数字"},
    ]
    names = [name_of(**each) for each in questions]

    assert len(set(names)) == len(names)
    assert names == [name_of(**each) for each in questions]
    for name, question in zip(names, questions, strict=True):
        StudyRequest.model_validate(fields_of(USUAL._replace(**question)))  # type: ignore[arg-type]
        assert len(name) <= 64


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"budget": "0s"}, "--budget '0s' leaves no time"),
        ({"budget": "99999h"}, "--budget '99999h' is longer than a year"),
        ({"params": "{"}, "--params is no JSON"),
        ({"params": "[" * 100_000}, "--params is no JSON"),
        ({"params": "[1]", "data_path": "x"}, "--params wants an object"),
        ({"params": "null"}, "--params wants an object"),
        ({"params": '{"data_path": "x"}', "data_path": "y"}, "say the same"),
        ({"params": '{"label_column": "x"}', "label": "y"}, "say the same"),
        ({"data_path": "table.csv", "dataset": None}, "There are größe, b c, y"),
        (
            {"data_path": "table.csv", "dataset": None, "label": "Y1"},
            "table.csv has no column 'Y1'; did you mean 'y'?",
        ),
        (
            {"dataset": "csv", "params": '{"data_path": "table.csv", "label_column": "churn"}'},
            "table.csv has no column 'churn'. There are größe, b c, y",
        ),
        ({"data_path": "nothing.csv", "dataset": None}, "--label: which column"),
        ({"params": '{"data_path": 3}', "dataset": "csv"}, "--label: which column"),
        ({"data_path": "what.bin", "dataset": None}, "--dataset: what is what.bin?"),
        ({"proposers": ""}, "known are random, search, tpe, llm"),
        ({"proposers": "search,serch"}, "'serch' is unknown"),
        ({"name": ""}, "no name of a study"),
        ({"name": "a b"}, "no name of a study"),
        ({"name": "../up"}, "no name of a study"),
        ({"name": "x" * 65}, "no name of a study"),
    ],
)
def test_what_makes_no_request_is_told_by_its_option(words: dict[str, str], told: str) -> None:
    Path("table.csv").write_text("größe,b c,y\n1,2,3\n", "utf-8")

    with pytest.raises(UsageError) as caught:
        fields_of(USUAL._replace(**words))  # type: ignore[arg-type]

    assert told in str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        '"a\nb",y\n1,0\n',
        ",".join([*(f"gene_{number:06}" for number in range(100_000)), "y"]) + "\n1,0\n",
        "\ufeffy,a\r\n1,0\r\n",
        "a;y\n1;0\n",
        "a\ty\n1\t0\n",
        "\na, y \n1, 0\n",
        "",
        "a,b\n",
    ],
    ids=[
        "a line break",
        "cut",
        "a mark",
        "a delimiter",
        "one not said",
        "blanks",
        "empty",
        "no rows",
    ],
)
def test_a_label_that_may_be_there_is_left_to_the_study(tmp_path: Path, table: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(table, "utf-8", newline="")
    params = '{"delimiter": ";"}' if ";" in table else "{}"
    words = USUAL._replace(dataset=None, data_path=str(path), label="y", params=params)

    assert fields_of(words)["dataset_params"]["label_column"] == "y"


def test_data_that_changed_are_another_question(tmp_path: Path) -> None:
    """The report of the old data came back, without a word that they are others."""
    table = tmp_path / "t.csv"
    asked: dict[str, object] = {"dataset": None, "data_path": str(table), "label": "y"}
    by_params = {"dataset": "csv", "params": f'{{"data_path": "{table}", "label_column": "y"}}'}
    names = []
    for text in ("a,y\n1,0\n", "a,y\n1,1\n", "a,y\n1,0\n"):
        table.write_text(text)
        names.append(name_of(**asked))
        assert name_of(**by_params) == names[-1]

    assert names[0] == names[2] != names[1]
    assert name_of(**asked, name="mine") == "mine"


def test_what_the_data_are_is_seen_by_their_name(tmp_path: Path) -> None:
    (tmp_path / "pictures.csv").mkdir()
    table = USUAL._replace(dataset=None, data_path="T.CSV", label="y")
    folder = USUAL._replace(dataset=None, data_path=str(tmp_path))

    assert fields_of(table)["dataset"] == "csv"
    assert fields_of(table)["dataset_params"] == {"data_path": "T.CSV", "label_column": "y"}
    assert fields_of(folder)["dataset"] == "image_folder"
    assert fields_of(USUAL._replace(dataset=None))["dataset"] == "digits"


def test_proposers_may_be_parted_with_blanks_and_named_twice() -> None:
    assert fields_of(USUAL._replace(proposers="llm, search,llm"))["proposers"] == ["llm", "search"]


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"budget": "1h30m", "trials": 7, "seed": 3, "tokens": 0},
        {"proposers": "llm,search", "parallel": 4, "folds": 3},
        {"dataset": "csv", "data_path": "my data.csv", "params": '{"label_column": "it\'s"}'},
        {"name": "mine"},
    ],
)
def test_the_command_of_a_report_asks_the_same(words: dict[str, object], run: Run) -> None:
    fields = fields_of(USUAL._replace(**words))  # type: ignore[arg-type]
    asked: list[Words] = []

    async def remember(_: object, typed: Words) -> int:
        asked.append(typed)
        return 0

    command = command_of(StudyRequest.model_validate(fields))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "ask_for_study", remember)
        run(*shlex.split(command)[1:])

    assert fields_of(asked[0]) == fields


def test_who_stops_it_is_told_how_it_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped(*_: object, **__: object) -> int:
        raise asyncio.CancelledError

    monkeypatch.setattr(asking, "run_guild", stopped)

    outcome = run("research", "--name", "mine")

    assert outcome.code == 143
    assert "guildbus experiments resume mine" in outcome.err
    assert "guildbus experiments open mine" in outcome.err


def test_a_request_that_the_command_line_has_no_words_for_has_no_command() -> None:
    assert command_of(StudyRequest(max_samples=20)) == ""


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--budget", "-5m"], 2, "--budget '-5m' is no duration; write 90s, 5m or 1h30m"),
        (["--params", "[1]", "--data", "x.csv"], 2, "--params wants an object"),
        (["--params", '{"a": NaN}'], 3, "dataset_params.a: a number must be finite"),
        (["--spec", "nothing"], 3, "nothing: no such file, and no shipped spec of"),
    ],
)
def test_the_command_says_so_and_starts_nothing(
    run: Run, words: list[str], code: int, told: str
) -> None:
    outcome = run("research", *words)

    assert (outcome.code, outcome.out) == (code, "")
    assert told in outcome.err
    assert "pydantic" not in outcome.err
