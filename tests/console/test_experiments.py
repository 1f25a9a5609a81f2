"""Studies, their trees and their curves, in a browser, as trials run and end."""

import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents.research.experiments import Study
from agents.research.experiments.store import store_path
from agents.research.experiments.trial import Trial
from tests.console.lab import MARKUP, RIGHT_TO_LEFT, Lab, serving_lab
from tests.console.test_streams import SEEN, held
from tests.console.test_views import SIZES, too_wide
from tests.console.watched import Watched, texts
from tests.research.experiments.samples import done, trial

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOTS = os.environ.get("GUILDBUS_SCREENSHOTS")
HISTORY = [
    {"epoch": n, "step": n * 10, "train_loss": 2 / n, "val_loss": 2.2 / n, "lr": 0.1 / n}
    for n in range(1, 30)
]


@pytest.fixture(autouse=True)
def no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.research.experiments.database._SYNCHRONOUS", "OFF")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with serving_lab(tmp_path) as lab:
        yield lab


@pytest.fixture
def tried(lab: Lab) -> dict[str, Trial]:
    """A study of a tree: one of its trials runs, one failed, one came to no number."""
    store = lab.store
    store.begin(Study(name="digits", dataset="digits", created_at=1_700_000_000.0))
    root = done(store, trial(8, note="to begin with"), 0.8, history=HISTORY)
    done(store, trial(8, seed=1), 0.82)
    wider = done(store, trial(16, parent=root.id, proposer="llm", note="wider"), 0.9)
    done(store, trial(24, parent=wider.id, proposer="llm", note="wider still"), 0.88)
    failed = store.plan(trial(32, parent=root.id, proposer="search"))
    store.start(failed.id)
    store.finish(failed.id, status="failed", error="out of memory")
    gaps = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}, {"step": 3, "loss": 1.0}]
    gone = done(store, trial(48, parent=root.id), float("nan"), history=gaps)
    done(store, trial(8, kind="baseline", code="", proposer="baseline"), 0.7)
    running = lab.runs(trial(64, parent=wider.id, proposer="search", note="wider by far"))
    lab.measures(running, *range(1, 60))
    return {"root": root, "wider": wider, "failed": failed, "gone": gone, "running": running}


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        ("phone", "dark"),
        ("desk", "light"),
        pytest.param("phone", "light", marks=pytest.mark.long),
        pytest.param("desk", "dark", marks=pytest.mark.long),
    ],
)
def test_each_page_can_be_read_by_everybody(
    lab: Lab, tried: dict[str, Trial], watched: Watched, size: str, theme: str
) -> None:
    ids = {name: each.id for name, each in tried.items()}
    pages = {
        "experiments": ("", "table"),
        "study": ("/study/digits", "[role=treeitem]"),
        "ranking": ("/study/digits?as=ranking", "table"),
        "trial": ("/trial/{running}", "figure svg"),
        "compared": ("/trial/{root}?with={running}", "select.other option:nth-child(2)"),
        "failed": ("/trial/{failed}", ".notice.bad"),
        "no-study": ("/study/none", "[role=alert]"),
    }
    page = watched.page
    page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
    page.emulate_media(color_scheme=theme)
    problems: dict[str, list[str]] = {}
    for name, (address, sign) in pages.items():
        watched.open(f"{lab.url}#/experiments{address.format(**ids)}")
        page.locator(sign).first.wait_for(state="attached")
        for closed in page.locator("details").all():
            closed.locator("summary").click()
        problems[name] = watched.axe() + too_wide(page)
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{name}-{theme}-{size}.png", full_page=True)

    assert not {name: each for name, each in problems.items() if each}


def test_the_studies_are_listed_those_that_run_first_with_the_best_so_far(
    lab: Lab, tried: dict[str, Trial], watched: Watched
) -> None:
    lab.store.begin(Study(name="later", created_at=1_800_000_000.0))
    lab.store.end("later")
    page = watched.open(f"{lab.url}#/experiments")

    rows = page.get_by_role("table", name="Studies").locator("tbody tr")
    rows.nth(1).wait_for()

    assert "digits" in rows.nth(0).inner_text()
    assert "running" in rows.nth(0).inner_text()
    assert "0.81" in rows.nth(0).inner_text()  # what was measured again is believed
    assert "ended" in rows.nth(1).inner_text()
    for seed in range(2):
        done(lab.store, trial(96, seed=seed), 0.99)
    rows.nth(0).get_by_text("0.99").wait_for()


def test_a_tree_tells_gains_and_is_walked_by_keyboard_alone(
    lab: Lab, tried: dict[str, Trial], watched: Watched
) -> None:
    page = watched.open(f"{lab.url}#/experiments/study/digits")
    items = page.get_by_role("treeitem")
    items.first.wait_for()
    assert items.count() == 6
    assert "Running now: #8" in page.locator("main").inner_text()
    assert page.locator(".gained").first.inner_text().endswith("+0.09")

    items.first.focus()
    page.keyboard.press("ArrowDown")
    assert focused(page) == items.nth(1).inner_text()
    page.keyboard.press("ArrowLeft")  # closes it
    items.nth(3).wait_for()
    assert items.count() == 4
    assert items.nth(1).get_attribute("aria-expanded") == "false"
    page.keyboard.press("ArrowLeft")  # to where it hangs
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("document.querySelectorAll('[role=treeitem]').length === 1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"trial/{tried['root'].id}$"))


def focused(page: "Page") -> str:
    text: str = page.evaluate("document.activeElement.innerText")
    return text


def test_the_curves_of_a_running_trial_grow_and_give_way_to_what_is_kept(
    lab: Lab, tried: dict[str, Trial], watched: Watched
) -> None:
    running = tried["running"]
    page = watched.open(f"{lab.url}#/experiments/trial/{running.id}")
    loss = page.locator("figure", has=page.get_by_role("heading", name="loss", exact=True))
    loss.get_by_text("at step 59").wait_for()

    lab.measures(running, 60, 61)
    loss.get_by_text("at step 61").wait_for()
    asked = [url for url in watched.urls if "/curves?" in url]
    assert "after=0" in asked[0]
    assert all("after=0" not in url for url in asked[1:])

    history = [{"step": 10, "train_loss": 0.75}, {"step": 200, "train_loss": 0.25}]
    lab.store.finish(running.id, status="done", metrics={"accuracy": 0.95}, history=history)
    loss.get_by_text("0.25 at step 200").wait_for()
    loss.get_by_text("at step 61").wait_for(state="detached")
    page.locator("dl.figures").get_by_text("done").wait_for()
    page.locator("dl.figures").get_by_text("0.95").wait_for()


def test_a_trial_that_was_cut_short_is_followed_when_it_goes_on(
    lab: Lab, tried: dict[str, Trial], watched: Watched
) -> None:
    running = tried["running"]
    page = watched.open(f"{lab.url}#/experiments/trial/{running.id}")
    lab.store.finish(running.id, status="interrupted", error="its process was killed")
    page.get_by_text("It was cut short:").wait_for()

    lab.runs(running)
    lab.measures(running, 50, 51)
    page.evaluate(SEEN, "visible")

    page.locator("figure").first.get_by_text("at step 51").wait_for()
    page.locator("dl.figures").get_by_text("running").wait_for()


def test_a_page_that_is_not_seen_reads_nothing_and_goes_on_when_it_is(
    lab: Lab, tried: dict[str, Trial], watched: Watched
) -> None:
    page = watched.page
    page.clock.install()
    watched.open(f"{lab.url}#/experiments/trial/{tried['running'].id}")
    page.locator("figure svg").first.wait_for()
    with page.expect_response("**/curves?*") as read:
        page.clock.pause_at(page.evaluate("Date.now() + 1_500"))
    read.value.finished()
    before = len(watched.urls)
    page.evaluate(SEEN, "hidden")
    page.clock.run_for(3_600_000)
    page.evaluate("fetch('icon.svg').then((response) => response.text())")  # after all others

    assert [url for url in watched.urls[before:] if "/curves?" in url] == []
    with page.expect_response("**/curves?*"):
        page.evaluate(SEEN, "visible")


@pytest.mark.long
@pytest.mark.parametrize("address", ["/trial/{running}", "/study/digits"])
def test_a_page_of_a_training_of_weeks_holds_no_more_than_at_its_begin(
    lab: Lab, tried: dict[str, Trial], watched: Watched, address: str
) -> None:
    page = watched.open(f"{lab.url}#/experiments{address.format(running=tried['running'].id)}")
    page.locator(".plot svg").first.wait_for()

    def read_often(first: int, last: int) -> None:
        for step in range(first, last, 20):
            lab.measures(tried["running"], *range(step, step + 20))
            page.evaluate(READ_AGAIN)

    read_often(100, 5_000)
    early = held(page)
    read_often(5_000, 15_000)
    later = held(page)

    assert later["Nodes"] <= early["Nodes"] * 1.2 + 500
    assert later["JSHeapUsedSize"] <= early["JSHeapUsedSize"] * 1.2 + 2_000_000


READ_AGAIN = """() => new Promise((resolve) => {
    document.dispatchEvent(new Event("visibilitychange")); // what is seen again is read at once
    requestAnimationFrame(() => setTimeout(resolve, 5));
})"""


def test_below_a_prefix_it_is_the_same(tmp_path: Path, watched: Watched) -> None:
    with serving_lab(tmp_path, prefix="/some/where") as lab:
        done(lab.store, trial(8), 0.8)
        page = watched.open(f"{lab.url}#/experiments")

        page.get_by_role("link", name="digits").click()
        page.get_by_role("treeitem").first.wait_for()

        assert all(url.startswith(lab.url) for url in watched.urls)


def test_two_trials_are_compared_and_losses_can_be_logarithmic(
    lab: Lab, tried: dict[str, Trial], watched: Watched
) -> None:
    page = watched.open(f"{lab.url}#/experiments/trial/{tried['root'].id}")
    page.get_by_role("button", name="Compare with").click()
    page.get_by_label("Compare with").select_option(tried["gone"].id)
    page.locator(".run-1").first.wait_for()

    page.get_by_label("Losses on a logarithmic scale").check()
    page.get_by_text("(logarithmic)").first.wait_for()
    page.locator(".plot svg").first.hover()
    page.locator("figure .at").get_by_text("step").wait_for()

    assert tried["gone"].id in page.url
    assert "1 time it was no number" in page.locator("figure").first.inner_text()


def test_a_chart_is_told_as_a_table_too(
    lab: Lab, tried: dict[str, Trial], watched: Watched
) -> None:
    page = watched.open(f"{lab.url}#/experiments/trial/{tried['gone'].id}")
    page.get_by_text("As a table").click()
    rows = page.get_by_role("table", name="Curves of trial").locator("tbody tr")
    rows.nth(2).wait_for()

    assert [text.split() for text in texts(rows)] == [["1", "2"], ["2", "\u2013"], ["3", "1"]]


def test_what_others_have_written_is_text_and_nothing_else(lab: Lab, watched: Watched) -> None:
    odd = f"{MARKUP}{RIGHT_TO_LEFT}/../{MARKUP}?#"
    lab.store.begin(Study(name=odd, metric=odd, dataset=odd, created_at=1.0))
    asked = trial(8, study=odd, proposer=odd, note=odd, code=f"# {odd}")
    asked = asked.model_copy(update={"config": {odd: odd, "name": odd}})
    running = lab.runs(asked)
    lab.measures(running, 1, **{f"{MARKUP}{RIGHT_TO_LEFT}": 1.0, "__proto__": 1.0})
    page = watched.open(f"{lab.url}#/experiments")

    page.locator("table a").first.click()
    page.get_by_role("treeitem").locator("a").click()
    page.locator("figure").first.wait_for()
    page.get_by_text("Its code").click()
    page.get_by_role("region", name="Code").wait_for()

    assert page.locator("main img").count() == 0
    assert page.locator(".odd").count() >= 3


def test_no_figures_hang_the_page(lab: Lab, watched: Watched) -> None:
    figures = {
        "near a power": [0.99e-3, 0.00095, 10.0],
        "one": [1.0] * 3,
        "none": [0.0] * 3,
        "huge": [1e308, -1e308, 1e300],
        "tiny": [1e-320, 2e-320, 1e-300],
        "alike": [99999999.99999996, 100000000.00000004, 1e8],
        "alone": [1.0, None, 2.0],
        "far": [1e-29, 1.0, 1e29],
        "wide": [1e-12, 1.0, 1e12],
    }
    history = [
        {"step": step, **{f"{name} loss": values[at] for name, values in figures.items()}}
        for at, step in enumerate([1, 1e15, 9e15])
    ]
    odd = done(
        lab.store, trial(8), 0.8, history=[*history, {"step": 1e300, "near a power loss": 2}]
    )
    page = watched.open(f"{lab.url}#/experiments/trial/{odd.id}")
    page.get_by_role("button", name="Show 3 more figures").click()
    page.locator("figure svg").nth(8).wait_for()

    page.get_by_label("Losses on a logarithmic scale").check()
    page.locator("figure", has_text="(logarithmic)").nth(6).locator(".plot svg").wait_for()

    assert page.locator("figure svg").count() == 9


def test_a_study_of_very_many_is_shown_in_parts(lab: Lab, watched: Watched) -> None:
    root = done(lab.store, trial(8), 0.5)
    with sqlite3.connect(store_path(lab.workspace)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(trials)")][1:]
        copied = ", ".join({"id": "?", "fingerprint": "?", "parent": "?"}.get(n, n) for n in names)
        connection.executemany(
            f"INSERT INTO trials ({', '.join(names)}) SELECT {copied} FROM trials WHERE id = ?",
            [
                (f"{n:016x}", f"{n - 1:016x}" if n % 3 else root.id, f"{n:064x}", root.id)
                for n in range(7_000)
            ],
        )
    connection.close()
    page = watched.open(f"{lab.url}#/experiments/study/digits")
    items = page.get_by_role("treeitem")
    items.nth(199).wait_for()

    assert items.count() == 200
    page.get_by_text("more are not", exact=False).first.wait_for()
    page.get_by_role("button", name="Show 200 more").click()
    items.nth(399).wait_for()
    assert "the latest and the best" in page.locator(".notice").inner_text()


def test_where_nothing_was_tried_it_is_said_what_to_do(lab: Lab, watched: Watched) -> None:
    page = watched.open(f"{lab.url}#/experiments")

    page.get_by_text("Nothing was tried yet.").wait_for()
    assert "guildbus research" in page.locator(".empty").inner_text()


def test_a_gateway_without_experiments_does_not_offer_them(
    tmp_path: Path, watched: Watched
) -> None:
    with serving_lab(tmp_path, has_experiments=False) as lab:
        page = watched.open(f"{lab.url}#/experiments")

        page.get_by_text("This gateway shows no experiments.").wait_for()
        assert page.get_by_role("link", name="Experiments").count() == 0


def test_what_a_request_measures_is_drawn_instead_of_listed(lab: Lab, watched: Watched) -> None:
    page = watched.open(f"{lab.url}#/publish/lab.train")
    page.get_by_role("button", name="Ask").click()

    outcome = page.get_by_role("region", name="What came of it")
    outcome.get_by_text("lab.trained").wait_for()
    outcome.locator("figure svg").first.wait_for()

    assert "0.3333 at step 3" in outcome.inner_text()
    assert "guild.measured" not in outcome.inner_text()
    assert watched.axe() == []
