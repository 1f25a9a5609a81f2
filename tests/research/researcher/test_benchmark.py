"""The researcher and its rivals work on every kind of data that they are compared on."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from agents.research.researcher import conclusion
from agents.research.researcher.budget import Budget
from agents.research.researcher.messages import StudyRequest
from agents.research.researcher.recipes import starting_points
from agents.research.researcher.state import Study
from benchmarks.research.in_process import run
from benchmarks.research.researcher import rivals_data, table, write_speakers
from benchmarks.research.rivals import Rival, default_mlp

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

WORDS = {
    "ROMEO": "love night light fair",
    "JULIET": "name rose sweet word",
    "NURSE": "madam lady child bed",
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def speeches() -> Path:
    """Shakespeare's form, in words that tell who speaks."""
    random = Random(0)
    lines = []
    for _ in range(60):
        for name, words in WORDS.items():
            lines.append(f"{name}:\n{' '.join(random.choices(words.split(), k=6))}.\n\n")
    Path("play.txt").write_text("".join(lines), "utf-8")
    return write_speakers(Path("play.txt"), Path("speakers.csv"))


def asked(kind: str) -> StudyRequest:
    params: dict[str, Any] = {"test_fraction": 0.3}
    names = {"table": "wine", "image": "digits", "text": "text_classification"}
    if kind == "text":
        params["data_path"] = str(speeches())
    budget = Budget(seconds=None, trials=8)
    return StudyRequest(
        dataset=names[kind], dataset_params=params, budget=budget, parallel=1, max_samples=120
    )


@pytest.mark.parametrize(
    "kind", ["table", *(pytest.param(k, marks=pytest.mark.long) for k in ("image", "text"))]
)
def test_a_study_in_this_process_comes_to_its_end_and_so_do_its_rivals(kind: str) -> None:
    study = Study(request=asked(kind), started_at=0.0, clock_at=0.0)
    run(study)

    facts, opened = study.facts, conclusion.tests(study)
    assert facts is not None
    assert facts.kind == kind
    assert {name: step.error for name, step in study.steps.items() if step.error} == {}
    assert opened is not None
    best = conclusion.chosen(study, facts)
    assert best is not None
    assert best.name in {score.name for score in opened.scores}
    assert study.elapsed_s > 0

    data = rivals_data(study.request)
    rival = Rival(data, seconds=60.0, seed=0)
    recipe = rival.space.completed(starting_points(facts.kind)[0], Random(0))
    assert rival.measure(recipe, epochs=2) > 0
    assert 0 <= rival.test() <= 1
    assert default_mlp(data, seed=0) > facts.chance


def test_speakers_are_those_with_the_most_speeches(tmp_path: Path) -> None:
    play = tmp_path / "play.txt"
    play.write_text(
        "Ann:\none\ntwo\n\nBob:\nthree\n\nAnn:\nfour\n\nBob:\nfive\n\nCarl:\nsix\n", "utf-8"
    )

    rows = write_speakers(play, tmp_path / "speakers.csv", most=2).read_text().split()

    assert "".join(rows) == 'text,label"onetwo",Annthree,Bobfour,Annfive,Bob'


def test_a_lead_is_the_mean_of_the_pairs_of_a_seed() -> None:
    line = {"dataset": "wine", "random": 0.8, "tpe": 0.9, "default_mlp": 0.5, "classical": 1.0}
    lines = [line | {"seed": seed, "researcher": 0.9 + 0.1 * seed} for seed in (0, 1)]

    figures, lead = table(lines).splitlines()[2:]

    assert figures.split("|")[2].strip() == "95.00 ± 5.00"
    assert [cell.strip() for cell in lead.split("|")[3:5]] == ["+15.00 ± 5.00", "+5.00 ± 5.00"]
