"""What models and users wrote is only ever text in a report, in any medium."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from agents.research.experiments import Study, Trial
from agents.research.report.blocks import Code, Document, Failure, Prose, Section, Table
from agents.research.report.drawing import shortened
from agents.research.report.files import write_document
from agents.research.report.html import to_html
from agents.research.report.markdown import to_markdown
from agents.research.report.plain import in_a_sentence, plain
from agents.research.report.study.content import StudyFindings
from agents.research.report.study.document import study_document
from agents.research.report.study.reading import Reading
from tests.research.experiments.samples import NOW
from tests.research.report.test_study import MACHINE

TEXTS = {
    "html": "<img src=x onerror=alert(1)>",
    "an end of what is folded": "</details></svg><script>alert(1)</script>",
    "an attribute": "\"' onload='alert(1)",
    "an entity": "&lt;b&gt; &#x1F600;",
    "a link": "[here](javascript:alert(1)) <http://e.example/x>",
    "a picture": "![x](http://e.example/p.png)",
    "a cell": "a | b | c",
    "a heading": "x\n\n# y\n\n1. z",
    "a heading of its own": "# y",
    "a list": "1. z",
    "a fence": "x\n```\n~~~\n````\n# out\n- out",
    "marks": "**a** _b_ `c` ~~d~~ \\",
    "controls": "\x00\x1b[31m\x07\x0b\x85\u2028\uffff",
    "an order to reorder": "\u202ecba\u202c\u2066\u2067",
    "hebrew": "תשרק אבגד 12",
    "japanese": "日本語のとても長い名前" * 8,
    "long": "x" * 20_000,
    "an option": "-rf --all",
}


def findings(text: str) -> StudyFindings:
    """A study that says `text` wherever a trial or a study can say something."""

    def named(width: int, kind: str, **more: object) -> Trial:
        config = {"name": text, "width": width, text[:99]: text}
        planned = Trial.new(
            study="s",
            kind=kind,
            config=config,
            code=text,
            proposer=text,
            note=text,  # type: ignore[arg-type]
        )
        return planned.model_copy(update={"created_at": NOW, "ended_at": NOW + width, **more})

    root = named(1, "quick", status="done", metrics={text[:50]: 0.9})
    better = named(2, "quick", status="done", metrics={text[:50]: 0.95}, parent=root.id)
    failed = named(3, "quick", status="failed", error=text, parent=root.id)
    known = named(4, "baseline", status="done", metrics={text[:50]: 0.8})
    tested = named(2, "test", status="done", metrics={text[:50]: 0.9, "samples": 9.0})
    return StudyFindings(
        study=Study(
            name=text[:200], metric=text[:50], dataset=text, asked={text[:99]: text}, created_at=NOW
        ),
        trials=[root, better, failed, known, tested],
        histories={better.id: [{"epoch": 1, "train_loss": 1.0}]},
        command=text,
    )


def document(text: str) -> Document:
    said = study_document(findings(text), MACHINE)
    own = Section(text, [Failure(text, text), Table([text], [[text]]), Code(text, "text", text)])
    return said._replace(subtitle=text, sections=[*said.sections, own, Section("p", [Prose(text)])])


class Elements(HTMLParser):
    """The kinds of elements of a page with their attributes, ids apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.kinds: set[tuple[str, ...]] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.kinds.add((tag, *sorted(name for name, _ in attrs)))


def kinds(markdown: str) -> Counter[str]:
    """How often each kind of element is there; what is folded away, by its HTML."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    inner = [child for token in tokens for child in token.children or []]
    return Counter(
        "".join(re.findall("</?[a-z]+>", token.content)) if "html" in token.type else token.type
        for token in (*tokens, *inner)
        if token.type not in {"text", "text_special", "softbreak"}
    )


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_becomes_an_element_of_the_page(text: str) -> None:
    page = to_html(document(text))

    assert Elements(page).kinds <= Elements(to_html(document("plain words"))).kinds
    assert page.encode()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_becomes_markup_of_markdown(text: str) -> None:
    assert kinds(to_markdown(document(text))) == kinds(to_markdown(document("plain words")))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_drawing_of_a_report_is_a_file_that_can_be_read(text: str, tmp_path: Path) -> None:
    written = write_document(study_document(findings(text), MACHINE), tmp_path)

    assert written.drawings
    for drawn in written.drawings:
        assert ET.parse(drawn).getroot().tag.endswith("svg")
    assert written.html.stat().st_size < 2_000_000


def test_what_would_reorder_letters_is_shown_and_controls_are_gone() -> None:
    assert plain("a\u202eb\u2066\x00\x1b[31m\r\n\tc") == "a\\u202eb\\u2066  [31m\n\tc"
    assert plain("half \udc80") == "half \\udc80"


def test_a_name_from_right_to_left_does_not_reorder_what_stands_beside_it() -> None:
    assert in_a_sentence("conv 12") == "conv 12"
    assert in_a_sentence("\u202bתשרק\u2069") == "\u2068תשרק\u2069"
    assert "\u2068" in Reading(findings("תשרק")).label(findings("תשרק").trials[0])


def test_wide_letters_count_twice_where_there_is_little_room() -> None:
    assert shortened("conv", 28, 7) == "conv"
    assert shortened("convolution", 28, 7) == "con…"
    assert shortened("日本語", 28, 7) == "日…"
    assert shortened("a\nb", 28, 7) == "a b"


def test_baselines_of_one_name_are_told_apart() -> None:
    def known(c: int) -> Trial:
        return Trial.new(study="s", kind="baseline", config={"name": "svc", "C": c})

    twice = Reading(StudyFindings(study=Study(name="s"), trials=[known(1), known(10)]))
    once = Reading(StudyFindings(study=Study(name="s"), trials=[known(1)]))

    assert [twice.label(trial) for trial in twice.trials] == ["#1 svc", "#2 svc"]
    assert once.label(once.trials[0]) == "svc"
