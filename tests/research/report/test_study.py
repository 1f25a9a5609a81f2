"""The report of a study: what it says, and that it can be shown anywhere."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from agents.research.errors import ResearchError
from agents.research.experiments import ExperimentStore, Study, Trial
from agents.research.report.blocks import Diff, Drawing
from agents.research.report.content import Machine, ReportContent
from agents.research.report.document import build_document
from agents.research.report.files import write_document
from agents.research.report.html import to_html
from agents.research.report.markdown import to_markdown
from agents.research.report.study.conclusion import caution, conclusion
from agents.research.report.study.content import StudyFindings, findings_of
from agents.research.report.study.document import study_document
from agents.research.report.study.reading import Reading
from agents.research.report.study.scores import interval
from agents.research.report.study.tree import WIDTH, draw_tree
from tests.research.experiments.samples import NOW, done, trial
from tests.research.experiments.studies import study_findings
from tests.research.samples import full_content

MACHINE = Machine(
    cores=2, memory_bytes=8_000_000_000, processor="p", system="s", python="3.11", torch="2"
)
SVG = "{http://www.w3.org/2000/svg}"


def scored(name: str, *scores: float, kind: Any = "quick", metric: str = "accuracy") -> list[Trial]:
    trials = [
        Trial.new(
            study="s", kind=kind, config={"name": name, "model": name}, seed=seed, created_at=NOW
        )
        for seed in range(len(scores))
    ]
    return [
        each.model_copy(
            update={"status": "done", "metrics": {metric: score}, "ended_at": NOW + number}
        )
        for number, (each, score) in enumerate(zip(trials, scores, strict=True))
    ]


def reading(*groups: list[Trial], **more: Any) -> Reading:
    study = more.pop("study", Study(name="s", dataset="digits", created_at=NOW))
    return Reading(StudyFindings(study=study, trials=[t for g in groups for t in g], **more))


def svgs(html: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]


def test_the_page_needs_nothing_else_and_runs_nothing() -> None:
    html = to_html(study_document(study_findings(), MACHINE))

    sources = re.findall(r'(?:src|srcset|href)="([^"]*)"', html)
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "url(" not in html


def test_every_drawing_is_well_formed_and_tells_those_who_cannot_see_it() -> None:
    html = to_html(study_document(study_findings(), MACHINE))

    drawn = svgs(html)
    assert len(drawn) == 6
    for svg in drawn:
        title, description = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
        assert title is not None
        assert title.text
        assert description is not None
        assert description.text
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))


def test_tables_have_headers_and_what_scrolls_can_be_reached_by_keyboard() -> None:
    html = to_html(study_document(study_findings(), MACHINE))

    assert html.count("<table>") == html.count("<thead>")
    assert html.count("<th") - html.count("<thead") == html.count('<th scope="col"')
    assert len(re.findall(r'class="(?:tall )?scroll"(?! tabindex="0")', html)) == 0


def test_markdown_shows_drawings_that_lie_beside_it_in_both_themes(tmp_path: Path) -> None:
    written = write_document(study_document(study_findings(), MACHINE), tmp_path)

    pictures = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", written.markdown.read_text())
    assert len(pictures) == 6
    for picture in pictures:
        svg = (tmp_path / picture).read_text()
        assert ET.fromstring(svg).tag == f"{SVG}svg"
        assert "prefers-color-scheme: dark" in svg


@pytest.mark.parametrize("size", [60, 200])
def test_the_tree_has_a_row_for_each_configuration_with_why_and_what_it_gained(size: int) -> None:
    findings = study_findings(size)
    drawn = draw_tree(Reading(findings))

    assert drawn is not None
    root = ET.fromstring(drawn.svg)
    hints = [title.text or "" for title in root.iter(f"{SVG}title")]
    searched = {t.fingerprint for t in findings.trials if t.kind == "quick"}
    assert sum(hint.startswith("#") for hint in hints) == len(searched)
    assert any("by llm: less overfitting" in hint for hint in hints)
    assert any(text.text == "failed" for text in root.iter(f"{SVG}text"))


def test_no_row_of_a_tree_lies_on_another_and_none_leaves_the_sheet() -> None:
    chain = [trial(1, note="why " * 50)]
    for width in range(2, 400):
        chain.append(trial(width, parent=chain[-1].id, note="why " * 50))
    drawn = draw_tree(reading([t.model_copy(update={"study": "s"}) for t in chain]))

    assert drawn is not None
    root = ET.fromstring(drawn.svg)
    names = [t for t in root.iter(f"{SVG}text") if (t.text or "").startswith("#")]
    rows = [float(text.attrib["y"]) for text in names]
    assert len(rows) == len(set(rows)) == 399
    assert max(float(t.attrib["x"]) + 7 * len(t.text or "") for t in names) < WIDTH
    assert max(rows) < float(root.attrib["height"])


BEST = [0.90, 0.91, 0.92]
CONCLUSIONS = {
    "beaten": ([0.80, 0.81, 0.82], "is beaten (+10.00 percentage points, more than noise)"),
    "better": ([0.96, 0.97, 0.98], "is better (-6.00 percentage points, more than noise)"),
    "within noise": ([0.90, 0.905, 0.92], "The difference, +0.17 percentage points, is within"),
    "measured once": ([0.80], "how much of it is noise is not known"),
    "no baseline": ([], "no baseline was measured beside it"),
}


@pytest.mark.parametrize(("baseline", "told"), CONCLUSIONS.values(), ids=CONCLUSIONS)
def test_the_conclusion_stands_beside_the_best_baseline_with_its_noise(
    baseline: list[float], told: str
) -> None:
    sentence = conclusion(reading(scored("conv", *BEST), scored("svc", *baseline, kind="baseline")))

    assert "conv" in sentence
    assert "91.00 ± 0.58 %, mean ± standard error over 3 seeds" in sentence
    assert told in sentence


def test_a_lucky_single_measurement_is_not_believed_where_others_were_repeated() -> None:
    found = reading(scored("lucky", 0.99), scored("steady", *BEST))

    assert "steady" in conclusion(found)
    assert "One with a better figure was not measured as often" in caution(found)


def test_what_was_measured_once_only_is_told_so() -> None:
    found = reading(scored("conv", 0.9))

    assert "measured once" in conclusion(found)
    assert "another seed may give another figure" in caution(found)


def test_the_one_who_asked_may_say_what_was_chosen_and_concluded() -> None:
    trials = scored("a", 0.9, 0.91) + scored("b", 0.8, 0.82)
    found = reading(trials, chosen=trials[2].id, conclusion="b is simpler.", repeats="fold")

    assert conclusion(found) == "b is simpler."
    assert found.best is not None
    assert found.best.trials[0] == trials[2].id
    document = study_document(found.findings, MACHINE)
    assert "2 folds" in to_html(document)


def test_a_classical_model_may_be_what_is_believed_to_be_best() -> None:
    known = scored("svc", 0.97, 0.98, kind="baseline")
    found = reading(scored("conv", 0.9, 0.91), known, scored("knn", 0.9, kind="baseline"))
    found = Reading(found.findings.model_copy(update={"chosen": known[0].id}))

    assert found.best is not None
    assert found.best_baseline is not None
    assert found.best.trials[0] == known[0].id
    assert found.label(found.first_of(found.best_baseline)) == "knn"
    html = to_html(study_document(found.findings, MACHINE))
    assert "next best baseline" in html
    assert "best baseline, svc" in html  # the line that the search is held to
    assert re.search(
        r'<tr class="best"><td class="number">1</td><td[^>]*>97.50&nbsp;.*?<td>svc', html
    )


def test_an_ensemble_is_told_by_what_it_consists_of() -> None:
    root = scored("conv", 0.9)
    config = {"name": "ensemble", "weights": {"conv": 2 / 3, "svc": 1 / 3}}
    blend = Trial.new(study="s", kind="ensemble", config=config, parent=root[0].id)

    assert reading(root, [blend]).changed(blend) == "67 % conv, 33 % svc"


def test_curves_of_steps_without_scores_are_compared_by_their_training_loss() -> None:
    trials = scored("conv", 0.9) + scored("dense", 0.8)
    curve = [{"step": step, "train_loss": 1 / step} for step in (25, 50, 75)]
    findings = reading(trials, histories={t.id: curve for t in trials}).findings

    html = to_html(study_document(findings, MACHINE))

    assert "Training loss of the best" in html
    assert ">step</text>" in html


def test_a_lower_loss_beats_a_higher_one() -> None:
    study = Study(name="s", metric="loss", higher_is_better=False, created_at=NOW)
    low, high = scored("low", 0.1, 0.12, metric="loss"), scored("high", 0.4, 0.5, metric="loss")

    sentence = conclusion(reading(low, high, study=study))

    assert "low" in sentence
    assert "loss 0.11 ± 0.01" in sentence


@pytest.mark.parametrize(
    "trials",
    [[], [trial()], [trial().model_copy(update={"status": "failed", "error": "boom"})]],
    ids=["nothing tried", "nothing begun", "nothing worked"],
)
def test_a_study_without_any_score_has_a_report_that_says_so(trials: list[Trial]) -> None:
    document = study_document(reading(trials).findings, MACHINE)

    assert re.search(r"Nothing was (found|tried)", to_html(document))
    assert "# Study" in to_markdown(document)


@pytest.mark.parametrize(
    "history",
    [
        [{"epoch": 1, "val_accuracy": None, "val_loss": float("nan"), "train_loss": 1.0}],
        [{"epoch": 1, "val_accuracy": 0.5, "val_loss": 1e30, "train_loss": 1.0}] * 2,
        [{"val_accuracy": 0.5}, {"val_accuracy": 0.5}],
        [{"epoch": 1, "val_accuracy": "high"}],
    ],
    ids=["not finite", "huge", "flat, without epochs", "no number"],
)
def test_odd_histories_draw_what_can_be_drawn(history: list[dict[str, Any]]) -> None:
    trials = scored("conv", 0.5)
    findings = reading(trials, histories={trials[0].id: history}).findings

    html = to_html(study_document(findings, MACHINE))

    assert svgs(html)
    assert "nan" not in "".join(re.findall(r'\bd="[^"]*"', html)).lower()


def test_the_best_model_is_shown_with_what_changed_from_its_parent() -> None:
    document = study_document(study_findings(), MACHINE)

    (section,) = [section for section in document.sections if section.title == "Best model"]
    (diff,) = [block for block in section.blocks if isinstance(block, Diff)]
    assert re.search(r"^-lr: .*\n\+lr: ", diff.text, re.MULTILINE)
    assert '<span class="added">+lr' in to_html(document)


def test_failures_are_counted_by_their_reason() -> None:
    markdown = to_markdown(study_document(study_findings(), MACHINE))

    assert re.search(r"\| failed \| \d+ \| #\d+ conv \| RuntimeError: shapes", markdown)
    assert "the loss was no finite number at step 12" in markdown


@pytest.mark.parametrize(
    ("share", "samples", "low", "high"),
    [(0.5, 100, 0.4038, 0.5962), (1.0, 10, 0.7225, 1.0), (0.0, 10, 0.0, 0.2775)],
)
def test_a_share_of_few_samples_has_a_wide_interval(
    share: float, samples: int, low: float, high: float
) -> None:
    assert interval(share, samples) == pytest.approx((low, high), abs=1e-3)


def test_a_run_with_a_study_has_its_findings_first_and_all_else_after_them() -> None:
    content = full_content(study=study_findings())

    document = build_document(content, MACHINE)

    titles = [section.title for section in document.sections]
    assert titles[:3] == ["What was found", "Ranking", "Tree"]
    assert titles[-1] == "What was asked"
    again = ReportContent.model_validate(content.model_dump(mode="json"))
    assert again == content


def test_what_the_store_knows_of_a_study_becomes_its_report(tmp_path: Path) -> None:
    with ExperimentStore(tmp_path / "experiments.db") as store:
        done(store, trial(), 0.9, history=[{"epoch": 1, "val_accuracy": 0.9}])
        findings = findings_of(store, "digits", command="guildbus research")

    drawings = [
        block
        for section in study_document(findings, MACHINE).sections
        for block in section.blocks
        if isinstance(block, Drawing)
    ]
    assert len(findings.histories) == 1
    assert {drawing.name for drawing in drawings} == {"tree", "credit"}


def test_a_report_is_written_without_torch_and_without_a_plotting_library() -> None:
    program = (
        "import sys; import agents.research.report.study.document, agents.research.report.files; "
        "print([name for name in ('torch', 'matplotlib', 'sklearn') if name in sys.modules])"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("place", ["runs", "runs/study", "runs/study/report.md"])
def test_no_link_of_the_workspace_leads_a_report_out_of_it(tmp_path: Path, place: str) -> None:
    workspace, outside = tmp_path / "ws", tmp_path / "outside"
    (outside / "study").mkdir(parents=True)
    (workspace / place).parent.mkdir(parents=True)
    (workspace / place).symlink_to(outside / "study" if place.endswith(".md") else outside)

    with pytest.raises(ResearchError):
        write_document(
            study_document(study_findings(), MACHINE), workspace / "runs" / "study", below=workspace
        )

    assert [path for path in outside.rglob("*") if path.is_file()] == []
