"""Links and names of files on the pages lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import (
    DOCS,
    PAGES,
    RECORDS,
    ROOT,
    anchors_of,
    links_on,
    name_of,
    prose_of,
    rows,
    text_of,
)

_LINK = re.compile(r"\[`([^`]+)`\]\(([^)]+)\)")
_PATH = re.compile(r"`((?:agents|benchmarks|docs|examples|guild|messaging|specs|tests)/[\w./-]+)`")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_to_files_and_headings(page: Path) -> None:
    for path, anchor in links_on(page):
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), path
        assert target.exists(), path
        if anchor:
            assert anchor in anchors_of(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=name_of)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    for path in _PATH.findall(prose_of(page)):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", [DOCS / "README.md", DOCS / "architecture.md"], ids=name_of)
def test_a_link_to_code_shows_the_path_that_it_leads_to(page: Path) -> None:
    links = _LINK.findall(prose_of(page))

    assert len(links) >= 10
    for shown, target in links:
        assert (page.parent / target).resolve() == ROOT / shown


def test_ten_questions_of_a_newcomer_are_answered_by_a_file_each() -> None:
    questions = rows(DOCS / "README.md", "question")
    answers = [_LINK.findall(where) for _, _, where in questions]

    assert len(questions) == 10
    assert all(question.endswith("?") for question, *_ in questions)
    assert all(len(links) == 1 for links in answers)
    assert len({links[0][0] for links in answers}) == 10


def test_the_index_leads_to_every_page() -> None:
    linked = {(DOCS / path).resolve() for path, _ in links_on(DOCS / "README.md")}

    assert {page for page in PAGES if page.name != "README.md"} - set(RECORDS) <= linked | {
        DOCS / "README.md"
    }


def test_each_record_of_a_decision_has_its_number_its_parts_and_a_link() -> None:
    linked = {(DOCS / path).resolve() for path, _ in links_on(DOCS / "architecture.md")}

    assert len(RECORDS) >= 5
    for record in RECORDS:
        number = record.name.partition("-")[0]
        assert text_of(record).startswith(f"# {int(number)}. "), record
        parts = re.findall(r"^## (.+)$", text_of(record), re.MULTILINE)
        assert [part for part in parts if part in {"Context", "Decision", "Consequences"}] == [
            "Context",
            "Decision",
            "Consequences",
        ], record
        assert record in linked, record
    assert len({record.name[:4] for record in RECORDS}) == len(RECORDS)
